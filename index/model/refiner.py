"""Refinement of a new user's code towards the ranking of a teacher.

An encoder maps a history to a code in one step, which on sparse data loses much information. So
the code is then improved bit by bit, on the loss by which the codes of the known users were
learned. The teacher's scores are stored in a reduced form that needs no training library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import MAX_BITS, BinaryCodes
from hashrec.index.arrays.seen import RowLists, contained
from hashrec.index.backends import HammingIndex
from hashrec.index.model.encoder import CHOICE_PER_REFUSAL
from hashrec.index.strength import UNIT

MAX_LIST = 1_600  # so that sums over all candidates stay below 2^24; see `UserRefiner`
_NEAR = 400  # nearest items of the code that are added to the list
_MAX_FLIPS = 64
_LEAST_GAIN = 1e-4  # reduction of the loss by a flip; less changes no ranking
_UNIT = 2**13  # of the terms of the softmax
_BATCH = 256  # codes searched at a time

Signs = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class UserRefiner:
    """Flips bits of a code while its ranking comes nearer to that of a teacher.

    Item j is scored sum_(i positive) W_ij - 1/4 sum_(i negative) W_ij, with strengths w_i W_ij in
    place of W_ij for the positive ones; the best items outside the
    history are the list. With t its rank weights and pi the softmax of c p^T q over the list and
    the nearest other items, p is changed one bit at a time to lower

        L(p) = log sum_i exp(c p^T q_i) - sum_i t_i c p^T q_i.

    With w and m the mean codes of the items under t and pi, a flip of bit d changes it by exactly

        2 c p_d w_d + log(cosh 2c - p_d m_d sinh 2c),

    so one product with the candidates' codes finds the best flip.

    The terms of sums are integers, which float32 adds exactly below 2^24, and rows of W are added
    in row order. So a history has the same code alone or in a batch, however a product is split.

    Attributes:
        indptr: int64, shape (n_items + 1,): the row of W of item i is in
            `indptr[i]` .. `indptr[i + 1]`.
        items: int32, item rows j, ascending and distinct within a row of W.
        weights: float16, W_ij, on any common scale.
        places: int32, shape (n_places,), t in the order of ranks, on any common scale; their sum is
            below 2^24.
        scale: c.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float16]
    places: NDArray[np.int32]
    scale: float

    def refine(
        self,
        codes: BinaryCodes,
        positives: RowLists,
        negatives: RowLists | None,
        weights: NDArray[np.integer[Any]] | None = None,
        *,
        item_codes: BinaryCodes,
        index: HammingIndex,
    ) -> BinaryCodes:
        """Improve the code of each history; a history without a positive score keeps its code.

        Args:
            codes: the codes to improve.
            positives: item rows that each user chose.
            negatives: item rows that each user refused, one list a user; None if there are none.
            weights: strengths of the `positives.items`, in sixteenths; None if all are 1.
            item_codes: codes of all items.
            index: an index over them.
        """
        refined = codes.packed.copy()
        fetch = min(_NEAR + len(self.places), len(item_codes))
        for start in range(0, len(codes), _BATCH):
            batch = codes[start : start + _BATCH]
            found = index.search(batch, fetch).rows
            signs = batch.to_signs().astype(np.float32)
            for user, (around, p) in enumerate(zip(found, signs, strict=True), start):
                taken = positives[user]
                refused = taken[:0] if negatives is None else negatives[user]
                history = np.union1d(taken, refused)
                part = slice(positives.indptr[user], positives.indptr[user + 1])
                own = None if weights is None else weights[part]
                listed = self._list(taken, refused, history, len(item_codes), own)
                if not len(listed):
                    continue
                near = around[around >= 0]
                near = near[~contained(near, np.union1d(history, listed))][:_NEAR]
                candidates = item_codes[np.concatenate([listed, near])]
                self._flip(p, candidates.to_signs().astype(np.float32), len(listed))
                refined[user] = BinaryCodes.from_signs(p[None]).packed[0]
        return BinaryCodes(refined)

    def check(self, n_items: int) -> None:
        """Check that the parts fit each other and the model.

        Raises:
            ValueError: they do not, or a number is out of range.
        """
        RowLists(self.indptr, self.items).check("user_refiner", n_items, n_items)
        if len(self.weights) != len(self.items) or not np.isfinite(self.weights).all():
            raise ValueError("user_refiner: the weights do not fit the items, or are not finite")
        if not 1 <= len(self.places) <= MAX_LIST:
            raise ValueError(f"user_refiner: {len(self.places)} places, not 1 to {MAX_LIST}")
        if self.places.min() < 0 or not 0 < self.places.sum(dtype=np.int64) < 2**24:
            raise ValueError("user_refiner: the weights of the places are out of range")
        if not 0 < self.scale <= 1:
            raise ValueError(f"user_refiner: a scale of {self.scale}, not above 0 and at most 1")

    def _list(
        self,
        taken: NDArray[np.integer],
        refused: NDArray[np.integer],
        history: NDArray[np.integer],
        n_items: int,
        own: NDArray[np.integer[Any]] | None,
    ) -> NDArray[np.int64]:
        """Return the item rows of the largest positive scores, best first, ties by row."""
        scores = CHOICE_PER_REFUSAL * self._sums(taken, n_items, own)
        if len(refused):
            scores -= (1 if own is None else UNIT) * self._sums(refused, n_items)
        scores[history] = 0
        rows = np.flatnonzero(scores > 0)
        scores = scores[rows]
        if len(rows) > len(self.places):
            last = np.partition(scores, -len(self.places))[-len(self.places)]
            kept = scores >= last
            rows, scores = rows[kept], scores[kept]
        return rows[np.argsort(-scores, kind="stable")][: len(self.places)]

    def _sums(
        self,
        rows: NDArray[np.integer],
        n_items: int,
        own: NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.float64]:
        """Add up some rows of W, each times its own strength if there are strengths."""
        parts = [slice(self.indptr[row], self.indptr[row + 1]) for row in rows]
        if not parts:
            return np.zeros(n_items)
        columns = np.concatenate([self.items[part] for part in parts])
        weights = np.concatenate([self.weights[part] for part in parts])
        if own is not None:
            lengths = [part.stop - part.start for part in parts]
            weights = weights.astype(np.float64) * np.repeat(own, lengths)
        return np.bincount(columns, weights, n_items).astype(np.float64, copy=False)

    def _flip(self, p: Signs, candidates: Signs, n_listed: int) -> None:
        """Flip bits of p, best first, while the loss decreases.

        Args:
            p: +-1, shape (n_bits,); changed in place.
            candidates: codes of the candidates, +-1, shape (n, n_bits), those of the list first.
            n_listed: length of the list.
        """
        places = self.places[:n_listed].astype(np.float32)
        wanted = (places @ candidates[:n_listed]).astype(np.float64) / places.sum(dtype=np.float64)
        cosh, sinh = math.cosh(2 * self.scale), math.sinh(2 * self.scale)
        products = candidates @ p
        for _ in range(_MAX_FLIPS):
            # A step of two in the products is one bit of distance.
            pi = self._decay[((products.max() - products) / 2).astype(np.intp)]
            predicted = (pi @ candidates).astype(np.float64) / pi.sum(dtype=np.float64)
            changes = 2 * self.scale * p * wanted + np.log(cosh - sinh * p * predicted)
            bit = int(changes.argmin())
            if changes[bit] > -_LEAST_GAIN:
                break
            p[bit] = -p[bit]
            products += 2 * p[bit] * candidates[:, bit]

    @cached_property
    def _decay(self) -> Signs:
        """exp(-2 c h) of each distance h in bits beyond the nearest, as integers of a unit."""
        farther = np.arange(MAX_BITS + 1)
        return np.rint(_UNIT * np.exp(-2 * self.scale * farther)).astype(np.float32)
