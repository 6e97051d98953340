"""The page of a release on a package index: its long description, without the files beside it."""

from __future__ import annotations

import re
import zipfile
from email import message_from_bytes
from pathlib import Path

_LINK = re.compile(r"\]\(\s*([^)\s]+)|\b(?:src|href)=[\"']([^\"']+)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def check_page(wheel: Path) -> None:
    """Check that every link of the long description leads somewhere on a package index.

    Raises:
        SystemExit: a link is relative, or names a heading that is not there.
    """
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(content.read(name))
    text = metadata.get_payload(decode=True).decode()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(text) > 1_000, "the long description is missing"
    if broken := broken_links(text):
        raise SystemExit(f"links that lead nowhere on a package index: {', '.join(broken)}")


def broken_links(text: str) -> list[str]:
    """Return the links of a Markdown text that work only beside other files, or not at all."""
    anchors = {_anchor(heading) for heading in _HEADING.findall(text)}
    targets = [markdown or html for markdown, html in _LINK.findall(text)]
    return [
        target
        for target in targets
        if not target.startswith(("https://", "mailto:"))
        and not (target.startswith("#") and target[1:] in anchors)
    ]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
