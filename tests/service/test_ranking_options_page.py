"""The commands of docs/ranking-options.md, sent to a service."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ranking-options.md"
COMMAND = re.compile(r"^ {4}curl 'http://127\.0\.0\.1:8000(/\S+)'$", re.MULTILINE)
DOCUMENTED = {"k=20": "next_cursor", "explain": "items", "similar": "users"}


def test_every_command_is_answered(client: httpx.Client):
    paths = COMMAND.findall(PAGE.read_text())
    assert len(paths) >= 9
    following = client.get("/recommend/u1?k=20").json()["next_cursor"]
    for path in paths:
        reply = client.get(path.replace("/42", "/u1").replace("CURSOR", following))
        assert reply.status_code == 200, reply.text
        for words, member in DOCUMENTED.items():
            if words in path:
                assert member in reply.json()


def test_every_curl_on_the_page_is_such_a_command():
    page = PAGE.read_text()
    assert page.count("    curl ") == len(COMMAND.findall(page))
