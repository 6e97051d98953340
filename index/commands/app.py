"""`hashrec`: one command for the whole way from an interactions file to answers.

Commands that only read or write a store are here. Those that train or serve are in packages with
heavy libraries; their modules are light, and load those libraries when a command runs.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hashrec.index.commands.options import (
    DEFAULT_STORE,
    JsonOption,
    StoreOption,
    print_json,
    print_table,
    say,
)
from hashrec.index.errors import HashrecError

# Named as text: `index` imports neither package, and either may be left out of an installation.
COMMAND_MODULES = (
    "hashrec.training.commands.jobs",
    "hashrec.service.cli",
    "hashrec.index.commands.quickstart",
    "hashrec.index.commands.files",
    "hashrec.training.commands.importing",
    "hashrec.training.commands.reproduction",
)

app = typer.Typer(
    name="hashrec",
    help="Recommendations from binary codes: train, publish, serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="Folder that `hashrec train` wrote.")],
    store: StoreOption = DEFAULT_STORE,
    activate: Annotated[
        bool, typer.Option(help="Serve it; without, it can be compared with the served version.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Verify a trained model, copy it into the store and serve it."""
    from hashrec.index.artifacts.artifact import HELD_OUT_FILE, artifact_of_run  # noqa: PLC0415
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    artifact = artifact_of_run(run)
    if (run / HELD_OUT_FILE).exists():
        say(
            "note: this model has not learned from the items that were held out, and may recommend "
            "them again; train with --split none to serve"
        )
    _print_version(Store(store).publish(artifact, activate=activate), as_json)


def _print_version(version: str, as_json: bool) -> None:
    if as_json:
        print_json({"version": version})
    else:
        print(version)


@app.command()
def versions(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List the published versions, latest first."""
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    found = Store(store).versions()
    if as_json:
        print_json([asdict(version) for version in found])
        return
    print_table(
        ("", "version", "model", "bits", "bytes/item", "users", "items", "metrics"),
        [
            (
                "*" if version.is_current else "",
                version.version,
                version.model,
                version.n_bits,
                version.bytes_per_item,
                version.n_users,
                version.n_items,
                "  ".join(f"{name} {value:.4f}" for name, value in version.metrics.items()),
            )
            for version in found
        ],
    )


@app.command()
def activate(
    version: Annotated[str, typer.Argument(help="A published version.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Verify a published version again, and serve it."""
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    Store(store).activate(version)
    _print_version(version, as_json)


@app.command()
def compare(
    version: Annotated[str, typer.Argument(help="The version that is tried.")],
    baseline: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="What to hold it against. [the served version]"),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    users: Annotated[int, typer.Option(min=1, help="Users to draw.")] = 1000,
    k: Annotated[int, typer.Option("-k", min=1, max=500, help="Length of the lists.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Draws other users.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how two versions' lists differ for the same users, before a version is activated."""
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415
    from hashrec.index.ranking import comparison  # noqa: PLC0415
    from hashrec.index.ranking.recommender import Recommender  # noqa: PLC0415

    candidate = Recommender(Store(store).open(version))
    against = Recommender(Store(store).open(baseline))
    found = comparison.compare(candidate, against, comparison.sample_users(against, users, seed), k)
    if as_json:
        print_json(asdict(found))
        return
    say(f"{found.n_users} users of {found.baseline}, lists of {k}")
    print_table(
        ("", found.candidate, found.baseline),
        [
            ("items in common", found.overlap, ""),
            ("users whose list is another", found.changed_users, ""),
            ("places that common items moved", _or_dash(found.rank_shift), ""),
            ("Kendall's tau of common items", _or_dash(found.kendall_tau), ""),
            ("items of the catalogue listed", *found.coverage),
            ("users with a list of their own", *found.personal_users),
        ],
    )


def _or_dash(figure: float | None) -> float | str:
    return "-" if figure is None else figure


@app.command()
def rollback(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Serve the version that was served before this one."""
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    _print_version(Store(store).rollback(), as_json)


@app.command()
def recommend(
    user_id: Annotated[str | None, typer.Argument(metavar="[USER]", help="User id.")] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(help="In place of USER: id of an item that someone new took; repeatable."),
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(help="Id of an item that they refused; repeatable.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    k: Annotated[int, typer.Option("-k", min=1, max=500, help="Length of the list.")] = 10,
    strict: Annotated[
        bool, typer.Option(help="Fail for a user, or a history, that the model does not know.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print recommendations from the served version: a user's, or those for a history."""
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


def mount_commands() -> None:
    """Add the commands of the packages that are installed."""
    for module in COMMAND_MODULES:
        try:
            app.add_typer(importlib.import_module(module).app)
        except ModuleNotFoundError as error:
            if error.name not in (module, module.partition(".")[0]):
                raise


def main() -> None:
    """Run `hashrec`. Exit 0 when done, 1 when it failed, 2 for a wrong command line."""
    # Threads that wait give up the core. Spinning, the OpenMP default, makes training
    # five times slower where anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    mount_commands()
    try:
        app()
    except HashrecError as error:
        say(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}")
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "scipy", "polars", "pyarrow", "implicit"):
            raise
        say(f"error: this command needs {error.name}: pip install 'hashrec[training]'")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
