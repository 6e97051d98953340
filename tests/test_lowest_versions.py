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
# The contracts, and what has differed with a library's release: queries, headers, workers, files.
TESTS = (
    "tests/contracts",
    "tests/service/test_client_habits.py",
    "tests/service/test_fast_path.py",
    "tests/service/test_keys.py",
    "tests/service/test_serve_command.py",
    "tests/index/test_exporting.py",
    "tests/training/data/test_readers.py",
)


def run(*command: str | Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
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


def test_quickstart_answers(lowest: Path, tmp_path: Path) -> None:
    answer = first_answer(lowest, decoys(tmp_path / "beside", packages=True))
    assert all(item["title"] for item in answer["items"])


def test_the_contracts_are_kept(lowest: Path) -> None:
    # Old releases warn of each other; what they warn of is not ours.
    run(
        lowest, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider",
        "-o", "filterwarnings=default", *TESTS,
    )  # fmt: skip
