"""Options of the commands that read files, and a decorator for options that commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_type_hints

import typer

from hashrec.index.commands.completion import key_of, one_of
from hashrec.index.errors import ConfigError

if TYPE_CHECKING:
    from hashrec.index.reading.options import FormatOptions

MapOption = Annotated[
    str | None,
    typer.Option(
        "--map",
        help="Columns by role, for example user=uid,item=sku; timestamp=- for no column.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What only the user knows about a table in a file; None where an option is not given."""

    map_option: ClassVar[str] = "--map"
    columns: MapOption = None
    separator: Annotated[
        str | None, typer.Option(help="Separator of the fields, one character or `tab`. [detected]")
    ] = None
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of the text, for example latin-1. [UTF-8, UTF-16]")
    ] = None
    quoting: Annotated[
        bool | None,
        typer.Option("--quoting/--no-quoting", help="Whether quotes enclose fields. [they do]"),
    ] = None
    max_bad: Annotated[
        int | None, typer.Option(min=0, help="Number of unreadable rows to skip in a file. [0]")
    ] = None

    def flags(self) -> list[str]:
        """Write the options that are given as arguments of a command."""
        names = {"columns": "map", "home": "data-home"}
        arguments: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            name = names.get(field.name, field.name.replace("_", "-"))
            if isinstance(value, bool):
                arguments.append(f"--{name}" if value else f"--no-{name}")
            elif value is not None:
                arguments += [f"--{name}", str(value)]
        return arguments

    def format_options(self) -> FormatOptions:
        """Return the options of the format.

        Raises:
            ConfigError: one is out of range.
        """
        from hashrec.index.reading.options import FormatOptions  # noqa: PLC0415

        names = {field.name for field in fields(FormatOptions)}
        given: dict[str, Any] = {
            name: value for name, value in vars(self).items() if name in names and value is not None
        }
        if self.columns is not None:
            given["columns"] = parse_columns(self.columns, self.map_option)
        return FormatOptions(**given)


@dataclass(frozen=True, kw_only=True)
class UserFileOptions(TableOptions):
    """What only the user knows about a file of users; None where an option is not given."""

    columns: Annotated[
        str | None,
        typer.Option("--map", help="Column of --users with the ids, for example user=uid."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FileOptions(TableOptions):
    """What only the user knows about a file with times; None where an option is not given."""

    preset: Annotated[
        str | None,
        typer.Option(
            help="Format of the file, if it is not to be detected.",
            autocompletion=key_of("hashrec.index.reading.readers", "READERS"),
        ),
    ] = None
    decimal: Annotated[
        str | None,
        typer.Option(
            help="Decimal mark of numbers, `.` or `,`. [detected]",
            autocompletion=one_of(".", ","),
        ),
    ] = None
    time_format: Annotated[
        str | None,
        typer.Option(
            help="Timestamps: seconds, milliseconds, microseconds, nanoseconds, or a pattern such "
            "as %d.%m.%Y. [detected]"
        ),
    ] = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command shared options: they follow its first own option in the help.

    Args:
        command: its first parameter takes a dataclass of options, the others are its further
            options.
    """
    shared, first, *others = inspect.signature(command, eval_str=True).parameters.values()
    kind = shared.annotation
    signature = inspect.signature(kind).parameters
    types = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    # the options of the class itself go before those that it inherits
    own = [name for name in names if name in inspect.get_annotations(kind)]
    names = [*own, *(name for name in names if name not in own)]

    @wraps(command)
    def run(**options: Any) -> None:
        command(kind(**{name: options.pop(name) for name in names}), **options)

    options = [
        first,
        *(signature[name].replace(annotation=types[name]) for name in names),
        *others,
    ]  # Typer reads the signature
    run.__signature__ = inspect.Signature(  # pyright: ignore[reportAttributeAccessIssue]
        [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    )
    return run


def parse_columns(text: str | None, option: str = "--map") -> dict[str, str] | None:
    """Parse `user=uid,item=sku`.

    Raises:
        ConfigError: the text is not of that form.
    """
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(role and column for role, _, column in pairs):
        role = "item" if option == "--map-items" else "user"
        raise ConfigError(
            f"{option} {text!r} is not of the form {role}=COLUMN, several separated by commas"
        )
    return {role.strip(): column.strip() for role, _, column in pairs}
