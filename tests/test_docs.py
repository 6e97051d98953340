"""The documents say what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from hashrec.command_line import app
from hashrec.service.settings import Settings, settings_by_variable
from hashrec.training.models import HASH_MODELS
from hashrec.training.teachers import TEACHERS

ROOT = Path(__file__).resolve().parents[1]
ADDED = {"model": ("auto",), "teacher": ()}  # a choice, not an entry of the registry
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")])


def test_every_setting_stands_in_the_configuration_page_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(HASHREC_\w+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    documented = {name: (default.strip("`"), meaning) for name, default, meaning in rows}
    expected = {
        name: ("none" if field.default is None else str(field.default), field.description)
        for name, field in settings_by_variable(Settings).items()
    }
    assert documented == expected


def test_every_command_stands_in_the_page_of_commands() -> None:
    commands = get_command(app).commands
    names = [
        f"hashrec {name} {inner}".strip()
        for name, command in commands.items()
        for inner in getattr(command, "commands", {"": None})
    ]
    page = (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("option", "names"), [("model", HASH_MODELS), ("teacher", TEACHERS)], ids=["model", "teacher"]
)
def test_every_model_and_teacher_stands_in_the_page_of_models(
    option: str, names: dict[str, object]
) -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    table = page.partition(f"| `--{option}` |")[2].partition("\n\n")[0]
    first_cells = "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    assert sorted(re.findall(r"`([\w-]+)`", first_cells)) == sorted({*names, *ADDED[option]})


def test_every_page_stands_in_the_index_of_documentation() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    linked = set(re.findall(r"\]\(([\w-]+\.(?:md|ipynb))\)", index))
    pages = {path.name for kind in ("md", "ipynb") for path in ROOT.glob(f"docs/*.{kind}")}
    assert linked == pages - {"README.md"}


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    pattern = r"`((?:index|service|training|benchmarks|docs|docker|tests)/[\w/.-]+\.\w+)`"
    for target in re.findall(pattern, page.read_text()):
        assert "NAME" in target or (ROOT / target).exists(), target


def test_help_names_every_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "hashrec", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("quickstart", "data", "train", "evaluate", "publish", "serve", "retrain"):
        assert re.search(rf"^ *[│ ]*{name} ", shown, re.MULTILINE), shown
