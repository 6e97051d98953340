"""Write a report: `report.json`, `report.md`, figures, and its tables in the documentation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hashrec.index.artifacts import durable
from hashrec.index.errors import ConfigError
from hashrec.training.reproduction.markdown import markdown_blocks
from hashrec.training.reproduction.summary import write_into

REPORT, TEXT = "report.json", "report.md"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reproduction.md"


def page_of_docs(page: Path = PAGE) -> Path:
    """Return the page of the documentation with a block for every table.

    Raises:
        ConfigError: the page is missing, because hashrec was not installed from its source.
    """
    if not page.is_file():
        raise ConfigError(f"--write-docs: {page} is missing; run it from a checkout of the source")
    return page


def publish(report: dict[str, Any], folder: Path, page: Path | None = None) -> str:
    """Write a report and its figures.

    Args:
        report: see `build_report`.
        folder: folder to write into.
        page: of the documentation, whose blocks are replaced by those of this report, with the
            pictures beside it; None changes no page.

    Returns:
        The text of `report.md`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks = markdown_blocks(report)
    text = "# The paper's tables and figures, made again\n\n" + "\n\n".join(blocks.values()) + "\n"
    durable.write_bytes(folder / REPORT, json.dumps(report, indent=1).encode() + b"\n")
    durable.write_bytes(folder / TEXT, text.encode())
    pictures: list[Path] = []
    if report["figures"] or report["sweeps"]:
        from hashrec.training.reproduction.drawing import draw

        pictures = draw(folder / REPORT, folder)
    if page is not None:
        for picture in pictures:
            if picture.suffix == ".svg":
                shutil.copyfile(picture, page.with_name(f"{page.stem}-{picture.name}"))
        linked = {
            name: content.replace("](", f"]({page.stem}-") for name, content in blocks.items()
        }
        write_into(page, linked)
    return text
