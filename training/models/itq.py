"""ITQ: signs of a teacher's factors, rotated to minimise the quantisation error.

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
from hashrec.training.models.parts.rotation import learned_rotation
from hashrec.training.numerics.device import deterministic, generator
from hashrec.training.numerics.embeddings import Embeddings
from hashrec.training.numerics.factor_forms import balanced, standardised_rows
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
        target_rank: width of the factors if the teacher has no factors.
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
