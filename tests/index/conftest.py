"""A small model that every test of artifacts and stores is about."""

from __future__ import annotations

from pathlib import Path

import faiss
import pytest
from small_models import model_of, write

from hashrec.index.model.model import Model


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Waking a second thread takes longer than any search here."""
    faiss.omp_set_num_threads(1)


@pytest.fixture(scope="session")
def small_model() -> Model:
    """60 users, 40 items, 32 bits, three categories."""
    return model_of(n_users=60, n_items=40, n_bits=32, seed=1)


@pytest.fixture(scope="session")
def whole_artifact(small_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written artifact; tests copy it before they damage it."""
    folder = tmp_path_factory.mktemp("whole") / "artifact"
    write(folder, small_model)
    return folder
