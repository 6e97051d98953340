"""Commands on published versions: publish, list, compare and switch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hashrec.index.commands.options import DEFAULT_STORE, JsonOption, LengthOption, StoreOption
from hashrec.index.commands.printing import print_json, print_table, say

app = typer.Typer()


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="Folder that `hashrec train` wrote.")],
    store: StoreOption = DEFAULT_STORE,
    activate: Annotated[
        bool,
        typer.Option(help="Serve the version, or only add it, for example to compare it first."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Copy a trained model into the store and serve it.

    The model is verified first. A running service loads it without a restart.
    """
    from hashrec.index.artifacts.artifact import HELD_OUT_FILE, artifact_of_run  # noqa: PLC0415
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    artifact = artifact_of_run(run)
    if (run / HELD_OUT_FILE).exists():
        say(
            "note: this model did not learn from the items that were held out and may recommend "
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
    """Switch the service to a published version.

    The version is verified first.
    """
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    Store(store).activate(version)
    _print_version(version, as_json)


@app.command()
def compare(
    version: Annotated[str, typer.Argument(help="The candidate.")],
    baseline: Annotated[
        str | None,
        typer.Argument(metavar="[BASELINE]", help="The version to compare with. [the served one]"),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    users: Annotated[int, typer.Option(min=1, help="Number of users, drawn at random.")] = 1000,
    k: LengthOption = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions' lists for the same users.

    To see what would change before a version is activated.
    """
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
            ("users whose list differs", found.changed_users, ""),
            ("places common items moved", found.rank_shift, ""),
            ("Kendall's tau of common items", found.kendall_tau, ""),
            ("catalogue coverage", *found.coverage),
            ("users with a personal list", *found.personal_users),
        ],
    )


@app.command()
def rollback(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Switch back to the version served before."""
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    _print_version(Store(store).rollback(), as_json)
