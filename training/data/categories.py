"""Read the categories of items: lists, and texts that hold several names in a usual style."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hashrec.index.errors import shorten
from hashrec.index.reading.numbers import NO_VALUE

NO_GENRE = "(no genres listed)"  # as MovieLens writes no category
# of an object that stands for a category, the likeliest first
NAME_KEYS = ("name", "title", "label", "description", "id")
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
MARKS = re.compile(r"""['"\[\]{}():]""")  # of lists and objects within a list
BRACKETS = {"[": "]", "{": "}", "(": ")"}
ENTITY = re.compile(r"&#?\w+;")
PHRASE = re.compile(r"(&|\band\b)", re.IGNORECASE)  # "Clothing, Shoes & Jewelry" is one name


@dataclass(frozen=True)
class Categories:
    """The categories of all rows.

    Attributes:
        names: of each row; None where the entry is no list of names.
        read_as: the styles, for the user to read; empty without any.
    """

    names: Sequence[list[str] | None]
    read_as: str


def read_categories(written: Sequence[Any]) -> Categories:
    """Read an entry of each row: a list, a text, or None for no category.

    A text is a list in JSON or Python notation, or names separated by bars. Commas and semicolons
    separate names if the column shows that: a part of one text is a name in another one. A comma
    with a blank also separates names if no text looks like one phrase (`Shoes & Jewelry`). A list
    may hold objects with names, and lists.
    """
    parsed = [_parsed(entry) for entry in written]
    plain = [each for each in parsed if isinstance(each, str) and "|" not in each]
    separator, read_as = _separator(Counter(plain), _names_in(parsed))
    styles: dict[str, None] = {}
    names: list[list[str] | None] = []
    for entry, each in zip(written, parsed, strict=True):
        if isinstance(each, str):
            mark = "|" if "|" in each else separator
            found = each.split(mark) if mark else [each]
            styles |= {"names separated by |": None} if mark == "|" else {}
        else:
            found = each
            is_text = isinstance(entry, str) and found and found != [entry.strip()]
            styles |= {"lists written as text": None} if is_text else {}
        names.append(None if found is None else _distinct(found))
    return Categories(names, ", ".join([*styles, *filter(None, [read_as])]))


def _distinct(names: Iterable[str]) -> list[str]:
    stripped = (name.strip() for name in names)
    return list(dict.fromkeys(name for name in stripped if name))


def _names_in(parsed: Iterable[object]) -> set[str]:
    """Return the names that lists and bars give."""
    names: set[str] = set()
    for each in parsed:
        if isinstance(each, list):
            names.update(each)
        elif isinstance(each, str) and "|" in each:
            names.update(_distinct(each.split("|")))
    return names


def _separator(texts: Counter[str], known: set[str]) -> tuple[str, str]:
    """Return what separates names in the texts of a column, empty for nothing, and how to say so.

    Args:
        texts: without lists and bars.
        known: names of other texts.
    """
    has_entities = any(ENTITY.search(text) for text in texts)
    for mark, name in ((",", "commas"), (";", "semicolons")):
        several = [text for text in texts if mark in text]
        if not several or (mark == ";" and has_entities):
            continue
        owners = Counter(part for text in texts for part in _distinct(text.split(mark)))
        recurs = any(
            owners[part] > 1 or part in known
            for text in several
            for part in _distinct(text.split(mark))
        )
        is_list = mark == "," and all(
            ", " in text and not PHRASE.search(text.rsplit(mark, 1)[-1]) for text in several
        )
        if recurs or is_list:
            return mark, f"names separated by {name}"
        return "", f"one name a row, with its {name} ({shorten(several[0], 40)!r})"
    return "", ""


def _parsed(entry: Any) -> list[str] | str | None:
    """Return the names of a list, a text that may hold several, or None for no list of names."""
    if entry is None:
        return []
    if not isinstance(entry, str):
        return _names(entry)
    text = entry.strip()
    if text.lower() in NO_VALUE or text == NO_GENRE:
        return []
    if not text.endswith(BRACKETS.get(text[0], "\0")):
        return text
    value = _evaluated(text)
    try:
        names = _names(value) if isinstance(value, list | tuple | dict) else None
    except RecursionError:
        names = None
    return [text] if names is None else names  # the brackets may belong to a name


def _names(value: Any) -> list[str] | None:
    """Return the names in a value, lists in lists too; None if a part of it is none."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return [str(value)]
    if isinstance(value, dict):
        fields: dict[str, Any] = value
        if key := next((key for key in NAME_KEYS if fields.get(key) is not None), None):
            return _names(fields[key])
        value = list(fields.values())
        return value if value and all(isinstance(name, str) for name in value) else None
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        return None
    parts = [_names(each) for each in value]
    return None if None in parts else [name for part in parts for name in part or ()]


def _evaluated(text: str) -> Any:
    """Read a list in the notation of JSON, Python, NumPy or a database; None for another text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    inside = text[1:-1]
    tokens = QUOTED.findall(inside)
    if tokens and not QUOTED.sub("", inside).strip(", \n\t"):
        # one by one: Python would join the words of ['Action' 'Drama'], as NumPy writes a list
        return [_literal(token) for token in tokens]
    if text[0] != "(" and not MARKS.search(inside):  # [Action, Drama], {Action,Drama}
        return inside.split(",")
    return _literal(text)


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash that escapes nothing
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
