"""What replies about versions look like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

_SERVED: dict[str, JsonValue] = {
    "current": "20261124T060000Z-9b04e2",
    "previous": ["20261123T060000Z-3f9a1c"],
    "loaded": "20261124T060000Z-9b04e2",
}


class ServedReply(BaseModel):
    """Which version is served."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SERVED]})

    current: Annotated[
        str | None,
        Field(description="The published version that is served; null before the first."),
    ]
    previous: Annotated[
        list[str],
        Field(
            description="Versions served before it, latest first; rollback returns to the first."
        ),
    ]
    loaded: Annotated[
        str | None,
        Field(description="The version in the memory of the process that replies."),
    ]


class VersionReply(BaseModel):
    """One published version."""

    version: str
    is_current: bool
    is_previous: Annotated[bool, Field(description="Whether rollback returns to it.")]
    created_at: datetime
    model: Annotated[str, Field(description="Name of the hash model.")]
    n_bits: Annotated[int, Field(description="Bits of a code.")]
    n_users: int
    n_items: int
    bytes_per_item: Annotated[int, Field(description="Bytes an item takes for ranking.")]
    n_bytes: Annotated[int, Field(description="Size of its files in bytes.")]
    metrics: Annotated[dict[str, float], Field(description="Metrics measured in training.")]


class ModelsReply(ServedReply):
    """The published versions, latest first; one whose manifest is damaged is left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_SERVED,
                    "versions": [
                        {
                            "version": "20261124T060000Z-9b04e2",
                            "is_current": True,
                            "is_previous": False,
                            "created_at": "2026-11-24T06:00:00Z",
                            "model": "listwise",
                            "n_bits": 192,
                            "n_users": 6040,
                            "n_items": 3706,
                            "bytes_per_item": 24,
                            "n_bytes": 9182264,
                            "metrics": {"test/ndcg@100": 0.538},
                        }
                    ],
                }
            ]
        }
    )

    versions: list[VersionReply]


class CompareRequest(BaseModel):
    """For whom two versions are compared."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"users": 500, "k": 10}]}
    )

    users: Annotated[int, Field(ge=1, le=2000, description="Users to draw.")] = 500
    k: Annotated[int, Field(ge=1, le=100, description="Length of the lists.")] = 10


class CompareReply(BaseModel):
    """How the lists of a candidate differ from the served version's. Pairs are in that order."""

    candidate: str
    baseline: Annotated[str, Field(description="The served version.")]
    sample: Annotated[
        Literal["recent", "random"],
        Field(description="Recent users, or random users of the served version."),
    ]
    n_users: int
    k: int
    overlap: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the items of a list that are in the other list."),
    ]
    changed_users: Annotated[
        float, Field(ge=0, le=1, description="Share of the users whose list differs.")
    ]
    rank_shift: Annotated[
        float | None, Field(description="Mean change of rank of the items in both lists.")
    ]
    kendall_tau: Annotated[
        float | None, Field(description="Agreement on the order of items in both lists, -1 to 1.")
    ]
    coverage: Annotated[
        tuple[float, float], Field(description="Share of the catalogue that is in a list.")
    ]
    personal_users: Annotated[
        tuple[float, float], Field(description="Share of the users with a list of their own.")
    ]
