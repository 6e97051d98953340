"""hashrec: recommendations from binary codes, by Hamming distance.

    import hashrec

    model = hashrec.load("store")
    for item in model.recommend("42", k=5).items:
        print(item.rank, model.title(item.item_id), item.score)

The names below are the Python interface; `docs/python.md` explains each. Importing this package
loads none of them: each is loaded when it is first used, and only training imports torch.

`OMP_WAIT_POLICY=PASSIVE` is set here, because OpenMP threads that spin while they wait slow down
every other thread of the process. OpenMP reads it once, so import hashrec before faiss and torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from hashrec.index.artifacts.store import Store
    from hashrec.index.errors import HashrecError
    from hashrec.index.ranking.recommendation import (
        Explanation,
        Recommendation,
        RecommendedItem,
        SimilarUser,
    )
    from hashrec.model import Model, load

__version__ = importlib.metadata.version("hashrec")

_MODULE_OF = {
    "Explanation": "hashrec.index.ranking.recommendation",
    "HashrecError": "hashrec.index.errors",
    "Model": "hashrec.model",
    "Recommendation": "hashrec.index.ranking.recommendation",
    "RecommendedItem": "hashrec.index.ranking.recommendation",
    "SimilarUser": "hashrec.index.ranking.recommendation",
    "Store": "hashrec.index.artifacts.store",
    "load": "hashrec.model",
}

__all__ = [
    "Explanation",
    "HashrecError",
    "Model",
    "Recommendation",
    "RecommendedItem",
    "SimilarUser",
    "Store",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hashrec' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
