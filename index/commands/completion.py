"""Shell completion of names, without the seconds that importing their modules would take."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Complete = Callable[[str], list[str]]


def one_of(*names: str) -> Complete:
    """Return a completion of fixed names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def key_of(module: str, registry: str, *others: str) -> Complete:
    """Return a completion of the keys of a registry, and of other names.

    Args:
        module: defines the registry, such as `hashrec.training.models`.
        registry: name of a dictionary that is written out in the module.
        others: names that are taken too.
    """

    def complete(incomplete: str) -> list[str]:
        return one_of(*others, *keys_in_source(module, registry))(incomplete)

    return complete


def keys_in_source(module: str, registry: str) -> list[str]:
    """Read the keys of a registry in the source of its module: importing it may load torch."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    values: dict[str, Any] = {}
    for node in ast.parse(Path(spec.origin).read_text()).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                values[name] = value
            case _:
                pass
    keys = (values[key.id] if isinstance(key, ast.Name) else key for key in values[registry].keys)
    return [ast.literal_eval(key) for key in keys]
