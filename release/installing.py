"""New environments for a wheel, one for each Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def declared_pythons(pyproject: dict[str, Any]) -> list[str]:
    """Return the versions of Python that a project's classifiers name, such as 3.12."""
    classifiers = "\n".join(pyproject["project"]["classifiers"])
    return re.findall(r"^Programming Language :: Python :: (3\.\d+)$", classifiers, re.MULTILINE)


def find_python(version: str) -> Path | None:
    """Return an interpreter of a version such as 3.12: one on the path, or one of pyenv's."""
    on_path = shutil.which(f"python{version}")
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [Path(on_path)] if on_path else []
    found += sorted(root.glob(f"versions/{version}.*/bin/python"))
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for python in found:  # the first is no more than a signpost where pyenv has it switched off
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return python
    return None


@dataclass(frozen=True)
class Torch:
    """Which torch to install.

    Attributes:
        requirement: plain `torch` is the newest release that the wheel allows.
        index: one with smaller builds; nothing is lost where it does not answer.
    """

    requirement: str
    index: str | None


def environment(python: Path, folder: Path, wheel: str, torch: Torch) -> Path:
    """Make an environment and install a wheel in it, with the newest of what it needs.

    Args:
        python: interpreter of the environment.
        folder: where it will be.
        wheel: with its extras, as pip takes it.
        torch: of the environment.

    Returns:
        The environment's interpreter.
    """
    subprocess.run([python, "-m", "venv", folder], check=True)
    installed = folder / "bin" / "python"
    install = (
        installed, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
        "--only-binary", ":all:",
    )  # fmt: skip
    index = ("--retries", "0", "--extra-index-url", torch.index) if torch.index else ()
    subprocess.run([*install, *index, torch.requirement], check=True)
    subprocess.run([*install, wheel], check=True)
    return installed
