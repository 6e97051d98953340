"""`hashrec export` and `hashrec batch-recommend`: what a store holds and answers, as files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JournalOption,
    QuietOption,
    StoreOption,
    say,
)

if TYPE_CHECKING:
    from hashrec.index.artifacts.artifact import Artifact
    from hashrec.index.files.tables import Schema

app = typer.Typer()
export = typer.Typer(no_args_is_help=True)
app.add_typer(export, name="export", help="Write items, users, events or codes to a file.")

OutOption = Annotated[
    Path, typer.Option("--out", help="File to write; its name ends with .jsonl or .parquet.")
]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="In place of the served version.")
]
NegativeOption = Annotated[
    str,
    typer.Option(
        envvar="HASHREC_EVENTS__NEGATIVE_TYPES", help="Types of events that say no, as served."
    ),
]


@export.command()
def items(
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    journal: JournalOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write the catalogue as it is now: the model's items, and what was changed since."""
    from hashrec.index.files import exporting  # noqa: PLC0415
    from hashrec.index.live.catalogue_state import overlay_of  # noqa: PLC0415

    model = _opened(store, version).model
    parts = exporting.item_parts(model, overlay_of(_journal(store, journal)))
    _write(out, exporting.ITEMS, parts, "items", total=len(model.items), quiet=quiet)


@export.command()
def users(
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write the model's users."""
    from hashrec.index.files import exporting  # noqa: PLC0415

    model = _opened(store, version).model
    parts = exporting.user_parts(model)
    _write(out, exporting.USERS, parts, "users", total=len(model.users), quiet=quiet)


@export.command()
def events(
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    journal: JournalOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write every event that was accepted, in order; `hashrec train --data` reads them."""
    from hashrec.index.files import exporting  # noqa: PLC0415

    opened = _journal(store, journal)
    parts = iter(()) if opened is None else exporting.event_parts(opened)
    _write(out, exporting.EVENTS, parts, "events", total=None, quiet=quiet)


@export.command()
def codes(
    out: OutOption,
    of: Annotated[Literal["users", "items", "both"], typer.Option(help="Whose codes.")] = "both",
    store: StoreOption = DEFAULT_STORE,
    version: VersionOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write codes in hexadecimal: sign d is bit d % 8, least significant first, of byte d // 8."""
    from hashrec.index.files import exporting  # noqa: PLC0415

    model = _opened(store, version).model
    total = (of != "items") * len(model.users) + (of != "users") * len(model.items)
    owners: dict[str, tuple[exporting.Owner, ...]] = {
        "users": ("user",), "items": ("item",), "both": ("user", "item"),
    }  # fmt: skip
    parts = exporting.code_parts(model, owners[of])
    _write(out, exporting.CODES, parts, "codes", total=total, quiet=quiet)


@app.command()
def batch_recommend(
    *,
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    k: Annotated[int, typer.Option("-k", min=1, max=500, help="Length of the lists.")] = 10,
    users: Annotated[
        Path | None,
        typer.Option(help="File with the users: an id a line, JSON lines or Parquet. [all]"),
    ] = None,
    version: VersionOption = None,
    journal: JournalOption = None,
    negative_types: NegativeOption = "dislike,skip,hide",
    quiet: QuietOption = False,
) -> None:
    """Write the list of every user, each as the service would answer it now."""
    from hashrec.index.files.batch import SCHEMA, recommend_all  # noqa: PLC0415
    from hashrec.index.files.user_files import read_user_ids  # noqa: PLC0415
    from hashrec.index.live.catalogue_state import overlay_of  # noqa: PLC0415
    from hashrec.index.live.model_overlay import ModelOverlay  # noqa: PLC0415
    from hashrec.index.ranking.recommender import Recommender  # noqa: PLC0415

    artifact = _opened(store, version)
    learned = artifact.manifest.data.journal_position or 0
    negative = {name.strip() for name in negative_types.split(",")} - {""}
    overlay = overlay_of(_journal(store, journal), after=learned, negative_types=negative)
    known = artifact.model.users
    if users is not None:
        listed = read_user_ids(users)
        total, user_ids = len(listed), iter(listed)
    else:
        newcomers = [user for user in overlay.user_ids() if known.row(user) is None]
        total = len(known) + len(newcomers)
        user_ids = _chained((known.id(row) for row in range(len(known))), newcomers)
    lists = recommend_all(
        Recommender(artifact), ModelOverlay(overlay, artifact.model, after=learned), user_ids, k
    )
    parts = ((part.columns, part.n_users) for part in lists)
    _write_counted(out, SCHEMA, parts, "users", total=total, quiet=quiet)


def _chained(*parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        yield from part


def _opened(store: Path, version: str | None) -> Artifact:
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    return Store(store).open(version)


def _journal(store: Path, url: str | None) -> Any:
    from hashrec.index.live.catalogue_state import journal_of  # noqa: PLC0415

    return journal_of(store, url)


def _write(
    out: Path,
    schema: Schema,
    parts: Iterator[dict[str, Sequence[Any]]],
    what: str,
    *,
    total: int | None,
    quiet: bool,
) -> None:
    def counted() -> Iterator[tuple[Mapping[str, Sequence[Any]], int]]:
        for part in parts:
            yield part, len(next(iter(part.values())))

    _write_counted(out, schema, counted(), what, total=total, quiet=quiet)


def _write_counted(
    out: Path,
    schema: Schema,
    parts: Iterable[tuple[Mapping[str, Sequence[Any]], int]],
    what: str,
    *,
    total: int | None,
    quiet: bool,
) -> None:
    """Write parts as they come, each with the number of things it is about."""
    from hashrec.index.commands.progress import count_bar  # noqa: PLC0415
    from hashrec.index.files.tables import writing_table  # noqa: PLC0415

    n_done = 0
    advance: Callable[[int], None]
    with (
        writing_table(out, schema) as write,
        count_bar(what, total, None if quiet else sys.stderr) as advance,
    ):
        for columns, n in parts:
            write(columns)
            n_done += n
            advance(n)
    if not quiet:
        say(f"{n_done:,} {what}")
    print(out)
