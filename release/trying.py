"""An installed hashrec, used as someone would who has never seen its checkout."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

TRAINING_SECONDS = 600  # on a busy machine; the limit only ends what has failed
_TOP_LEVEL = (
    "import importlib.metadata as m, json;"
    "print(json.dumps(sorted({file.parts[0] for file in m.files('hashrec')} - {'..'})))"
)
_IMPORT = (
    "import sys, hashrec;"
    "assert 'torch' not in sys.modules, 'import hashrec has loaded torch';"
    "print(hashrec.__file__)"
)


def decoys(folder: Path, *, packages: bool) -> Path:
    """Make a folder in which importing `index`, `service` or `training` ends the program.

    Args:
        folder: it is made here.
        packages: whether they are packages, beside a `training.py`, or modules.
    """
    folder.mkdir()
    (folder / "training.py").write_text(_decoy("training.py"))
    for name in ("index", "service", "training"):
        path = folder / name / "__init__.py" if packages else folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_decoy(name))
    return folder


def _decoy(name: str) -> str:
    return f"raise SystemExit('the decoy {name} was imported')\n"


def check_top_level(python: Path, folder: Path) -> None:
    """Check that an environment has got the one import name `hashrec`, and its metadata."""
    names = json.loads(_output(python, folder, "-c", _TOP_LEVEL))
    version = _output(python, folder, "-c", "import hashrec; print(hashrec.__version__)")
    assert names == ["hashrec", f"hashrec-{version}.dist-info"], names


def check_import(python: Path, folder: Path) -> None:
    """Check that a folder's own modules are not taken for those of hashrec, nor torch loaded."""
    where = Path(_output(python, folder, "-c", _IMPORT))
    assert where.is_relative_to(python.parents[1]), where
    _output(python, folder, "-m", "hashrec", "--help")


def first_answer(python: Path, folder: Path) -> dict[str, Any]:
    """Run the command `hashrec quickstart` in a folder, and return what it serves to user 1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [python.parent / "hashrec", "quickstart", "--quiet", "--port", str(port)],
        cwd=folder, env=_environment(), stdout=subprocess.DEVNULL,
    ) as quickstart:  # fmt: skip
        try:
            answer = _wait_for(f"http://127.0.0.1:{port}/recommend/1?k=5", quickstart)
        finally:
            quickstart.send_signal(signal.SIGINT)
            status = quickstart.wait(60)
    assert status == 0, f"quickstart ended with status {status}"
    assert answer["source"] == "personal", answer
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4, 5], answer
    return answer


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + TRAINING_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=5) as response:  # noqa: S310
                return json.load(response)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"quickstart does not serve {url}")


def _output(python: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": "."}
