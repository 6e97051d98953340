"""What is compared: data sets and how each is judged, and methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALL_WIDTHS = (64, 128, 192, 256)


@dataclass(frozen=True)
class Protocol:
    """How a data set is read, split and judged.

    Attributes:
        title: for people.
        options: of `hashrec train`; what is not here has its default.
        widths: of the codes compared, in bits.
        fixed_split: the test part comes with the data, so there is only one.
        invented: arguments of `synthetic_catalogue`, for a set that is made rather than found.
    """

    title: str
    options: Mapping[str, Any]
    widths: tuple[int, ...] = ALL_WIDTHS
    fixed_split: bool = False
    invented: Mapping[str, int] | None = None

    @property
    def k(self) -> int:
        """Length of the lists judged."""
        return self.options["k"]


DATASETS = {
    "ml-1m": Protocol("MovieLens-1M, the paper's protocol", {"preset": "paper", "k": 100}),
    "gowalla": Protocol("Gowalla", {"split": "given", "k": 20}, (256,), fixed_split=True),
    "yelp2018": Protocol("Yelp2018", {"split": "given", "k": 20}, (256,), fixed_split=True),
    "ml-100k": Protocol("MovieLens-100K, unfiltered", {"k": 100}),
    "synthetic-dense": Protocol(
        "Invented, dense and tiny",
        {"k": 20},
        invented={"n_users": 300, "n_items": 150, "n_interactions": 9_000},
    ),
    "synthetic-sparse": Protocol(
        "Invented, sparse and wide",
        {"k": 20},
        invented={"n_users": 6_000, "n_items": 8_000, "n_interactions": 80_000, "n_groups": 16},
    ),
}


@dataclass(frozen=True)
class HashMethod:
    """A hash model at its defaults.

    Attributes:
        title: in tables.
        options: of `hashrec train`.
        ranked_by: which figure of a report is meant, `codes` or, where vectors re-rank, `reranked`.
        left_open: settings that the job chooses by itself, so that no two reports need agree.
        also_in: another method whose run holds this one's figures too, if made with `options`.
    """

    title: str
    options: Mapping[str, str]
    ranked_by: str = "codes"
    left_open: tuple[str, ...] = ()
    also_in: str | None = None


@dataclass(frozen=True)
class FloatMethod:
    """A float model, at its defaults but for `settings`."""

    title: str
    teacher: str
    settings: Mapping[str, Any] = field(default_factory=dict)


_CHOSEN = ("model.perplexity", "teacher")
HASH_METHODS = {
    # The codes are the same whether or not vectors are chosen to re-rank them.
    "auto": HashMethod(
        "hashrec (auto), codes alone", {"model": "auto"}, left_open=(*_CHOSEN, "rerank")
    ),
    "auto-reranked": HashMethod(
        "hashrec (auto), re-ranked",
        {"model": "auto", "rerank": "auto"},
        ranked_by="reranked",
        left_open=_CHOSEN,
        also_in="auto",
    ),
    "listwise": HashMethod("listwise, default teacher", {"model": "listwise"}),
    "least-squares": HashMethod("least-squares", {"model": "least-squares"}),
    "dgcn-bincf": HashMethod("DGCN-BinCF", {"model": "dgcn-bincf"}),
    "bincf": HashMethod("BinCF", {"model": "bincf"}),
}
FLOAT_METHODS = {
    "popularity": FloatMethod("popularity", "popularity"),
    "ials-64": FloatMethod("iALS, 64 factors", "ials", {"factors": 64}),
    "ials-192": FloatMethod("iALS, 192 factors", "ials", {"factors": 192}),
    "ease": FloatMethod("EASE", "ease"),
    "denoised-ease": FloatMethod("EASE, denoised", "denoised-ease"),
    "graph-filter": FloatMethod("graph filter", "graph-filter"),
    "blend": FloatMethod("blend", "blend"),
    "gcn-cf": FloatMethod("GCN-CF", "gcn-cf"),
}
# `auto` is listwise with what it leaves open chosen, and GCN-CF is judged beside DGCN-BinCF anyway.
OPTIONAL_METHODS = ("listwise", "gcn-cf")
METHODS = tuple(name for name in (*FLOAT_METHODS, *HASH_METHODS) if name not in OPTIONAL_METHODS)
