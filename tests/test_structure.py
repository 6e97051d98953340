"""Each room says what is in it: the docstrings of packages, and the public names they list."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(
    ".".join(("hashrec", *path.parent.relative_to(ROOT).parts))
    for package in ("index", "service", "training")
    for path in (ROOT / package).rglob("__init__.py")
)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_what_is_in_it_and_its_public_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    said = module.__doc__ or ""
    public = re.search(r"^Public: (.+?)(?:\n\n|\Z)", said, re.MULTILINE | re.DOTALL)
    assert public is not None, f"{name}: the docstring has no `Public:` list"
    names = re.findall(r"`([\w.]+)`", public[1])
    assert names
    for dotted in names:
        owner, _, attribute = dotted.rpartition(".")
        found = importlib.import_module(f"{name}.{owner}" if owner else name)
        assert hasattr(found, attribute), f"{name}: no {dotted}"
