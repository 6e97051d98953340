"""`import hashrec`: its cost, its errors, and every block of its page and its notebook."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashrec
from hashrec.index.errors import ConfigError, UnknownItemError, UnknownUserError
from hashrec.training.data.synthetic import synthetic_catalogue
from tests.index.small_models import model_of, write
from tests.training.small_jobs import write_csv

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with clicks.csv and items.csv, which is the current one."""
    made = synthetic_catalogue(n_users=120, n_items=110, n_interactions=2_400, seed=3)
    write_csv(tmp_path / "clicks.csv", made.interactions)
    rows = (
        f"{item_id},{item['title']},{'|'.join(item['categories'])}\n"
        for item_id, item in made.attributes.by_id.items()
    )
    (tmp_path / "items.csv").write_text("item_id,title,categories\n" + "".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(tmp_path: Path) -> hashrec.Model:
    write(tmp_path / "artifact", model_of(30, 50, 64, seed=1))
    return hashrec.load(tmp_path / "artifact")


def test_the_import_loads_no_library_and_sets_how_openmp_waits() -> None:
    script = (
        "import os, sys; import hashrec; heavy = {'numpy', 'faiss', 'torch', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), os.environ['OMP_WAIT_POLICY'])\n"
        "hashrec.load; print('faiss' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[] PASSIVE\nTrue False\n"


def test_every_public_name_can_be_loaded_and_stands_in_the_page() -> None:
    page = (DOCS / "python.md").read_text()
    for name in hashrec.__all__:
        assert getattr(hashrec, name) is not None
        assert name == "__version__" or f"`hashrec.{name}`" in page, name
    with pytest.raises(AttributeError, match="no attribute 'Modell'"):
        hashrec.Modell  # noqa: B018


def test_the_page_of_python_runs_block_by_block(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (DOCS / "python.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed[-1].split("[")[0]) > 0
    saved = np.load(data / "codes.npz")
    assert saved["codes"].shape == (len(saved["ids"]), 16)
    store = hashrec.Store(data / "store")
    assert store.current() == names["version"], "rolled back to the first version"
    assert len(store.versions()) == 2


@pytest.mark.slow
def test_the_notebook_runs_and_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    cells = json.loads((DOCS / "python.ipynb").read_text())["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile("".join(cell["source"]), "docs/python.ipynb", "exec"), names)
        shown = "".join("".join(output["text"]) for output in cell["outputs"])
        assert without_figures(printed.getvalue()) == without_figures(shown)


def without_figures(text: str) -> str:
    """Leave out what differs between machines: figures, and the titles of the items listed."""
    text = re.sub(r"(?m)^(\d+ )?\d+ [A-Z].* \d+$", "ITEM", text)
    return re.sub(r"\d[\d.,]*", "0", text)


def test_lists_equal_those_of_the_ranking_path(model: hashrec.Model) -> None:
    ranked = model.recommend("u3", k=5)
    assert ranked.source == "personal"
    many = model.recommend_many(["u3", "nobody"], k=5)
    assert many["item_id"][:5] == [item.item_id for item in ranked.items]
    assert many["user_id"] == ["u3"] * 5 + ["nobody"] * 5
    assert set(many["source"][5:]) == {"popular"}
    row = model.user_row("u3")
    hamming = np.bitwise_count(model.user_codes.packed[row] ^ model.item_codes.packed).sum(axis=1)
    for item in ranked.items:
        assert item.hamming == hamming[model.item_row(item.item_id)]


def test_mistakes_are_named(model: hashrec.Model, tmp_path: Path) -> None:
    with pytest.raises(UnknownUserError):
        model.recommend("nobody", strict=True)
    with pytest.raises(UnknownItemError):
        model.item_row("nothing")
    with pytest.raises(ConfigError, match="ids are strings, got 3"):
        model.recommend(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ids are strings, got 3"):
        model.recommend_many([3])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="exclude must be a list of names"):
        model.recommend("u3", exclude="17")
    with pytest.raises(ConfigError, match="no option 'categoris'; the options are"):
        model.recommend("u3", categoris=["x"])  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="not a store, a training run or an artifact"):
        hashrec.load(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="no option 'modle'; the options are at, bits,"):
        hashrec.train("synthetic", tmp_path / "run", modle="lsh")  # type: ignore[call-arg]
    assert not (tmp_path / "run").exists()


def test_training_takes_data_in_memory_and_gives_the_codes_of_the_file(data: Path) -> None:
    from_file = hashrec.train("clicks.csv", "a", model="lsh", split="none", items="items.csv")
    dataset = hashrec.read("clicks.csv", items="items.csv")
    in_memory = hashrec.train(dataset, "b", model="lsh", split="none")
    assert in_memory.data["sha256"] == from_file.data["sha256"]
    one, other = hashrec.load("a"), hashrec.load("b")
    np.testing.assert_array_equal(one.item_codes.packed, other.item_codes.packed)
    assert one.title(one.item_ids[0]) == other.title(one.item_ids[0]) is not None
    with pytest.raises(ConfigError, match="the data are read already: give 'max_bad'"):
        hashrec.train(dataset, "c", max_bad=3)
