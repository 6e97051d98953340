"""ITQ: signs of a teacher's factors, turned so that signs lose as little as a turn can make them.

Gong and Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
CVPR 2011.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from hashrec.training.data.interactions import Interactions
from hashrec.training.models.hash_model import CodeWidth, HashCodes, codes_of_signs, require_teacher
from hashrec.training.models.least_squares import standardised_rows
from hashrec.training.models.start import balanced
from hashrec.training.numerics.binarize import signs
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factorization import factors_of
from hashrec.training.numerics.hyperparameters import Hyperparameters
from hashrec.training.numerics.scorer import Scorer
from hashrec.training.progress import Progress


class Itq(Hyperparameters):
    """Codes B = sign(X R) with the R that minimises the quantisation error |B - X R|^2.

    X holds users above items, so one R turns both and inner products stay. With the codes fixed the
    best R is given by a singular value decomposition, with R fixed the best codes are signs,

        X^T B = S Omega T^T,    R = S T^T,    B = sign(X R),

    and neither step can raise the error. R starts at random, which is LSH with orthogonal
    projections. The original takes as many bits as X has columns and a square R. Here codes may be
    wider, R has orthonormal rows, R R^T = I, and the solution is the same, as |X R| is fixed still.

    The original reduces one kind of vector by principal components. Here X is the teacher's: items
    of mean 0, each user's scores of variance 1 (`standardised_rows`), the score matrix decomposed
    into its `n_bits` largest singular values at most. Users keep their mean, which is most of what
    makes an item popular. Both sides are scaled to one sum of squares a row: the error counts a
    user as much as an item.

    Attributes:
        n_bits: width of the codes, a multiple of 8.
        target_rank: of the factors of a teacher that has none of its own.
        iterations: each improves R, then the codes.
    """

    needs_teacher: ClassVar[bool] = True
    default_teacher: ClassVar[str] = "denoised-ease"

    n_bits: CodeWidth = 192
    target_rank: PositiveInt = 64
    iterations: NonNegativeInt = 50

    def fit(
        self,
        train: Interactions,
        teacher: Scorer | None,
        *,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> HashCodes:
        """Alternate between codes and R; see `HashModel.fit`."""
        teacher = require_teacher(teacher, train)
        train.require_any()
        factors = factors_of(teacher, self.target_rank, seed=seed, device=device, progress=progress)
        X = stacked(factors, self.n_bits, device)
        with deterministic(device):
            R = learned_rotation(
                X,
                self.n_bits,
                iterations=self.iterations,
                random=generator(device, seed, 9),
                progress=progress,
                loop="ITQ iterations",
            )
            users, items = (X @ R).split((train.n_users, train.n_items))
        return codes_of_signs(train, users, items)


def stacked(factors: Embeddings, width: int, device: torch.device) -> Tensor:
    """Return X, float32, shape (n_users + n_items, at most `width`), of mean square 1."""
    sides = (side[:, :width] for side in balanced(standardised_rows(factors)))
    X = np.vstack([side / max(np.sqrt(np.square(side).mean()), 1e-12) for side in sides])
    return torch.from_numpy(X.astype(np.float32)).to(device)


def learned_rotation(
    X: Tensor,
    n_bits: int,
    *,
    iterations: int,
    random: torch.Generator,
    progress: Progress,
    loop: str,
) -> Tensor:
    """Return R, R R^T = I, float32, shape (d, n_bits), that leaves |sign(X R) - X R|^2 small.

    Args:
        X: float32, shape (n, d), d <= n_bits.
        n_bits: columns of R.
        iterations: each improves the codes, then R.
        random: of the R to start from; on the device of X.
        progress: shows the iterations and records `quantisation_error`.
        loop: as what it shows them.
    """
    R = random_frame(X.shape[1], n_bits, random)
    for _ in progress.track(loop, iterations):
        R = best_rotation(X, signs(X @ R))
        progress.log(loss=quantisation_error(X, R))
    return R


def random_frame(n_rows: int, n_columns: int, random: torch.Generator) -> Tensor:
    """Return random orthonormal rows, float32, shape (n_rows, n_columns), n_rows <= n_columns."""
    tall = torch.randn((n_columns, n_rows), generator=random, device=random.device)
    return torch.linalg.qr(tall).Q.T


def best_rotation(X: Tensor, B: Tensor) -> Tensor:
    """Return the R with R R^T = I that minimises |B - X R|^2 (orthogonal Procrustes)."""
    S, _, Th = torch.linalg.svd((X.T @ B).double(), full_matrices=False)
    return (S @ Th).float()


def quantisation_error(X: Tensor, R: Tensor) -> float:
    """Return |sign(X R) - s X R|^2 over its number of entries, s X R having a mean square of 1.

    The scale does not decide which R is best. It makes the error 2 - 2 sum |X R| / (sqrt(entries)
    |X|): 0 if all entries are +-1, 2 - 2 sqrt(2 / pi) = .404 if they are Gaussian.
    """
    turned = X @ R
    size = turned.double().norm().item()
    if not size:
        return 1.0
    return 2 - 2 * turned.abs().double().sum().item() / (size * turned.numel() ** 0.5)
