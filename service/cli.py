"""`hashrec serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


@app.command()
def serve(
    store: Annotated[
        Path | None, typer.Option(help="Folder of the published versions. [.hashrec/store]")
    ] = None,
    redis: Annotated[
        str | None, typer.Option(metavar="URL", help="Redis that workers share as a cache. [none]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [8000]")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes. [1]")] = None,
) -> None:
    """Serve the published model over HTTP.

    Every setting can come from the environment too, HASHREC_PORT for example; an option here comes
    before it.
    """
    from service.settings import Settings  # noqa: PLC0415

    flags: dict[str, Any] = {"store": store, "host": host, "port": port, "workers": workers}
    flags["redis"] = None if redis is None else {"url": redis}
    settings = Settings.load(**{name: value for name, value in flags.items() if value is not None})

    from service.server import serve as run  # noqa: PLC0415  the web stack takes half a second

    run(settings)
