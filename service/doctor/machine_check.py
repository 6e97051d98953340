"""Checks of the machine: Python, libraries, memory, processors."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hashrec.index.errors import ArtifactError
from hashrec.service.doctor.finding import Deployment, Finding, size
from hashrec.service.doctor.store_check import served_manifest

# Memory of a worker for the interpreter and the libraries, beside the shared maps of a model.
# Measured: 85 to 110 MB.
WORKER_BYTES = 120_000_000
LEAST_FILES = 1024
CGROUP = Path("/sys/fs/cgroup")


def check_libraries(deployment: Deployment) -> Iterator[Finding]:
    """Compare the installed libraries with the requirements of this release."""
    del deployment
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    try:
        wanted = metadata.metadata("hashrec")["Requires-Python"] or ""
        requirements = [Requirement(text) for text in metadata.requires("hashrec") or ()]
    except metadata.PackageNotFoundError:
        yield Finding(
            "libraries", "warning", "hashrec is not installed, it runs from its source",
            "install it with pip; else its requirements are unknown",
        )  # fmt: skip
        return
    if version not in SpecifierSet(wanted):
        yield Finding("libraries", "problem", f"Python {version}", f"install Python {wanted}")
    yield from compare(requirements, f"hashrec {metadata.version('hashrec')}, Python {version}")


def compare(requirements: list[Requirement], who: str) -> Iterator[Finding]:
    """Compare installed versions with requirements; a library of an extra may be absent."""
    n_fitting = 0
    for requirement in requirements:
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra})
            for extra in ("", "training", "files", "otel")
        ):
            continue
        optional = requirement.marker is not None and "extra" in str(requirement.marker)
        wish = f"pip install '{requirement.name}{requirement.specifier}'"
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            if not optional:
                yield Finding("libraries", "problem", f"{requirement.name} is not installed", wish)
            continue
        if requirement.specifier.contains(installed, prereleases=True):
            n_fitting += 1
        else:
            yield Finding(
                "libraries",
                "warning" if optional else "problem",
                f"{requirement.name} {installed} is installed, not {requirement.specifier}",
                wish,
            )
    yield Finding("libraries", "ok", f"{who}, {n_fitting} libraries in the required versions")


def check_memory(deployment: Deployment) -> Iterator[Finding]:
    """Compare the memory that the workers need with the available memory, limits included."""
    settings = deployment.settings
    try:
        model = served_manifest(settings.store).n_bytes
    except (ArtifactError, OSError):
        return  # the check of the store reports it
    workers = settings.workers * (WORKER_BYTES + settings.cache.local_bytes)
    available, whose = available_memory()
    serving, swapping = workers + model, workers + 2 * model
    need = f"{settings.workers} workers and the model take about {size(serving)}"
    there = f"{size(available)} {whose}"
    if available < serving:
        yield Finding(
            "memory", "problem", f"{need}, of {there}",
            "add memory, or set fewer workers; a running service counts as used memory",
        )  # fmt: skip
    elif available < swapping:
        yield Finding(
            "memory", "warning",
            f"{need}, {size(swapping)} while a new version replaces it, of {there}",
            "add memory, or set fewer workers",
        )  # fmt: skip
    else:
        yield Finding("memory", "ok", f"{need}, of {there}")


def available_memory(cgroup: Path = CGROUP) -> tuple[int, str]:
    """Return the free bytes, and the limit that they are counted to."""
    free, whose = _free_of_machine(), "available on this machine"
    for limit_file, usage_file, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _number(cgroup / limit_file), _number(cgroup / usage_file)
        if limit is None or used is None:
            continue
        statistics = _statistics((cgroup / limit_file).with_name("memory.stat"))
        left = max(0, limit - used + statistics.get(cache_name, 0))  # the file cache can be evicted
        if left < free:
            free, whose = left, f"left of this container's {size(limit)}"
    return free, whose


def check_processes(deployment: Deployment) -> Iterator[Finding]:
    """Check the number of processors and the limit of open files."""
    settings = deployment.settings
    n_cpus = len(os.sched_getaffinity(0))
    if settings.workers > n_cpus:
        yield Finding(
            "processors", "warning", f"{settings.workers} workers on {n_cpus} processors",
            f"set HASHREC_WORKERS={n_cpus}: more workers share processors without a gain",
        )  # fmt: skip
    else:
        yield Finding("processors", "ok", f"{settings.workers} workers on {n_cpus} processors")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < LEAST_FILES:
        yield Finding(
            "processors", "warning", f"at most {soft} open files and connections for each process",
            "raise the limit: `ulimit -n 65536`, or LimitNOFILE of the service's unit",
        )  # fmt: skip


def _free_of_machine() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None


def _statistics(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value) for name, _, value in (line.partition(" ") for line in lines)}
