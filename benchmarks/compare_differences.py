"""What differs between the results of two versions: values, or only how a message is worded.

Two JSON documents are compared member by member, in order, and numbers as they are written. A
difference is one of wording where a text for people stands in the same place on both sides: the
title and detail of a problem, the message of each of its errors, the reason why something was
refused, what a check of `hashrec doctor` says, and in an OpenAPI document descriptions, summaries
and operation ids. Everything else is a value.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

Kind = Literal["different", "expected", "wording"]  # the worst first
Rule = Callable[[Mapping[str, Any], str], bool]  # whether an object's member is wording
_Leaf = tuple[str, str, bool]  # path, value as it is written, whether it is wording

PROBLEM = {"type", "title", "status", "detail"}
FINDING = {"check", "status", "message", "advice"}
IN_WORDS = "in words"  # the member that holds a name for people, where a reader made an entry of it
SHOWN = 120  # characters of a value in a report
MISSING = "(missing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which two results differ.

    Attributes:
        where: what was compared and the place in it, such as `GET /popular: items.0.score`.
        before: the value of the version before, as text.
        after: that of the version after.
    """

    where: str
    before: str
    after: str
    kind: Kind = "different"


class _Number(str):
    """A number as it is written: 0.5 and 0.50 differ."""

    __slots__ = ()


def is_message(owner: Mapping[str, Any], name: str) -> bool:
    """Tell whether a member of a reply or a report is a text for people."""
    if not isinstance(owner[name], str):
        return False
    if name in {"title", "detail"}:
        return owner.keys() >= PROBLEM
    if name == "message":
        return "location" in owner or owner.keys() >= FINDING
    if name == "reason":
        return bool({"index", "version"} & owner.keys())
    return name == IN_WORDS or (name == "advice" and owner.keys() >= FINDING)


def is_description(owner: Mapping[str, Any], name: str) -> bool:
    """Tell the same of a member of an OpenAPI document."""
    named = name in {"description", "summary", "operationId"} and isinstance(owner[name], str)
    return named or is_message(owner, name)


def of_json(
    before: bytes | str, after: bytes | str, where: str, is_wording: Rule = is_message
) -> list[Difference]:
    """Compare two JSON texts.

    Args:
        before: of the version before.
        after: of the version after.
        where: what they are.
        is_wording: tells which members are texts for people.
    """
    if before == after:
        return []
    documents = []
    for text in (before, after):
        try:
            documents.append(json.loads(text, parse_float=_Number, parse_int=_Number))
        except ValueError:
            return of_bytes(_bytes(before), _bytes(after), where)
    found = of_documents(*documents, where, is_wording)
    if not found:
        return [Difference(f"{where}: bytes", "the same members", "in another notation")]
    return found


def of_documents(
    before: object, after: object, where: str, is_wording: Rule = is_message
) -> list[Difference]:
    """Compare two documents as `json.loads` returns them; see `of_json`."""
    leaves = [{path: (text, words) for path, text, words in _leaves(document, is_wording)}
              for document in (before, after)]  # fmt: skip
    return list(_of_leaves(*leaves, where))


def _of_leaves(
    before: dict[str, tuple[str, bool]], after: dict[str, tuple[str, bool]], where: str
) -> Iterator[Difference]:
    for path in dict.fromkeys((*before, *after)):
        old, was_wording = before.get(path, (MISSING, True))
        new, is_wording = after.get(path, (MISSING, True))
        if old != new:
            kind: Kind = "wording" if was_wording and is_wording else "different"
            # A message that is gone is no wording; a description may come or go.
            if MISSING in (old, new) and path.rpartition(".")[2] not in {"description", "summary"}:
                kind = "different"
            yield Difference(f"{where}: {path}", _shown(old), _shown(new), kind)
    orders = [[path for path in some if path in before and path in after]
              for some in (before, after)]  # fmt: skip
    if orders[0] != orders[1]:
        moved = next(pair for pair in zip(*orders, strict=True) if pair[0] != pair[1])
        yield Difference(f"{where}: order of members", *moved)


def _leaves(
    value: object, is_wording: Rule, path: str = "", words: bool = False
) -> Iterator[_Leaf]:
    inner = f"{path}." if path else ""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves(member, is_wording, f"{inner}{name}", is_wording(value, name))
    elif isinstance(value, list) and value:
        for place, member in enumerate(value):
            yield from _leaves(member, is_wording, f"{inner}{place}")
    else:
        text = str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
        yield path, text, words


def of_bytes(before: bytes, after: bytes, where: str, kind: Kind = "different") -> list[Difference]:
    """Compare bytes, and say where they begin to differ."""
    if before == after:
        return []
    pairs = enumerate(zip(before, after, strict=False))
    first = next((n for n, (x, y) in pairs if x != y), min(len(before), len(after)))
    if len(before) == len(after):
        n_differ = sum(x != y for x, y in zip(before, after, strict=True))
        where = f"{where}: {n_differ} of {len(before)} bytes, the first at {first}"
    else:
        where = f"{where}: {len(before)} and {len(after)} bytes, other from {first}"
    shown = (repr(some[max(0, first - 20) : first + 60]) for some in (before, after))
    return [Difference(where, *shown, kind)]


def of_values(before: object, after: object, where: str) -> list[Difference]:
    """Compare two small values."""
    if before == after:
        return []
    return [Difference(where, _shown(str(before)), _shown(str(after)))]


def of_folders(
    before: Path,
    after: Path,
    where: str,
    *,
    ignored: Iterable[str] = (),
    readers: Mapping[str, Callable[[Path], object]] | None = None,
) -> Iterator[list[Difference]]:
    """Compare every file under two folders; yield a list for each.

    Args:
        before: of the version before.
        after: of the version after.
        where: what they are.
        ignored: names of files and folders that are left out.
        readers: for files by name that hold times: what returns the rest of one as a document.
    """
    left_out = set(ignored)
    files = [
        {
            path
            for found in sorted(folder.rglob("*"))
            if found.is_file() and not left_out & set((path := found.relative_to(folder)).parts)
        }
        for folder in (before, after)
    ]
    for path in sorted(files[0] | files[1]):
        place = f"{where}/{path}"
        if (present := [path in some for some in files]) != [True, True]:
            yield of_values(*("there" if there else MISSING for there in present), place)
        elif read := (readers or {}).get(path.name):
            yield of_documents(read(before / path), read(after / path), place, is_message)
        else:
            yield of_bytes((before / path).read_bytes(), (after / path).read_bytes(), place)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@dataclass
class Account:
    """What was compared, and with what outcome.

    Attributes:
        expected: patterns of places that may differ, as in `fnmatch`.
        rows: part -> how many comparisons ended in each way.
        differences: every one, with its part.
    """

    expected: tuple[str, ...] = ()
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    differences: list[tuple[str, Difference]] = field(default_factory=list)

    def add(self, part: str, differences: Iterable[Difference]) -> None:
        """Enter one comparison."""
        judged = [self._judged(difference) for difference in differences]
        kinds: tuple[Kind, ...] = ("different", "expected", "wording")
        worst = next((k for k in kinds if any(d.kind == k for d in judged)), "equal")
        self.rows.setdefault(part, Counter())[worst] += 1
        self.differences += [(part, difference) for difference in judged]

    def _judged(self, difference: Difference) -> Difference:
        if difference.kind == "different" and any(
            fnmatchcase(difference.where, pattern) for pattern in self.expected
        ):
            return replace(difference, kind="expected")
        return difference

    @property
    def failed(self) -> bool:
        """Whether any value differs."""
        return any(row["different"] for row in self.rows.values())
