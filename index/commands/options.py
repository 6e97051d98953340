"""Options that mean the same in several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the published versions.")]
DEFAULT_STORE = Path(".hashrec/store")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
LengthOption = Annotated[int, typer.Option("-k", min=1, max=500, help="Length of a list.")]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="A published version. [the served one]")
]
JournalOption = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="URL",
        envvar="HASHREC_EVENTS__URL",
        help="Journal of events and catalogue changes. [the one in the store's folder]",
    ),
]
