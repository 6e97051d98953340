"""LSH: signs of random projections of a teacher's factors.

Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002; for inner products
Neyshabur and Srebro, "On Symmetric and Asymmetric LSHs for Inner Product Search", ICML 2015.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import (
    CodeWidth,
    HashCodes,
    packed_signs,
    require_teacher,
)
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.factor_forms import balanced, standardised_rows
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress


class Lsh(Hyperparameters):
    """Codes sign(a_d^T x), d = 1 .. n_bits, with Gaussian a_d; nothing is learned.

    A random hyperplane parts two vectors at an angle theta with chance theta / pi, so

        E[hamming(x, y)] = n_bits theta(x, y) / pi.

    The p-stable family (Datar et al., SoCG 2004) starts from the same projections but rounds them
    to buckets, floor((a^T x + b) / w), for tables that look up equal buckets. A Hamming index needs
    bits whose differences can be counted, which buckets do not have.

    **From inner products to angles.** The teacher scores by u^T v. Its factors are first written so
    that items have mean 0 and both sides the same singular values (`standardised_rows`,
    `balanced`), which changes no user's ranking. A user's length changes none either, an item's
    does: with M the greatest length of an item, `augmented` adds one coordinate,

        x_u = [u, 0],    y_v = [v, sqrt(M^2 - |v|^2)],    cos theta(x_u, y_v) = u^T v / (M |u|),

    so the angle falls as the score rises. Without it items are ranked by cos theta(u, v).

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        target_rank: width of the factors if the teacher has no factors.
        augmented: keep the lengths of items; if false, rank by the cosine alone.
    """

    needs_teacher: ClassVar[bool] = True
    default_teacher: ClassVar[str] = "denoised-ease"

    n_bits: CodeWidth = 192
    target_rank: PositiveInt = 64
    augmented: bool = True

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Project and take signs; see `HashModel.fit`."""
        teacher = require_teacher(teacher, train)
        train.require_any()
        factors = factors_of(teacher, self.target_rank, seed=seed, device=device, progress=progress)
        users, items = balanced(standardised_rows(factors))
        if self.augmented:
            users, items = augment(users, items)
        with deterministic(device):
            A = torch.randn(
                (users.shape[1], self.n_bits), generator=generator(device, seed, 8), device=device
            )
            codes = sign_projections(users, A), sign_projections(items, A)
        return HashCodes.fitted(train, *codes)


def augment(
    users: NDArray[np.floating], items: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Append the coordinate that gives all items the length of the longest; users get a 0."""
    squares = np.square(items).sum(axis=1, keepdims=True)
    missing = np.sqrt(squares.max(initial=0) - squares)
    return np.hstack([users, np.zeros((len(users), 1))]), np.hstack([items, missing])


def sign_projections(rows: NDArray[np.floating], A: Tensor) -> BinaryCodes:
    """Return the signs of rows A.

    Args:
        rows: float, shape (n, d).
        A: float32, shape (d, n_bits).
    """
    X = torch.from_numpy(rows.astype(np.float32)).to(A.device)
    return packed_signs(X @ A)
