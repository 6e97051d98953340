"""Check of the store: readable, intact, and with disk space for the next version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hashrec.index.artifacts.manifest import Manifest
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ArtifactError, NoArtifactError
from hashrec.service.doctor.finding import Deployment, Finding, size

CHECK = "store"
LOW_SHARE = 0.05  # free share of a disk
CLOCK_SLACK_S = 300.0


def check_store(deployment: Deployment) -> Iterator[Finding]:
    """Open the served version as the service does, and check the free disk space."""
    path = deployment.store
    if not path.is_dir():
        yield Finding(
            CHECK, "problem", f"{path}: no such folder",
            f"pass --store FOLDER, or run `hashrec publish RUN --store {path}`",
        )  # fmt: skip
        return
    try:
        manifest = Store(path).open().manifest
    except NoArtifactError:
        yield Finding(
            CHECK, "problem", f"{path}: no published version",
            f"run `hashrec publish RUN --store {path}`; the service waits for a version",
        )  # fmt: skip
    except ArtifactError as error:
        yield Finding(
            CHECK, "problem", str(error),
            f"`hashrec rollback --store {path}` returns to the previous version",
        )  # fmt: skip
    except OSError as error:
        yield Finding(
            CHECK, "problem", f"{error.filename or path}: {error.strerror}",
            "give the user of the service read access to the store",
        )  # fmt: skip
    else:
        yield from _of_version(path, manifest)
    if not os.access(path, os.W_OK):
        yield Finding(
            CHECK,
            "ok",
            f"{path} cannot be written by this user: versions must be published elsewhere",
        )


def _of_version(path: Path, manifest: Manifest) -> Iterator[Finding]:
    n_bytes = manifest.n_bytes
    yield Finding(
        CHECK, "ok",
        f"{manifest.version} is served and matches its checksums: {manifest.n_users:,} users, "
        f"{manifest.n_items:,} items, {manifest.n_bits} bits, {size(n_bytes)}",
    )  # fmt: skip
    age = (datetime.now(UTC) - manifest.created_at).total_seconds()
    if age < -CLOCK_SLACK_S:
        yield Finding(
            "clock", "warning",
            f"{manifest.version} is dated {-age / 60:,.0f} minutes in the future",
            "correct the clock of this machine, or of the training machine",
        )  # fmt: skip
    if manifest.model.name != "popularity" and "user_encoder.weights.npy" not in manifest.files:
        yield Finding(
            CHECK, "warning", f"{manifest.version} cannot encode new users",
            "train and publish it again with this release",
        )  # fmt: skip
    disk = shutil.disk_usage(path)
    free = f"{size(disk.free)} free of {size(disk.total)} at {path}"
    if disk.free < n_bytes:
        yield Finding(
            "disk", "problem", f"{free}, and a version takes {size(n_bytes)}",
            "free disk space: no version can be published",
        )  # fmt: skip
    elif disk.free < max(3 * n_bytes, LOW_SHARE * disk.total):
        yield Finding("disk", "warning", free, "free disk space before the next versions")
    else:
        yield Finding("disk", "ok", free)


def served_manifest(path: Path) -> Manifest:
    """Return the manifest of the served version; its other files are not checked.

    Raises:
        ArtifactError: no version is served, or its manifest cannot be read.
    """
    store = Store(path)
    return Manifest.read(store.folder(store.current()))
