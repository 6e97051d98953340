from __future__ import annotations

from pathlib import Path

import pytest

from hashrec.training.data.synthetic import synthetic_catalogue
from tests.training.small_jobs import write_csv


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented pairs, of which the 20-core is a good part."""
    made = synthetic_catalogue(n_users=120, n_items=80, n_interactions=4_200, seed=3)
    return write_csv(tmp_path_factory.mktemp("data") / "pairs.csv", made.interactions)
