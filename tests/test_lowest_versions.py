"""The lower bounds in pyproject.toml: each of them installed, and the contracts kept with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from release.trying import decoys, first_answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROJECT = Path(__file__).resolve().parents[1]
UV = (sys.executable, "-m", "uv")
# torch, and what its builds for a GPU bring.
TORCH = ("torch", "torch-*.dist-info", "torchgen", "functorch", "triton*", "nvidia*", "cuda*")
# What differs with a library's version: a worker, a query, a header, a file, a connection; and of
# the contracts of models, teachers and indexes, those that use each of their libraries once, on one
# fit or one build of each kind. More widths, seeds and refusals would repeat calls made already.
MODELS = "tests/contracts/test_hash_models.py::"
TEACHERS = "tests/contracts/test_teachers.py::"
INDEXES = "tests/contracts/test_hamming_indexes.py::"
TESTS = (
    "tests/service/test_serve_command.py",
    "tests/service/test_keys.py",
    MODELS + "test_items_a_user_has_are_nearer_than_items_it_has_not",
    MODELS + "test_users_coded_by_their_history_rank_their_own_items_first",
    MODELS + "test_items_coded_by_their_users_are_nearer_to_them_than_to_others",
    MODELS + "test_unknown_setting_is_named_in_one_line_with_those_there_are",
    TEACHERS + "test_every_user_scores_every_item_with_a_finite_float32",
    TEACHERS + "test_any_teacher_has_factors_for_models_that_learn_from_them",
    TEACHERS + "test_known_user_folded_in_from_the_same_history_scores_the_same",
    TEACHERS + "test_weights_of_items_add_up_to_about_the_ranking_of_a_new_user",
    TEACHERS + "test_items_a_user_has_score_above_items_it_has_not",
    INDEXES + "test_exact_indexes_return_what_the_reference_does_ties_by_row_included",
    INDEXES + "test_recall_is_high_on_codes_that_form_clusters",
    INDEXES + "test_a_loaded_index_answers_as_the_saved_one",
    INDEXES + "test_a_file_that_is_no_index_is_refused",
    "tests/contracts/test_caches.py",
    "tests/contracts/test_contract_table.py",
    "tests/contracts/test_journals.py",
    "tests/contracts/test_routes.py",
    "tests/service/test_client_habits.py",
    "tests/service/test_fast_path.py",
    "tests/index/test_exporting.py",
    "tests/training/data/test_readers.py",
)


def run(*command: str | Path) -> None:
    # Without bytecode each process would compile the libraries of the new environment again.
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)


def lower_bounds() -> dict[str, str]:
    """Return the lower bound of each library that hashrec and its extras name, torch apart."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    requirements = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    found = (re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line) for line in requirements)
    return {match[1]: match[2] for match in found if match and match[1] != "torch"}


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the lowest version of each library.

    torch is that of the environment that runs the tests: a second copy would take longer than all
    the rest.
    """
    folder = tmp_path_factory.mktemp("lowest")
    locked, environment = folder / "lowest.txt", folder / "env"
    run(
        *UV, "pip", "compile", "--quiet", "--config-file", "requirements/uv.toml",
        "--resolution", "lowest-direct", "--python", sys.executable, "--all-extras",
        "--group", "test", "--no-emit-package", "torch", "--output-file", locked, "pyproject.toml",
    )  # fmt: skip
    run(*UV, "venv", "--quiet", "--python", sys.executable, environment)
    install = (*UV, "pip", "install", "--quiet", "--python", environment)
    run(*install, "--requirement", locked)
    run(*install, "--no-deps", "--editable", ".")
    (libraries,) = environment.glob("lib/python3*/site-packages")
    for pattern in TORCH:
        for path in Path(sysconfig.get_path("purelib")).glob(pattern):
            (libraries / path.name).symlink_to(path)
    return environment / "bin" / "python"


def test_the_environment_has_the_lower_bounds(lowest: Path) -> None:
    bounds = lower_bounds()
    ask = (
        "import json, sys; from importlib.metadata import version;"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [lowest, "-c", ask, *bounds], stdout=subprocess.PIPE, text=True, check=True
    )
    installed = json.loads(done.stdout)
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", installed[name]), name


def test_the_contracts_are_kept(lowest: Path) -> None:
    # Old releases warn of each other; what they warn of is not ours. The tests of a file share a
    # process, and so what is fitted for all of them.
    run(
        lowest, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider",
        "-o", "filterwarnings=default", *TESTS,
    )  # fmt: skip


def test_quickstart_answers(lowest: Path, tmp_path: Path) -> None:
    answer = first_answer(lowest, decoys(tmp_path / "beside", packages=True))
    assert all(item["title"] for item in answer["items"])
