"""The commands of the README and of the first steps, run as written."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.commands import Command, hashrec
from tests.ports import free_port
from tests.training.small_jobs import small_interactions, write_catalogue, write_csv

pytestmark = pytest.mark.timeout(400)  # they train; a busy machine takes its time

README = Path(__file__).resolve().parents[1] / "README.md"
FIRST_STEPS = README.parent / "docs" / "first-steps.md"
HASHREC = [sys.executable, "-m", "hashrec"]


def commands(section: str) -> list[list[str]]:
    """Return the `hashrec` command lines of a section, as a shell splits them."""
    text = FIRST_STEPS.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^ {4}(hashrec .*)$", text, re.MULTILINE)
    assert lines, section
    return [shlex.split(line, comments=True)[1:] for line in lines]


def wait_for(url: str, server: subprocess.Popen[str] | Command, seconds: float = 300) -> bytes:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=5) as response:
                return response.read()
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"no answer from {url}")


def test_the_way_with_your_own_data_works_as_written(tmp_path: Path) -> None:
    write_csv(tmp_path / "clicks.csv", small_interactions())
    for command in (*commands("With your own data"), *commands("Every night")):
        if command[0] == "serve":
            serve_once(command, tmp_path)
            continue
        done = hashrec(*command, folder=tmp_path)
        assert done.returncode == 0, (command, done.stderr)


def serve_once(command: list[str], folder: Path) -> None:
    """Serve as written, on a free port, with or without a server at the Redis it names."""
    port = free_port()
    server = Command(*command, "--port", port, folder=folder)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz", server)
        answer = json.loads(wait_for(f"http://127.0.0.1:{port}/recommend/1", server))
        assert answer["source"] == "personal"
        assert answer["count"] == 10
    finally:
        server.terminate()
        assert server.wait(100) == 0


def test_quickstart_prints_a_first_answer_with_titles_and_serves_until_interrupted(
    tmp_path: Path,
) -> None:
    write_catalogue(tmp_path)
    prints_a_first_answer(tmp_path, "--data", "clicks.csv", "--items", "items.csv")


@pytest.mark.slow
def test_quickstart_needs_no_data(tmp_path: Path) -> None:
    prints_a_first_answer(tmp_path)


def prints_a_first_answer(folder: Path, *data: str) -> None:
    port = free_port()
    with subprocess.Popen(
        [*HASHREC, "quickstart", *data, "--port", str(port), "--quiet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as quickstart:
        try:
            url = f"http://127.0.0.1:{port}/recommend/1?k=5"
            answer = json.loads(wait_for(url, quickstart))
            assert quickstart.stdout is not None
            printed = [quickstart.stdout.readline() for _ in range(6)]
            assert printed[0].split() == ["rank", "item", "title", "score", "hamming"]
            for item, line in zip(answer["items"], printed[1:], strict=True):
                assert item["title"] in line
        finally:
            quickstart.send_signal(signal.SIGINT)
            assert quickstart.wait(100) == 0


def test_quickstart_ended_by_a_supervisor_ends_its_server(tmp_path: Path) -> None:
    write_csv(tmp_path / "clicks.csv", small_interactions())
    (tmp_path / "run").mkdir()
    port = free_port()
    made = ("--data", "clicks.csv", "--port", str(port), "--store", "store", "--quiet")
    with subprocess.Popen(
        [*HASHREC, "quickstart", *made], cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as quickstart:
        wait_for(f"http://127.0.0.1:{port}/readyz", quickstart)
        quickstart.send_signal(signal.SIGTERM)
        assert quickstart.wait(100) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not list((tmp_path / "run").iterdir()), "a folder beside the store is not ours"


def test_quickstart_checks_the_port_before_it_trains(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = hashrec("quickstart", "--port", taken.getsockname()[1], folder=tmp_path)
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr
    assert not (tmp_path / ".hashrec").exists()


def test_the_answer_in_the_readme_has_the_fields_of_an_answer() -> None:
    text = README.read_text()
    shown = json.loads(re.search(r"^ {4}(\{.*?^ {4}\})", text, re.MULTILINE | re.DOTALL)[1])
    assert list(shown) == [
        "user_id", "model_version", "recommendation_id", "source", "items", "count",
    ]  # fmt: skip
    for item in shown["items"]:
        assert item["score"] == pytest.approx(1 - item["hamming"] / 192, abs=1e-3)
