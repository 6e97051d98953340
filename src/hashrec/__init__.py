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
    from hashrec.jobs import evaluate, publish, read, retrain, train
    from hashrec.model import Model, load
    from hashrec.training.data.catalogue import Dataset
    from hashrec.training.data.interactions import Interactions
    from hashrec.training.jobs.report import Report

__version__ = importlib.metadata.version("hashrec")

_MODULE_OF = {
    "Dataset": "hashrec.training.data.catalogue",
    "Explanation": "hashrec.index.ranking.recommendation",
    "HashrecError": "hashrec.index.errors",
    "Interactions": "hashrec.training.data.interactions",
    "Model": "hashrec.model",
    "Recommendation": "hashrec.index.ranking.recommendation",
    "RecommendedItem": "hashrec.index.ranking.recommendation",
    "Report": "hashrec.training.jobs.report",
    "SimilarUser": "hashrec.index.ranking.recommendation",
    "Store": "hashrec.index.artifacts.store",
    "evaluate": "hashrec.jobs",
    "load": "hashrec.model",
    "publish": "hashrec.jobs",
    "read": "hashrec.jobs",
    "retrain": "hashrec.jobs",
    "train": "hashrec.jobs",
}

__all__ = [
    "Dataset",
    "Explanation",
    "HashrecError",
    "Interactions",
    "Model",
    "Recommendation",
    "RecommendedItem",
    "Report",
    "SimilarUser",
    "Store",
    "__version__",
    "evaluate",
    "load",
    "publish",
    "read",
    "retrain",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hashrec' has no attribute {name!r}")
    try:
        module = importlib.import_module(_MODULE_OF[name])
    except ModuleNotFoundError as error:
        raise ImportError(
            f"hashrec.{name} needs {error.name}: pip install 'hashrec[training]'"
        ) from error
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
