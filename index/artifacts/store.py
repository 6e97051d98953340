"""A store: published versions, and a pointer to the served one.

    STORE/versions/20261123T060000Z-3f9a1c/   complete artifacts, never changed
    STORE/CURRENT                             the served version and the ones before it
    STORE/.publication.lock                   held by the job that writes

A version folder gets its name when it is complete, and then the pointer is replaced, so a job that
is killed at any moment does not change the served version.
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
    """The content of `CURRENT`: the served version and its predecessors.

    Attributes:
        current: the served version.
        previous: the versions served before, latest first; a rollback returns to the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    current: str
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One published version as `hashrec versions` lists it.

    Attributes:
        is_previous: whether a rollback returns to this version.
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
    """The versions in one folder. Reading takes no lock and writes nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._versions = self.path / "versions"
        self._pointer = self.path / "CURRENT"

    def pointer(self) -> Pointer | None:
        """Return the pointer, or None before the first publication.

        Raises:
            ArtifactCorruptError: the pointer file is unreadable.
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
            NoArtifactError: no version was published yet.
        """
        pointer = self.pointer()
        if pointer is None:
            raise NoArtifactError(self.path)
        return pointer.current

    def folder(self, version: str) -> Path:
        """Return a version's folder.

        Raises:
            UnknownVersionError: the store does not have the version.
        """
        if not re.fullmatch(VERSION_PATTERN, version) or not (self._versions / version).is_dir():
            raise UnknownVersionError(self.path, version)
        return self._versions / version

    def open(self, version: str | None = None) -> Artifact:
        """Verify and open a version, by default the served one.

        Raises:
            NoArtifactError: no version was published yet.
            UnknownVersionError: the store does not have the version.
            ArtifactCorruptError: the version does not match its manifest.
        """
        artifact = Artifact.open(self.folder(self.current() if version is None else version))
        if artifact.manifest.version != artifact.path.name:
            raise ArtifactCorruptError(
                artifact.path, f"the manifest names version {artifact.manifest.version}"
            )
        return artifact

    def served(self) -> Manifest | None:
        """Return the manifest of the served version, or None if no intact version is served."""
        try:
            return self.open().manifest
        except ArtifactError:
            return None

    def versions(self) -> list[VersionInfo]:
        """List the published versions, latest first, without those whose manifest is damaged.

        Raises:
            NoArtifactError: no version was published yet.
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
                    n_bytes=manifest.n_bytes,
                    metrics=manifest.metrics,
                )
            )
        return found

    @contextmanager
    def writing(self, job: str = "publication") -> Generator[None]:
        """Lock the store for one job of a kind.

        Args:
            job: kind of the job; a publication may run inside a retraining.

        Raises:
            StoreBusyError: another job of the kind holds the lock.
            ArtifactError: the folder cannot be written.
        """
        with self._reporting_disk_errors():
            self._versions.mkdir(parents=True, exist_ok=True)
            lock = (self.path / f".{job}.lock").open("ab+", buffering=0)
        with lock:
            with self._reporting_disk_errors():
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
    def _reporting_disk_errors(self) -> Generator[None]:
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

        A version that is published again is served again, and replaced if it was damaged.

        Args:
            artifact: the folder.
            activate: False does not change the served version, so that both can be compared.

        Returns:
            The version.

        Raises:
            ArtifactCorruptError: the folder does not match its manifest; the store is unchanged.
            StoreBusyError: another job is writing to the store.
            ArtifactError: a write failed; the served version is unchanged.
        """
        manifest = Artifact.open(artifact).manifest
        with self.writing(), self._reporting_disk_errors():
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
            UnknownVersionError: the store does not have the version.
            ArtifactCorruptError: it does not match its manifest; the served version is unchanged.
            StoreBusyError: another job is writing to the store.
        """
        self.folder(version)  # raises for an unknown version, before a store is created
        with self.writing(), self._reporting_disk_errors():
            self.open(version)
            self._serve(version)

    def rollback(self) -> str:
        """Serve the version that was served before the current one.

        Returns:
            The version that is now served.

        Raises:
            NoArtifactError: no version was published yet.
            NoEarlierVersionError: there is no earlier version.
            ArtifactCorruptError: the earlier version is damaged; the served version is unchanged.
            StoreBusyError: another job is writing to the store.
        """
        self.current()
        with self.writing(), self._reporting_disk_errors():
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
        """Tell whether the store has an intact copy of a version."""
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
        Artifact.open(staging)  # verify the copy, not only the source
        if (damaged := self._versions / manifest.version).exists():
            self._discard(damaged)
        durable.rename_folder(staging, self._versions / manifest.version)

    def _serve(self, version: str) -> None:
        try:
            pointer = self.pointer()
        except ArtifactCorruptError:  # its history is lost; a publication replaces it
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
            # The flush of the folder may have failed after the rename. A failed job must not change
            # the served version, so restore the old pointer, if the disk allows it.
            if before is None:
                self._pointer.unlink(missing_ok=True)
            elif self._pointer.read_bytes() != before:
                restored = self._pointer.with_name(f".{self._pointer.name}.restored.tmp")
                restored.write_bytes(before)
                restored.replace(self._pointer)
            raise

    def _sweep(self) -> None:
        """Remove files that killed jobs left."""
        for leftover in self._versions.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for leftover in self.path.glob(f".{self._pointer.name}.*.tmp"):
            leftover.unlink(missing_ok=True)

    def _discard(self, folder: Path) -> None:
        """Remove a version; rename it first, so that no reader sees a part of it."""
        leftover = self._versions / f"{_STAGING}discarded-{folder.name}"
        folder.rename(leftover)
        shutil.rmtree(leftover, ignore_errors=True)

    def _prune(self) -> None:
        """Remove all versions except the served one, its predecessors and the latest few."""
        pointer = self.pointer()
        named = {pointer.current, *pointer.previous} if pointer else set[str]()
        for folder in sorted(self._versions.glob("[0-9]*"), reverse=True)[KEPT_VERSIONS:]:
            if folder.name not in named:
                with suppress(OSError):  # the publication succeeded; the next one tries again
                    self._discard(folder)
