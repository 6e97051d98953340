"""Hash models: interactions and, for some, a teacher go in; binary codes come out.

A model is one file with one class, a `Hyperparameters` whose `fit` returns `HashCodes`
(`hash_model`). `parts` holds what several models share and the stages of large ones. To add a
model, write its file and add its line to `HASH_MODELS`; the commands then know its name and
settings, and the contract tests cover it.

Public: `HASH_MODELS`, `HashModel`, `HashCodes`, `hash_model.codes_of_signs`,
`hash_model.require_teacher`.
"""

from __future__ import annotations

from hashrec.training.models.bccf import Bccf
from hashrec.training.models.ch import Ch
from hashrec.training.models.dcf import Dcf
from hashrec.training.models.dgcn_bincf import BinCf, DgcnBinCf
from hashrec.training.models.hash_model import HashCodes, HashModel
from hashrec.training.models.hashed_mf import HashedMf
from hashrec.training.models.itq import Itq
from hashrec.training.models.least_squares import LeastSquares
from hashrec.training.models.listwise import Listwise
from hashrec.training.models.lsh import Lsh
from hashrec.training.models.minhash import MinHash
from hashrec.training.models.pph import Pph

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
