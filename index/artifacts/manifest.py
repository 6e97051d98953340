"""The manifest of an artifact: `manifest.json`."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from hashrec.index.arrays.codes import MAX_BITS
from hashrec.index.errors import ArtifactCorruptError
from hashrec.index.strength import ALIKE, Strength

MANIFEST_FILE = "manifest.json"
MAX_MANIFEST_BYTES = 4 << 20
SCHEMA_VERSION = 1
VERSION_PATTERN = r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$"

Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileEntry(_Record):
    """Size and digest of one file of the artifact."""

    n_bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelInfo(_Record):
    """The hash model that learned the codes, and its settings."""

    name: str
    seed: int
    config: dict[str, JsonValue]


class RerankInfo(_Record):
    """Re-ranking by vectors of `dim` bytes an item, which order the `depth` nearest items."""

    dim: Annotated[int, Field(ge=1)]
    depth: Annotated[int, Field(ge=1)]


class DataInfo(_Record):
    """The data that the codes were learned from.

    Attributes:
        journal_position: position in the journal up to which its events are included; None if no
            event is.
    """

    source: str
    sha256: str
    n_interactions: Count
    journal_position: Count | None = None


class Manifest(_Record):
    """The description of an artifact: everything except its arrays.

    Attributes:
        version: `YYYYMMDDTHHMMSSZ-` and six hex digits of the digest of all files.
        metrics: offline metrics by name, such as `test/ndcg@100`.
        files: every file except the manifest, by name.
        rerank: None if codes alone rank.
        strength: what events are worth to this model, if not all positives are alike or its signs
            of types are not the usual ones; left out of the file otherwise.
    """

    schema_version: Literal[1]
    version: Annotated[str, Field(pattern=VERSION_PATTERN)]
    created_at: Annotated[datetime, Field(strict=False)]
    n_users: Count
    n_items: Annotated[int, Field(ge=1)]
    n_bits: Annotated[int, Field(ge=8, le=MAX_BITS, multiple_of=8)]
    index_type: str
    model: ModelInfo
    data: DataInfo
    metrics: dict[str, float]
    files: dict[str, FileEntry]
    rerank: RerankInfo | None = None
    strength: Strength | None = None

    @property
    def policy(self) -> Strength:
        """What events are worth to this model."""
        return ALIKE if self.strength is None else self.strength

    @model_serializer(mode="wrap")
    def _without_default(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        members: dict[str, Any] = serialise(self)
        if self.strength is None:
            members.pop("strength", None)
        return members

    @property
    def bytes_per_item(self) -> int:
        """Bytes that rank an item: its code and, if the model re-ranks, its vector."""
        return self.n_bits // 8 + (0 if self.rerank is None else self.rerank.dim)

    @property
    def n_bytes(self) -> int:
        """Size of the artifact on disk, without the manifest."""
        return sum(entry.n_bytes for entry in self.files.values())

    @classmethod
    def read(cls, artifact: Path) -> Manifest:
        """Read an artifact's manifest.

        Raises:
            ArtifactCorruptError: the manifest is missing, unreadable, or of another schema.
        """
        path = artifact / MANIFEST_FILE
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_MANIFEST_BYTES:
                raise ArtifactCorruptError(artifact, f"{MANIFEST_FILE} is not a plain small file")
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ArtifactCorruptError(artifact, f"{MANIFEST_FILE}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "document"
            raise ArtifactCorruptError(
                artifact, f"{MANIFEST_FILE}: {where}: {first['msg']}"
            ) from error
