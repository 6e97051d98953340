"""Fixtures every part of the suite may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

# Several test processes share the cores: threads that wait for each other would slow all of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parents[1]

# A busy machine is slow, not wrong; and a failure found once is found again.
settings.register_profile("hashrec", deadline=None, derandomize=True)
settings.load_profile("hashrec")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Find a real data set by name, e.g. ``shared_data("ml-100k")``.

    The sets lie in the folder HASHREC_DATA names, or in ../shared/data beside the project. A test
    skips when its set is absent; with TEST_REQUIRE_SHARED_DATA=1 it fails instead.
    """
    folder = Path(os.environ.get("HASHREC_DATA") or PROJECT.parent / "shared" / "data")
    return partial(_found, folder, "{}: not found; set HASHREC_DATA to the folder that holds it")


@pytest.fixture(scope="session")
def shared_cases() -> Callable[[str], Path]:
    """Find an input of a public report by name, e.g. ``shared_cases("recbole-item/r.item")``.

    They lie in ../shared/cases beside the project. Without them a test skips, or fails, as with
    `shared_data`.
    """
    return partial(_found, PROJECT.parent / "shared" / "cases", "shared/cases/{}: not found")


def _found(folder: Path, missing: str, name: str) -> Path:
    path = folder / name
    if not path.exists():
        reason = missing.format(name)
        if os.environ.get("TEST_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts at the same place in every test."""
    return np.random.Generator(np.random.PCG64(7))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Leave PyTorch one thread: small tensors lose more to waiting threads than they win."""
    import torch  # only tests of training need it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
