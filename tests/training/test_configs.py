from __future__ import annotations

from pathlib import Path

import pytest

import hashrec.training
from hashrec.training.jobs.config import load_config
from hashrec.training.jobs.recipe import Recipe

CONFIGS = sorted((Path(hashrec.training.__file__).parent / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_published_configuration_names_settings_that_exist(path):
    recipe = Recipe.of(load_config(path, {}))
    assert path.stem.startswith(recipe.model_name)


def test_published_configurations_are_shipped_with_the_package():
    assert "dgcn-bincf-ml-1m" in {path.stem for path in CONFIGS}
