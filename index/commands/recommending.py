"""`hashrec recommend` and `hashrec batch-recommend`: lists for one user, or for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from hashrec.index.commands.file_options import UserFileOptions, with_options
from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JournalOption,
    JsonOption,
    LengthOption,
    QuietOption,
    StoreOption,
    VersionOption,
)
from hashrec.index.commands.printing import print_json, print_table, say
from hashrec.index.commands.writing import OutOption, write_counted

app = typer.Typer()


@app.command()
def recommend(
    user_id: Annotated[str | None, typer.Argument(metavar="[USER]", help="User id.")] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(help="In place of USER: id of an item that a new user took; repeatable."),
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(help="Id of an item that the new user refused; repeatable.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    k: LengthOption = 10,
    strict: Annotated[
        bool, typer.Option(help="Fail if the model does not know the user, or the whole history.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print recommendations for a user or a history.

    The served version ranks, without the events since its training.
    """
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415
    from hashrec.index.ranking.recommender import Recommender  # noqa: PLC0415

    history = positive or [], negative or []
    if (user_id is None) != any(history):
        raise typer.BadParameter("give USER, or a history with --positive and --negative")
    recommender = Recommender(Store(store).open())
    if user_id is None:
        answer = recommender.recommend_history(*history, k, strict=strict)
    else:
        answer = recommender.recommend(user_id, k, strict=strict)
    if as_json:
        items = [
            {**item._asdict(), "title": recommender.title(item.item_id)} for item in answer.items
        ]
        for item in items:
            del item["row"]  # rows belong to this version only
        print_json({"user_id": user_id, **asdict(answer), "items": items})
        return
    unknown = f", {answer.n_unknown} ids of the history unknown" if answer.n_unknown else ""
    say(f"{answer.source} recommendations of version {answer.model_version}{unknown}")
    print_table(
        ("rank", "item", "title", "score", "hamming"),
        [
            (
                item.rank,
                item.item_id,
                recommender.title(item.item_id) or "",
                item.score,
                "" if item.hamming is None else item.hamming,
            )
            for item in answer.items
        ],
    )


@app.command()
@with_options
def batch_recommend(
    options: UserFileOptions,
    *,
    out: OutOption,
    store: StoreOption = DEFAULT_STORE,
    k: LengthOption = 10,
    users: Annotated[
        Path | None,
        typer.Option(help="File with the users: an id a line, or a table. [all]"),
    ] = None,
    version: VersionOption = None,
    journal: JournalOption = None,
    negative_types: Annotated[
        str | None,
        typer.Option(
            envvar="HASHREC_EVENTS__NEGATIVE_TYPES",
            help="Types of events that count as negative, as in the service. "
            "[those of the model's policy]",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write the recommendations of all users to a file.

    Each list is the one that the service would return now, with the events since the training.
    """
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415
    from hashrec.index.files.batch import SCHEMA, recommend_all  # noqa: PLC0415
    from hashrec.index.files.user_files import read_user_ids  # noqa: PLC0415
    from hashrec.index.live.catalogue_state import journal_of, overlay_of  # noqa: PLC0415
    from hashrec.index.live.model_overlay import ModelOverlay  # noqa: PLC0415
    from hashrec.index.ranking.recommender import Recommender  # noqa: PLC0415

    artifact = Store(store).open(version)
    learned = artifact.manifest.data.journal_position or 0
    negative = (
        None
        if negative_types is None
        else {name.strip() for name in negative_types.split(",")} - {""}
    )
    with journal_of(store, journal) as opened:
        overlay = overlay_of(
            opened,
            after=learned,
            strength=artifact.manifest.policy,
            negative_types=negative,
        )
    known = artifact.model.users
    user_ids: Iterable[str]
    if users is not None:
        user_ids = read_user_ids(
            users,
            options.format_options(),
            max_bad=options.max_bad or 0,
            say=(lambda _message: None) if quiet else say,
        )
        total = len(user_ids)
    else:
        newcomers = [user for user in overlay.user_ids() if known.row(user) is None]
        user_ids = chain((known.id(row) for row in range(len(known))), newcomers)
        total = len(known) + len(newcomers)
    lists = recommend_all(
        Recommender(artifact),
        ModelOverlay(overlay, artifact.model, after=learned),
        iter(user_ids),
        k,
    )
    parts = ((part.columns, part.n_users) for part in lists)
    write_counted(out, SCHEMA, parts, "users", total=total, quiet=quiet)
