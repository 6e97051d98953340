"""The source archive and the wheel of the last commit."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

UV = (sys.executable, "-m", "uv")


def build(project: Path, scratch: Path, out: Path) -> Path:
    """Build what was committed, and nothing that only lies in the checkout.

    Args:
        project: a git checkout.
        scratch: an empty folder.
        out: older archives in it are removed.

    Returns:
        The wheel, which was built from the source archive.
    """
    archive, export = scratch / "head.tar", scratch / "export"
    subprocess.run(["git", "archive", "--output", archive, "HEAD"], cwd=project, check=True)
    with tarfile.open(archive) as content:
        content.extractall(export, filter="data")
    for old in (*out.glob("*.whl"), *out.glob("*.tar.gz")):
        old.unlink()
    subprocess.run([*UV, "build", "--quiet", "--out-dir", out, export], check=True)
    (wheel,) = out.glob("*.whl")
    return wheel


def check_metadata(out: Path) -> None:
    """Let twine read the archives as a package index does."""
    archives = [str(path) for path in (*out.glob("*.whl"), *out.glob("*.tar.gz"))]
    assert len(archives) == 2, archives
    subprocess.run(
        [*UV, "tool", "run", "--quiet", "twine", "check", "--strict", *archives],
        stdout=subprocess.DEVNULL,
        check=True,
    )
