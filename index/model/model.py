"""`Model`: the result of a training run that serving needs, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.ids import IdMap
from hashrec.index.arrays.seen import RowLists, SeenItems
from hashrec.index.arrays.strings import StringArray, ascending
from hashrec.index.model.encoder import Encoder, ItemEncoder, UserEncoder
from hashrec.index.model.items import ItemTable
from hashrec.index.model.recent import RecentCounts
from hashrec.index.model.refiner import UserRefiner
from hashrec.index.model.reranker import Reranker
from hashrec.index.model.seen_strengths import SeenStrengths

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Model:
    """Codes, ids, seen items and attributes. Item rows are in descending popularity.

    Attributes:
        popularity: int64, shape (n_items,), users of each item, descending.
        encoder: encodes new users and items; None in artifacts of releases without encoders.
        refiner: improves the codes of new users by a teacher's ranking; None leaves them as they
            are encoded.
        reranker: re-orders the nearest items of the users; None leaves Hamming order.
        recent: interactions by item and day; None where the data have no times, and in artifacts
            of older releases.
        strengths: how strongly users have the `seen` items; None if all are alike.
    """

    user_codes: BinaryCodes
    item_codes: BinaryCodes
    users: IdMap
    items: IdMap
    seen: SeenItems
    popularity: NDArray[np.int64]
    item_table: ItemTable
    encoder: Encoder | None = None
    refiner: UserRefiner | None = None
    reranker: Reranker | None = None
    recent: RecentCounts | None = None
    strengths: SeenStrengths | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every array by name, as an artifact stores them."""
        return {
            "user_codes": self.user_codes.packed,
            "item_codes": self.item_codes.packed,
            "popularity": self.popularity,
            **_id_arrays("user_ids", self.users),
            **_id_arrays("item_ids", self.items),
            **_list_arrays("seen", self.seen),
            **_string_arrays("item_attributes", self.item_table.attributes),
            **_id_arrays("categories", self.item_table.categories),
            **_list_arrays("category_items", self.item_table.category_items),
            **({"hidden_items": hidden} if len(hidden := self.item_table.hidden) else {}),
            **({} if self.encoder is None else _encoder_arrays(self.encoder)),
            **({} if self.refiner is None else _refiner_arrays(self.refiner)),
            **({} if self.reranker is None else _reranker_arrays(self.reranker)),
            **({} if self.recent is None else _recent_arrays(self.recent)),
            **({} if self.strengths is None else _strength_arrays(self.strengths)),
        }

    @classmethod
    def from_arrays(cls, load: Callable[[str], NDArray[Any]], names: Collection[str]) -> Model:
        """Build a model from its arrays.

        Args:
            load: returns the array of a name; see `arrays`.
            names: names of the stored arrays; an optional part is loaded if any of its arrays is
                stored.

        Raises:
            ValueError: an array has the wrong type or number of dimensions, or is empty where it
                must not be.
        """

        def array(name: str, dtype: type[Scalar], ndim: int = 1) -> NDArray[Scalar]:
            loaded = load(name)
            _require(
                loaded.dtype == dtype and loaded.ndim == ndim,
                f"{name} is {loaded.ndim}-d {loaded.dtype}, not {ndim}-d {np.dtype(dtype)}",
            )
            return loaded

        def strings(name: str) -> StringArray:
            offsets = array(f"{name}.offsets", np.int64)
            _require(len(offsets) > 0, f"{name}.offsets is empty")
            return StringArray(array(f"{name}.blob", np.uint8), offsets)

        def ids(name: str) -> IdMap:
            hashes, rows = array(f"{name}.hashes", np.uint64), array(f"{name}.rows", np.int32)
            return IdMap(strings(name), hashes, rows)

        def lists(name: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
            indptr = array(f"{name}.indptr", np.int64)
            _require(len(indptr) > 0, f"{name}.indptr is empty")
            return indptr, array(f"{name}.items", np.int32)

        def single(name: str, dtype: type[Scalar]) -> Scalar:
            values = array(name, dtype)
            _require(len(values) == 1, f"{name} has {len(values)} values, not one")
            return values[0]

        def part(name: str) -> bool:
            return any(stored.startswith(f"{name}.") for stored in names)

        def encoder() -> Encoder:
            users = UserEncoder(
                array("user_encoder.weights", np.int8, 2), array("user_encoder.bias", np.int32)
            )
            items = ItemEncoder(
                array("item_encoder.weights", np.int8, 2), array("item_encoder.bias", np.int32)
            )
            return Encoder(users, items)

        def refiner() -> UserRefiner:
            indptr, items = lists("user_refiner")
            return UserRefiner(
                indptr,
                items,
                weights=array("user_refiner.weights", np.float16),
                places=array("user_refiner.places", np.int32),
                scale=float(single("user_refiner.scale", np.float64)),
            )

        def reranker() -> Reranker:
            return Reranker(
                items=array("reranker.items", np.int8, 2),
                users=array("reranker.users", np.int8, 2),
                weights=array("reranker.weights", np.int32),
                depth=int(single("reranker.depth", np.int64)),
            )

        def recent() -> RecentCounts:
            indptr, items = lists("recent")
            counts = array("recent.counts", np.int32)
            return RecentCounts(int(single("recent.until", np.int64)), indptr, items, counts)

        def strengths() -> SeenStrengths:
            recency = "seen.recency"
            return SeenStrengths(
                array("seen.amounts", np.uint16),
                array(recency, np.uint8) if recency in names else None,
            )

        return cls(
            user_codes=BinaryCodes(array("user_codes", np.uint8, 2)),
            item_codes=BinaryCodes(array("item_codes", np.uint8, 2)),
            users=ids("user_ids"),
            items=ids("item_ids"),
            seen=SeenItems(*lists("seen")),
            popularity=array("popularity", np.int64),
            item_table=ItemTable(
                attributes=strings("item_attributes"),
                categories=ids("categories"),
                category_items=RowLists(*lists("category_items")),
                hidden=(
                    array("hidden_items", np.int32)
                    if "hidden_items" in names
                    else np.empty(0, dtype=np.int32)
                ),
            ),
            encoder=encoder() if part("user_encoder") or part("item_encoder") else None,
            refiner=refiner() if part("user_refiner") else None,
            reranker=reranker() if part("reranker") else None,
            recent=recent() if part("recent") else None,
            strengths=strengths() if "seen.amounts" in names else None,
        )

    def check(self) -> None:
        """Check that the parts fit each other.

        Raises:
            ValueError: they do not; the message names the first contradiction.
        """
        n_users, n_items = len(self.users), len(self.items)
        _require(n_items > 0, "the model has no item")
        _require(len(self.user_codes) == n_users, "user codes and user ids differ in number")
        _require(len(self.item_codes) == n_items, "item codes and item ids differ in number")
        _require(self.user_codes.n_bits == self.item_codes.n_bits, "code widths differ")
        _require(len(self.popularity) == n_items, "popularity and item ids differ in number")
        _require(
            ascending(self.popularity, descending=True),
            "item rows are not in descending popularity",
        )
        _require(int(self.popularity[-1]) >= 0, "an item's popularity is negative")
        _require(
            len(self.item_table.attributes) == n_items,
            "item attributes and item ids differ in number",
        )
        self.users.check("user_ids")
        self.items.check("item_ids")
        self.seen.check("seen", n_users, n_items)
        self.item_table.check(n_items)
        if self.encoder is not None:
            self.encoder.check(n_items, self.item_codes.n_bits)
        if self.refiner is not None:
            self.refiner.check(n_items)
        if self.reranker is not None:
            self.reranker.check(n_users, n_items)
        if self.recent is not None:
            self.recent.check(n_items)
        if self.strengths is not None:
            self.strengths.check(len(self.seen.items))


def _id_arrays(name: str, ids: IdMap) -> dict[str, NDArray[Any]]:
    return {
        **_string_arrays(name, ids.strings),
        f"{name}.hashes": ids.hashes,
        f"{name}.rows": ids.rows,
    }


def _string_arrays(name: str, strings: StringArray) -> dict[str, NDArray[Any]]:
    return {f"{name}.blob": strings.blob, f"{name}.offsets": strings.offsets}


def _list_arrays(name: str, lists: RowLists) -> dict[str, NDArray[Any]]:
    return {f"{name}.indptr": lists.indptr, f"{name}.items": lists.items}


def _encoder_arrays(encoder: Encoder) -> dict[str, NDArray[Any]]:
    return {
        "user_encoder.weights": encoder.users.weights,
        "user_encoder.bias": encoder.users.bias,
        "item_encoder.weights": encoder.items.weights,
        "item_encoder.bias": encoder.items.bias,
    }


def _refiner_arrays(refiner: UserRefiner) -> dict[str, NDArray[Any]]:
    return {
        "user_refiner.indptr": refiner.indptr,
        "user_refiner.items": refiner.items,
        "user_refiner.weights": refiner.weights,
        "user_refiner.places": refiner.places,
        "user_refiner.scale": np.array([refiner.scale]),
    }


def _reranker_arrays(reranker: Reranker) -> dict[str, NDArray[Any]]:
    return {
        "reranker.items": reranker.items,
        "reranker.users": reranker.users,
        "reranker.weights": reranker.weights,
        "reranker.depth": np.array([reranker.depth], dtype=np.int64),
    }


def _recent_arrays(recent: RecentCounts) -> dict[str, NDArray[Any]]:
    return {
        "recent.until": np.array([recent.until], dtype=np.int64),
        "recent.indptr": recent.indptr,
        "recent.items": recent.items,
        "recent.counts": recent.counts,
    }


def _strength_arrays(strengths: SeenStrengths) -> dict[str, NDArray[Any]]:
    recency = strengths.recency
    return {
        "seen.amounts": strengths.amounts,
        **({} if recency is None else {"seen.recency": recency}),
    }


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
