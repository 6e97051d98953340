"""The command line as a whole: its help, completion, and the packages it loads."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from hashrec.command_line import HELP_SECTIONS, app
from tests.ports import free_port
from tests.training.small_jobs import quick_toml, small_interactions, write_csv

ROOT = Path(__file__).resolve().parents[1]
HASHREC = (sys.executable, "-m", "hashrec")


def run(*command: object, cwd: Path | None = None, **environment: str) -> Any:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, check=False, timeout=100,
        cwd=cwd, env=os.environ | {"COLUMNS": "80"} | environment,
    )  # fmt: skip


def every_command(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    for name, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, *names, name)


def test_the_help_lists_every_command_once_with_its_whole_summary() -> None:
    commands = get_command(app).commands
    listed = [name for names in HELP_SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(commands)
    shown = run(*HASHREC, "-h").stdout
    titles = [line.removesuffix(":") for line in shown.splitlines() if re.match(r"\w.*:$", line)]
    assert titles == ["Options", *HELP_SECTIONS]
    for name, command in commands.items():
        summary = command.help.partition("\n")[0]
        assert re.search(rf"^  {name} +{re.escape(summary)}$", shown, re.MULTILINE), name


@pytest.mark.parametrize("names", [*every_command(get_command(app))], ids=" ".join)
def test_h_is_help_in_plain_text_that_80_columns_do_not_cut(names: tuple[str, ...]) -> None:
    short, long = (
        CliRunner().invoke(app, [*names, flag], env={"COLUMNS": "80"}).stdout
        for flag in ("-h", "--help")
    )
    assert short == long
    assert short.startswith(f"Usage: {' '.join(('hashrec', *names))} ")
    assert "..." not in short.replace("[ARGS]...", "")
    assert max(map(len, short.splitlines())) <= 80
    assert short.isascii(), "no boxes"
    assert "\x1b" not in short, "no colours"


def test_the_version_is_that_of_the_installed_package() -> None:
    version = importlib.metadata.version("hashrec")
    assert run(*HASHREC, "--version").stdout == f"hashrec {version}\n"


def test_a_command_starts_without_a_warning() -> None:
    done = run(*HASHREC, "keys", "new", "shop", PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr


def completed(*words: str) -> set[str]:
    """Complete the last word, asked as bash asks."""
    asked = {
        "_HASHREC_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("hashrec", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = CliRunner().invoke(app, [], env=asked, prog_name="hashrec")
    assert done.exit_code == 0, done.output
    return set(done.stdout.split())


def test_names_are_completed_from_the_registries() -> None:
    from hashrec.index.backends import INDEX_TYPES
    from hashrec.index.reading.readers import READERS
    from hashrec.training.data.catalogue import DATASETS
    from hashrec.training.models import HASH_MODELS
    from hashrec.training.reproduction.methods import SWEEPS
    from hashrec.training.teachers import TEACHERS

    assert completed("train", "--model", "") == {*HASH_MODELS, "auto"}
    assert completed("retrain", "--teacher", "") == {*TEACHERS}
    assert completed("train", "--index", "") == {*INDEX_TYPES}
    assert completed("quickstart", "--data", "") == {*DATASETS}
    assert completed("data", "validate", "") == {*DATASETS}
    assert completed("data", "fetch", "ml-10") == {"ml-100k", "ml-10m"}
    assert completed("data", "expand", "synth") == {"synthetic"}
    assert completed("train", "--preset", "") == {*READERS, "paper"}
    assert completed("reproduce", "--sweep", "") == {*SWEEPS}
    assert completed("train", "--split", "t") == {"temporal", "time"}
    assert completed("re") == {"recommend", "reproduce", "retrain"}


@pytest.mark.parametrize(
    ("option", "setting"),
    [("--split", "split.strategy"), ("--rerank", "rerank"), ("--device", "device")],
)
def test_choices_that_are_completed_are_those_of_the_setting(option: str, setting: str) -> None:
    from hashrec.index.errors import ConfigError
    from hashrec.training.jobs.config import load_config

    choices = completed("train", option, "")
    for choice in choices:
        load_config(None, {setting: choice})
    with pytest.raises(ConfigError) as refused:
        load_config(None, {setting: "nonsense"})
    assert set(re.findall(r"\b(?:\w+)\b", str(refused.value))) > choices


@pytest.mark.parametrize(
    ("arguments", "completing"),
    [(["--help"], ""), (["train", "--help"], ""), ([], "train --model ")],
)
def test_help_and_completion_load_no_heavy_library(arguments: list[str], completing: str) -> None:
    program = (
        "import sys; from hashrec.command_line import main\n"
        f"sys.argv = ['hashrec', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'polars', 'scipy', 'fastapi', 'uvicorn', 'redis', 'numpy', 'faiss'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    asked = {"_HASHREC_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"hashrec {completing}"}
    done = run(sys.executable, "-c", program, **(asked if completing else {}))
    assert done.stdout.endswith("heavy: []\n"), done.stderr
    assert ("dgcn-bincf" if completing else "Usage:") in done.stdout


def test_ranking_loads_neither_torch_nor_the_web_stack(tmp_path: Path) -> None:
    from hashrec.index.artifacts.store import Store
    from tests.index.small_models import model_of, write

    write(tmp_path / "run", model_of(5, 5, 8, seed=1))
    Store(tmp_path / "store").publish(tmp_path / "run")
    program = (
        "import sys; from hashrec.command_line import main\n"
        f"sys.argv = ['hashrec', 'recommend', 'u1', '--store', {str(tmp_path / 'store')!r}]\n"
        "main()\n"
        "assert 'hashrec.index.ranking.recommender' in sys.modules\n"
        "heavy = {'torch', 'polars', 'fastapi', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def without_training(tmp_path: Path) -> Path:
    """A folder with hashrec as the image of the service has it."""
    (tmp_path / "hashrec").mkdir()
    for module in (ROOT / "src" / "hashrec").glob("*.py"):
        shutil.copy(module, tmp_path / "hashrec")
    for package in ("index", "service"):
        (tmp_path / "hashrec" / package).symlink_to(ROOT / package)
    return tmp_path


def test_commands_of_a_package_that_is_not_installed_are_left_out(without_training: Path) -> None:
    done = run(*HASHREC, "--help", PYTHONPATH=str(without_training))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  serve ", done.stdout, re.MULTILINE)
    assert re.search(r"^  recommend ", done.stdout, re.MULTILINE)
    for absent in ("train ", "quickstart ", "Research:"):
        assert absent not in done.stdout
    refused = run(*HASHREC, "train", PYTHONPATH=str(without_training))
    assert refused.returncode == 2
    assert "No such command 'train'" in refused.stderr


def test_a_package_that_is_installed_and_broken_is_not_left_out(without_training: Path) -> None:
    commands = without_training / "hashrec" / "training" / "commands"
    commands.mkdir(parents=True)
    (commands / "options.py").write_text("import a_library_that_is_missing\n")
    done = run(*HASHREC, "--help", PYTHONPATH=str(without_training))
    assert done.returncode == 1
    assert "a_library_that_is_missing" in done.stderr


@pytest.fixture
def back_end(tmp_path: Path) -> Path:
    """A folder of foreign code with the names of our folders, none of which may be imported."""
    for name in ("index", "service", "training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('foreign code ran')\n")
    (tmp_path / "training.py").write_text("raise SystemExit('foreign code ran')\n")
    return tmp_path


def test_no_command_imports_foreign_code_from_the_current_folder(back_end: Path) -> None:
    def hashrec(*arguments: object) -> str:
        done = run(*HASHREC, *arguments, cwd=back_end, PYTHONPATH=".")
        assert done.returncode == 0, done.stderr
        return done.stdout

    write_csv(back_end / "clicks.csv", small_interactions())
    assert "train " in hashrec("--help")
    hashrec(
        "train", "--data", "clicks.csv", "--config", quick_toml(back_end), "--split", "none",
        "--out", "run", "--quiet",
    )  # fmt: skip
    version = hashrec("publish", "run", "--store", "store").strip()
    answer = json.loads(hashrec("recommend", "1", "--store", "store", "--json"))
    assert answer["model_version"] == version

    script, port = Path(sys.executable).with_name("hashrec"), free_port()
    with subprocess.Popen(
        [script, "serve", "--store", "store", "--port", str(port)],
        cwd=back_end, env=os.environ | {"PYTHONPATH": "."}, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            assert first_reply(f"http://127.0.0.1:{port}/recommend/1", server) == [
                item["item_id"] for item in answer["items"]
            ]
        finally:
            server.send_signal(signal.SIGTERM)


def first_reply(url: str, server: subprocess.Popen[bytes]) -> list[str]:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=5) as response:
                return [item["item_id"] for item in json.load(response)["items"]]
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"no reply from {url}")
