"""An artifact: the immutable folder that training writes and the service reads."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import spread
from hashrec.index.arrays.npy import map_array
from hashrec.index.artifacts import durable
from hashrec.index.artifacts.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    DataInfo,
    FileEntry,
    Manifest,
    ModelInfo,
    RerankInfo,
)
from hashrec.index.backends import DEFAULT_INDEX, HammingIndex, index_named
from hashrec.index.errors import ArtifactCorruptError, ArtifactError, ConfigError, NoRunError
from hashrec.index.model.model import Model
from hashrec.index.strength import Strength

INDEX_FILE = "index.bin"
RUN_FOLDER = "artifact"  # in the folder of a run
HELD_OUT_FILE = "held_out.npy"  # beside it: the pairs that the run held out


def write_artifact(
    folder: Path,
    model: Model,
    *,
    model_info: ModelInfo,
    data_info: DataInfo,
    metrics: Mapping[str, float] | None = None,
    index_type: str = DEFAULT_INDEX,
    created_at: datetime | None = None,
    strength: Strength | None = None,
) -> Manifest:
    """Write an artifact folder: it replaces an earlier one when it is complete, or not at all.

    The manifest names the policy `strength` unless it is the default one.

    Raises:
        ConfigError: the index type is unknown, or the parts of the model do not fit.
        ArtifactError: a write failed; an earlier artifact is still there.
    """
    backend = index_named(index_type)
    try:
        model.check()
    except ValueError as error:
        raise ConfigError(f"cannot write the model: {error}") from error
    staging, replaced = (
        folder.with_name(f".{folder.name}.{os.getpid()}.{purpose}") for purpose in ("tmp", "old")
    )
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        for stem, array in model.arrays().items():
            np.save(staging / f"{stem}.npy", array, allow_pickle=False)
        backend.build(model.item_codes, seed=model_info.seed).save(staging / INDEX_FILE)
        files = {
            path.name: FileEntry(n_bytes=path.stat().st_size, sha256=_sha256(path))
            for path in sorted(staging.iterdir())
        }
        created_at = (created_at or datetime.now(UTC)).replace(microsecond=0)
        digest = hashlib.sha256("".join(entry.sha256 for entry in files.values()).encode())
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            version=f"{created_at:%Y%m%dT%H%M%SZ}-{digest.hexdigest()[:6]}",
            created_at=created_at,
            n_users=len(model.users),
            n_items=len(model.items),
            n_bits=model.item_codes.n_bits,
            index_type=index_type,
            model=model_info,
            data=data_info,
            metrics=dict(metrics or {}),
            files=files,
            rerank=_rerank_info(model),
            strength=None if strength == Strength() else strength,
        )
        _write_manifest(staging, manifest)
        if folder.exists():
            folder.rename(replaced)
        durable.rename_folder(staging, folder)
    except OSError as error:
        if replaced.exists():
            shutil.rmtree(folder, ignore_errors=True)
            replaced.rename(folder)
        raise ArtifactError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)
    return manifest


def record_metrics(folder: Path, metrics: Mapping[str, float]) -> Manifest:
    """Add metrics to the manifest of an artifact that is not published yet."""
    manifest = Manifest.read(folder)
    manifest = manifest.model_copy(update={"metrics": {**manifest.metrics, **metrics}})
    _write_manifest(folder, manifest)
    return manifest


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    content = manifest.model_dump_json(indent=2).encode() + b"\n"
    durable.write_bytes(folder / MANIFEST_FILE, content)


def artifact_of_run(run: Path) -> Path:
    """Return the folder of the artifact that `hashrec train --out RUN` wrote.

    Raises:
        NoRunError: the run has no artifact.
    """
    folder = run / RUN_FOLDER
    if not folder.is_dir():
        raise NoRunError(run)
    return folder


@dataclass(frozen=True, eq=False)
class Artifact:
    """An opened artifact: every array is a read-only memory map, shared between processes."""

    path: Path
    manifest: Manifest
    model: Model
    index: HammingIndex

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Verify an artifact against its manifest and map it into memory.

        Raises:
            ArtifactCorruptError: a file is missing, damaged, misshapen, or not a plain file.
        """
        manifest = Manifest.read(path)
        try:
            _verify_files(path, manifest)
        except OSError as error:
            raise ArtifactCorruptError(path, f"cannot be read: {error.strerror}") from error
        try:
            names = [name.removesuffix(".npy") for name in manifest.files]
            model = Model.from_arrays(lambda name: map_array(path / f"{name}.npy"), names)
            model.check()
        except OSError as error:
            raise ArtifactCorruptError(path, f"{error.filename}: {error.strerror}") from error
        except (ValueError, ConfigError) as error:
            raise ArtifactCorruptError(path, str(error)) from error
        counts = (len(model.users), len(model.items), model.item_codes.n_bits)
        if counts != (manifest.n_users, manifest.n_items, manifest.n_bits):
            raise ArtifactCorruptError(
                path,
                f"holds {counts[0]} users and {counts[1]} items of {counts[2]} bits, "
                f"unlike {MANIFEST_FILE}",
            )
        if _rerank_info(model) != manifest.rerank:
            raise ArtifactCorruptError(path, f"its re-ranking vectors differ from {MANIFEST_FILE}")
        try:
            backend = index_named(manifest.index_type)
        except ConfigError as error:
            raise ArtifactCorruptError(path, str(error)) from error
        index = backend.load(path / INDEX_FILE, manifest.n_bits)
        _check_index(path, index, model.item_codes)
        return cls(path, manifest, model, index)


def _rerank_info(model: Model) -> RerankInfo | None:
    reranker = model.reranker
    return None if reranker is None else RerankInfo(dim=reranker.dim, depth=reranker.depth)


def _verify_files(path: Path, manifest: Manifest) -> None:
    """Compare the files of the folder with the manifest, byte for byte."""
    with os.scandir(path) as entries:
        present = {entry.name: entry for entry in entries}
    present.pop(MANIFEST_FILE, None)
    if missing := manifest.files.keys() - present.keys():
        raise ArtifactCorruptError(path, f"{min(missing)} is missing")
    if unknown := present.keys() - manifest.files.keys():
        raise ArtifactCorruptError(path, f"{min(unknown)} is not in the manifest")
    for name, entry in manifest.files.items():
        if not present[name].is_file(follow_symlinks=False):
            raise ArtifactCorruptError(path, f"{name} is not a plain file")
        n_bytes = present[name].stat().st_size
        if n_bytes != entry.n_bytes:
            raise ArtifactCorruptError(path, f"{name} has {n_bytes} bytes, not {entry.n_bytes}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing releases the GIL
        digests = pool.map(_sha256, (path / name for name in manifest.files))
        for (name, entry), digest in zip(manifest.files.items(), digests, strict=True):
            if digest != entry.sha256:
                raise ArtifactCorruptError(path, f"{name} does not match its SHA-256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_index(path: Path, index: HammingIndex, codes: BinaryCodes) -> None:
    """Search for some of the items and recompute the distances that the index returns.

    An index can match its digest and still belong to other codes.
    """
    if len(index) != len(codes):
        raise ArtifactCorruptError(path, f"the index holds {len(index)} items, not {len(codes)}")
    probes = codes[np.array(spread(len(codes), 16))]
    found = index.search(probes, min(8, len(codes)))
    for position in range(len(probes)):
        rows = found.rows[position][found.rows[position] >= 0]
        expected = probes[position].hamming(codes[rows])[0]
        if not len(rows) or not np.array_equal(found.distances[position][: len(rows)], expected):
            raise ArtifactCorruptError(path, "the index does not belong to the item codes")
