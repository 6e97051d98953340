"""Hash models: interactions and a teacher in, binary codes out.

To add one, write its file and add its line here; the contract tests then cover it.
"""

from __future__ import annotations

from training.models.bccf import Bccf
from training.models.ch import Ch
from training.models.dcf import Dcf
from training.models.dgcn_bincf import BinCf, DgcnBinCf
from training.models.hash_model import HashCodes, HashModel
from training.models.hashed_mf import HashedMf
from training.models.itq import Itq
from training.models.least_squares import LeastSquares
from training.models.listwise import Listwise
from training.models.lsh import Lsh
from training.models.minhash import MinHash
from training.models.pph import Pph

__all__ = ["HASH_MODELS", "HashCodes", "HashModel"]

HASH_MODELS: dict[str, type[HashModel]] = {
    "bccf": Bccf,
    "bincf": BinCf,
    "ch": Ch,
    "dcf": Dcf,
    "dgcn-bincf": DgcnBinCf,
    "hashed-mf": HashedMf,
    "itq": Itq,
    "least-squares": LeastSquares,
    "listwise": Listwise,
    "lsh": Lsh,
    "minhash": MinHash,
    "pph": Pph,
}
