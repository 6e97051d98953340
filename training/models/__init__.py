"""Hash models: interactions and a teacher in, binary codes out.

To add one, write its file and add its line here; the contract tests then cover it.
"""

from __future__ import annotations

from training.models.dgcn_bincf import BinCf, DgcnBinCf
from training.models.hash_model import HashCodes, HashModel
from training.models.least_squares import LeastSquares
from training.models.listwise import Listwise

__all__ = ["HASH_MODELS", "HashCodes", "HashModel"]

HASH_MODELS: dict[str, type[HashModel]] = {
    "bincf": BinCf,
    "dgcn-bincf": DgcnBinCf,
    "least-squares": LeastSquares,
    "listwise": Listwise,
}
