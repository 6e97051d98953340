"""Build the release of HEAD, and try it where its users will be: away from the checkout.

    python -m release.check [--python 3.12 ...] [--torch torch==2.13.0] [--out dist]

Builds the source archive and, from it, the wheel; checks their metadata and the page that a
package index shows; then, for each Python that pyproject.toml names and this machine has, installs
the wheel in a new environment and runs it in folders that have modules of their own called `index`,
`service` and `training`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from release.building import build, check_metadata
from release.installing import Torch, declared_pythons, environment, find_python
from release.page import check_page
from release.trying import check_import, check_top_level, decoys, first_answer

PROJECT = Path(__file__).resolve().parents[1]
T = TypeVar("T")


def main() -> None:
    """Run every step; the first that fails ends it with a traceback that says why."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", help="versions to try [all that are named]")
    parser.add_argument("--torch", default="torch", help="requirement that torch must meet too")
    parser.add_argument("--torch-index", help="index that goes before the usual one for torch")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist", help="folder of the result")
    options = parser.parse_args()

    torch = Torch(options.torch, options.torch_index)
    declared = declared_pythons(tomllib.loads((PROJECT / "pyproject.toml").read_text()))
    with tempfile.TemporaryDirectory(prefix="hashrec-release-") as scratch:
        folder = Path(scratch)
        wheel = step("build", lambda: build(PROJECT, folder, options.out))
        step("metadata", lambda: check_metadata(options.out))
        step("page on a package index", lambda: check_page(wheel))
        tried = 0
        for version in options.python or declared:
            python = find_python(version)
            if python is None:
                print(f"Python {version}: not on this machine, NOT CHECKED", flush=True)
                continue
            with tempfile.TemporaryDirectory(prefix=version, dir=folder) as here:
                try_wheel(wheel, python, version, Path(here), torch)
            tried += 1
    if not tried:
        sys.exit("no Python was found to try the wheel with")


def try_wheel(wheel: Path, python: Path, version: str, folder: Path, torch: Torch) -> None:
    """Install a wheel in a new environment and use it beside decoys."""
    installed = step(
        f"Python {version}: install",
        lambda: environment(python, folder / "env", f"{wheel}[training]", torch),
    )
    packages = decoys(folder / "packages", packages=True)
    modules = decoys(folder / "modules", packages=False)
    step(f"Python {version}: top level", lambda: check_top_level(installed, packages))
    for beside in (packages, modules):
        step(
            f"Python {version}: import beside {beside.name}",
            lambda beside=beside: check_import(installed, beside),
        )
    step(f"Python {version}: quickstart", lambda: first_answer(installed, packages))


def step(name: str, run: Callable[[], T]) -> T:
    """Run a step and print how long it took."""
    began = time.monotonic()
    print(f"{name} ...", end=" ", flush=True)
    result = run()
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
