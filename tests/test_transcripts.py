"""The README's transcripts, typed line by line: what comes back is what is shown, figures apart."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import hashrec
from tests.ports import free_port
from tests.training.small_jobs import write_catalogue

pytestmark = pytest.mark.timeout(400)  # they train; a busy machine takes its time

README = Path(__file__).resolve().parents[1] / "README.md"
VERSION = re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{6}\b")
PORT = "8000"


def transcript(title: str) -> list[tuple[str, str]]:
    """Return the commands under a heading, each with what is shown to come back."""
    text = README.read_text().partition(f"\n### {title}\n")[2]
    block = re.search(r"(?m)(^ {4}.*\n)+", text)
    assert block, title
    lines = [line[4:] for line in block[0].splitlines()]
    steps: list[tuple[str, str]] = []
    for line in lines:
        command, shown = steps[-1] if steps else ("", "")
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line.startswith("> "):
            steps[-1] = (f"{command}\n{line[2:]}", shown)
        else:
            steps[-1] = (command, f"{shown}{line}\n")
    return steps


class Terminal:
    """Runs commands in a folder of data, and remembers what stands for what is shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}  # of versions and items: shown -> here
        programs = folder / "bin"
        programs.mkdir()
        for name, command in (("hashrec", "-m hashrec"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(README.parent),
        }
        self.port = str(free_port())

    def here(self, command: str) -> str:
        """Return a command as it is to be typed here."""
        command = command.replace(PORT, self.port)
        command = VERSION.sub(lambda found: self.names[found[0]], command)
        return re.sub(
            r'("item_id": )"(\w+)"', lambda found: f'{found[1]}"{self.names[found[2]]}"', command
        )

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    @contextmanager
    def in_the_background(self, command: str) -> Iterator[None]:
        with subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment,
            stdout=subprocess.DEVNULL,
        ) as running:  # fmt: skip
            try:
                self.wait(running)
                yield
            finally:
                running.send_signal(signal.SIGTERM)

    def wait(self, running: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and running.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail("nothing answers")

    def compare(self, shown: str, came: str) -> None:
        """Hold what came against what is shown: the same fields and words, other figures."""
        if shown.startswith("{"):
            self.compare_values(json.loads(shown), json.loads(came))
            return
        shown_lines, lines = shown.splitlines(), came.splitlines()
        assert len(lines) == len(shown_lines), came
        for shown_line, line in zip(shown_lines, lines, strict=True):
            words, shown_words = line.split(), shown_line.split()
            assert len(words) == len(shown_words), (line, shown_line)
            for word, shown_word in zip(words, shown_words, strict=True):
                if VERSION.fullmatch(shown_word):
                    assert VERSION.fullmatch(word)
                    assert self.names.setdefault(shown_word, word) == word
                elif not re.search(r"\d", shown_word):
                    assert word == shown_word

    def compare_values(self, shown: Any, came: Any, name: str = "") -> None:
        assert type(came) is type(shown), name
        if isinstance(shown, dict):
            assert list(came) == list(shown), name
            for key, value in shown.items():
                self.compare_values(value, came[key], key)
        elif isinstance(shown, list):
            assert len(came) == len(shown), name
            for one, other in zip(shown, came, strict=True):
                self.compare_values(one, other, name)
        elif name in ("item_id", "model_version"):
            self.names.setdefault(shown, came)
        elif name not in ("recommendation_id", "next_cursor", "title") and isinstance(shown, str):
            assert came == shown, name


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    write_catalogue(tmp_path)
    return Terminal(tmp_path)


def typed(terminal: Terminal, title: str) -> list[tuple[str, str]]:
    """Type a transcript; return the commands as typed, each with what came back."""
    done: list[tuple[str, str]] = []
    with ExitStack() as running:
        for shown_command, shown in transcript(title):
            command = terminal.here(shown_command)
            if command.endswith(" &"):
                running.enter_context(terminal.in_the_background(command.removesuffix(" &")))
                continue
            came = terminal.run(command)
            terminal.compare(shown, came)
            done.append((command, came))
    return done


def test_a_back_end_engineer_gets_answers_and_sends_events(terminal: Terminal) -> None:
    done = typed(terminal, "A back end")
    replies = [json.loads(came) for _, came in done]
    before, accepted, after = replies
    assert accepted["accepted"] == 1
    taken = before["items"][0]["item_id"]
    assert f'"item_id": "{taken}"' in done[1][0], "the event is about what was shown"
    assert taken not in {item["item_id"] for item in after["items"]}
    described = (terminal.folder / "items.csv").read_text()
    for item in before["items"] + after["items"]:
        assert re.search(rf"(?m)^{item['item_id']},{item['title']},.*Romance", described)


def test_a_machine_learning_engineer_retrains_compares_and_decides(terminal: Terminal) -> None:
    done = typed(terminal, "A machine learning team")
    first, second = (came.splitlines()[-1] for _, came in done[:2])
    assert first != second
    assert done[2][1].strip() == first
    assert done[-1][1].strip() == second


def test_a_researcher_measures_and_takes_the_codes_along(terminal: Terminal) -> None:
    done = typed(terminal, "A researcher")
    codes, teacher = map(float, re.findall(r"0\.\d+", done[0][1]))
    assert 0.9 * teacher < codes < 1
    nearest = done[0][1].splitlines()[-1].removeprefix("nearest items: ").split()
    first = hashrec.load(terminal.folder / "run").item_ids[0]
    assert nearest[0] == first, "no item is nearer to an item than itself"


def test_a_transcript_that_tells_something_else_is_noticed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.compare("codes  259  0.9183\n", "codes  17  0.5\n")
    for shown, came in (
        ("codes  259\n", "teacher  259\n"),
        ("codes  259\n", "codes\n"),
        ('{"accepted": 1}\n', '{"accepted": 1, "rejected": []}'),
        ('{"source": "personal"}\n', '{"source": "popular"}'),
    ):
        with pytest.raises(AssertionError):
            terminal.compare(shown, came)
