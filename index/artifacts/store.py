"""A store: published versions, and a pointer to the one that is served.

    STORE/versions/20261123T060000Z-3f9a1c/   complete artifacts, never changed
    STORE/CURRENT                             the served version and the ones before it
    STORE/.publication.lock                   held by the one job that writes

A version folder gets its name when it is complete, and the pointer is replaced after that, so a job
killed at any instant leaves the served version as it was.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from hashrec.index.artifacts import durable
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.manifest import MANIFEST_FILE, VERSION_PATTERN, Manifest
from hashrec.index.errors import (
    ArtifactCorruptError,
    ArtifactError,
    NoArtifactError,
    NoEarlierVersionError,
    StoreBusyError,
    StoreWriteError,
    UnknownVersionError,
)

KEPT_VERSIONS = 5
_STAGING = ".staging-"


class Pointer(BaseModel):
    """Which version is served.

    Attributes:
        current: the served version.
        previous: the versions served before it, latest first; rollback returns to the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    current: str
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One published version as `hashrec versions` lists it.

    Attributes:
        is_previous: rollback returns to this one.
        n_bytes: size of its files.
    """

    version: str
    is_current: bool
    is_previous: bool
    created_at: datetime
    model: str
    n_bits: int
    n_users: int
    n_items: int
    bytes_per_item: int
    n_bytes: int
    metrics: dict[str, float]


class Store:
    """The versions under one folder. Reading needs no lock and writes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._versions = path / "versions"
        self._pointer = path / "CURRENT"

    def pointer(self) -> Pointer | None:
        """Return the pointer, or None before the first publication.

        Raises:
            ArtifactCorruptError: the pointer file is not readable.
        """
        try:
            return Pointer.model_validate_json(self._pointer.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ArtifactCorruptError(self._pointer, "not a version pointer") from error

    def current(self) -> str:
        """Return the served version.

        Raises:
            NoArtifactError: nothing was published yet.
        """
        pointer = self.pointer()
        if pointer is None:
            raise NoArtifactError(self.path)
        return pointer.current

    def folder(self, version: str) -> Path:
        """Return a version's folder.

        Raises:
            UnknownVersionError: there is none of that name.
        """
        if not re.fullmatch(VERSION_PATTERN, version) or not (self._versions / version).is_dir():
            raise UnknownVersionError(self.path, version)
        return self._versions / version

    def open(self, version: str | None = None) -> Artifact:
        """Verify and open a version, the served one if none is named.

        Raises:
            NoArtifactError: nothing was published yet.
            UnknownVersionError: there is no such version.
            ArtifactCorruptError: it does not match its manifest.
        """
        artifact = Artifact.open(self.folder(self.current() if version is None else version))
        if artifact.manifest.version != artifact.path.name:
            raise ArtifactCorruptError(
                artifact.path, f"the manifest names version {artifact.manifest.version}"
            )
        return artifact

    def served(self) -> Manifest | None:
        """Return the manifest of the served version; None where nothing valid is served."""
        try:
            return self.open().manifest
        except ArtifactError:
            return None

    def versions(self) -> list[VersionInfo]:
        """List the published versions, latest first; one whose manifest is damaged is left out.

        Raises:
            NoArtifactError: nothing was published yet.
        """
        if not self._versions.is_dir():
            raise NoArtifactError(self.path)
        pointer = self.pointer()
        current, previous = (pointer.current, pointer.previous[:1]) if pointer else (None, ())
        found: list[VersionInfo] = []
        for folder in sorted(self._versions.glob("[0-9]*"), reverse=True):
            try:
                manifest = Manifest.read(folder)
            except ArtifactCorruptError:
                continue
            found.append(
                VersionInfo(
                    version=folder.name,
                    is_current=folder.name == current,
                    is_previous=folder.name in previous,
                    created_at=manifest.created_at,
                    model=manifest.model.name,
                    n_bits=manifest.n_bits,
                    n_users=manifest.n_users,
                    n_items=manifest.n_items,
                    bytes_per_item=manifest.bytes_per_item,
                    n_bytes=sum(entry.n_bytes for entry in manifest.files.values()),
                    metrics=manifest.metrics,
                )
            )
        return found

    @contextmanager
    def writing(self, job: str = "publication") -> Generator[None]:
        """Hold the store for one job of a kind.

        Args:
            job: the kind; a publication may take place within a retraining.

        Raises:
            StoreBusyError: another job holds it.
            ArtifactError: the folder cannot be written.
        """
        with self._telling_disk_errors():
            self._versions.mkdir(parents=True, exist_ok=True)
            lock = (self.path / f".{job}.lock").open("ab+", buffering=0)
        with lock:
            with self._telling_disk_errors():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.seek(0)
                    holder = lock.read(64).decode(errors="replace").strip()
                    raise StoreBusyError(self.path, job, holder or "unknown") from None
                lock.truncate(0)
                lock.write(f"process {os.getpid()}\n".encode())
            yield

    @contextmanager
    def _telling_disk_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            try:
                standing = f"{self.current()} is served"
            except ArtifactError:
                standing = "no version is served"
            raise StoreWriteError(self.path, error.strerror or str(error), standing) from error

    def publish(self, artifact: Path, *, activate: bool = True) -> str:
        """Verify an artifact folder, copy it into the store and serve it.

        Publishing a version that is there already serves it again, and mends it if it is damaged.

        Args:
            artifact: the folder.
            activate: False leaves the served version as it is: to compare the new one with it.

        Returns:
            The version.

        Raises:
            ArtifactCorruptError: the folder does not match its manifest; the store is as it was.
            StoreBusyError: another job is writing to the store.
            ArtifactError: the disk refused a write; the served version is as it was.
        """
        manifest = Artifact.open(artifact).manifest
        with self.writing(), self._telling_disk_errors():
            self._sweep()
            if not self._holds(manifest.version):
                self._copy(artifact, manifest)
            durable.fsync(self._versions)
            if activate:
                self._serve(manifest.version)
            self._prune()
        return manifest.version

    def activate(self, version: str) -> None:
        """Serve a published version.

        Raises:
            UnknownVersionError: there is no such version.
            ArtifactCorruptError: it does not match its manifest; the served one stays.
            StoreBusyError: another job is writing to the store.
        """
        self.folder(version)  # a store that is not there is not made
        with self.writing(), self._telling_disk_errors():
            self.open(version)
            self._serve(version)

    def rollback(self) -> str:
        """Serve the version that was served before this one.

        Returns:
            The version served now.

        Raises:
            NoArtifactError: nothing was published yet.
            NoEarlierVersionError: there is none.
            ArtifactCorruptError: the earlier one is damaged; the served one stays.
            StoreBusyError: another job is writing to the store.
        """
        self.current()
        with self.writing(), self._telling_disk_errors():
            pointer = self.pointer()
            if pointer is None:
                raise NoArtifactError(self.path)
            if not pointer.previous:
                raise NoEarlierVersionError(self.path, pointer.current)
            version, *older = pointer.previous
            self.open(version)
            self._write_pointer(Pointer(current=version, previous=tuple(older)))
        return version

    def _holds(self, version: str) -> bool:
        """Tell whether a version is there and whole."""
        try:
            self.open(version)
        except (UnknownVersionError, ArtifactCorruptError):
            return False
        return True

    def _copy(self, artifact: Path, manifest: Manifest) -> None:
        staging = self._versions / f"{_STAGING}{manifest.version}"
        staging.mkdir()
        for name in (*manifest.files, MANIFEST_FILE):
            shutil.copyfile(artifact / name, staging / name, follow_symlinks=False)
        Artifact.open(staging)  # what was copied, not what was meant to be
        if (damaged := self._versions / manifest.version).exists():
            self._discard(damaged)
        durable.rename_folder(staging, self._versions / manifest.version)

    def _serve(self, version: str) -> None:
        try:
            pointer = self.pointer()
        except ArtifactCorruptError:  # what it said is lost; publishing is the way to mend it
            pointer = None
        if pointer is None:
            self._write_pointer(Pointer(current=version))
        elif pointer.current != version:
            earlier = (pointer.current, *(v for v in pointer.previous if v != version))
            self._write_pointer(Pointer(current=version, previous=earlier[: KEPT_VERSIONS - 1]))

    def _write_pointer(self, pointer: Pointer) -> None:
        before = self._pointer.read_bytes() if self._pointer.exists() else None
        try:
            durable.write_bytes(self._pointer, pointer.model_dump_json().encode() + b"\n")
        except OSError:
            # The flush of the folder may have failed after the rename. A job that fails leaves the
            # served version as it was, so the old pointer goes back, if the disk lets it.
            if before is None:
                self._pointer.unlink(missing_ok=True)
            elif self._pointer.read_bytes() != before:
                restored = self._pointer.with_name(f".{self._pointer.name}.restored.tmp")
                restored.write_bytes(before)
                restored.replace(self._pointer)
            raise

    def _sweep(self) -> None:
        """Remove what a killed job left."""
        for leftover in self._versions.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for leftover in self.path.glob(f".{self._pointer.name}.*.tmp"):
            leftover.unlink(missing_ok=True)

    def _discard(self, folder: Path) -> None:
        """Remove a version so that it is never seen half removed."""
        leftover = self._versions / f"{_STAGING}discarded-{folder.name}"
        folder.rename(leftover)
        shutil.rmtree(leftover, ignore_errors=True)

    def _prune(self) -> None:
        """Remove all but the served version, its predecessors and the latest few."""
        pointer = self.pointer()
        named = {pointer.current, *pointer.previous} if pointer else set[str]()
        for folder in sorted(self._versions.glob("[0-9]*"), reverse=True)[KEPT_VERSIONS:]:
            if folder.name not in named:
                with suppress(OSError):  # the publication is done; the next one tries again
                    self._discard(folder)
