"""The commands of the service: `hashrec serve`, `doctor`, `bench` and `keys`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hashrec.index.commands.file_options import UserFileOptions, with_options
from hashrec.index.commands.options import JsonOption
from hashrec.index.commands.printing import print_json, say

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True)
app.add_typer(keys, name="keys", help="Make API keys for the service.")

# None means that the settings decide: the environment, then the default.
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder of the published versions. [.hashrec/store]")
]
RedisOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Redis cache that the workers share. [none]")
]


@app.command()
def serve(
    store: StoreOption = None,
    redis: RedisOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [8000]")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes. [1]")] = None,
) -> None:
    """Serve the published model over HTTP.

    Every setting can also come from the environment, for example HASHREC_PORT; an option overrides
    it.
    """
    from hashrec.service.settings import Settings  # noqa: PLC0415

    flags: dict[str, Any] = {"store": store, "host": host, "port": port, "workers": workers}
    flags["redis"] = None if redis is None else {"url": redis}
    settings = Settings.load(**{name: value for name, value in flags.items() if value is not None})

    from hashrec.service.server import serve as run  # noqa: PLC0415  the web stack takes half a second

    run(settings)


@app.command()
def doctor(
    store: StoreOption = None,
    url: Annotated[
        str | None, typer.Option(help="URL of the service. [host and port of the settings]")
    ] = None,
    redis: RedisOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a deployment and say what to fix.

    Exits with 1 if there is a problem. Reads the settings as `hashrec serve` does: run it where the
    service runs.
    """
    from hashrec.service.doctor import examine  # noqa: PLC0415
    from hashrec.service.doctor.finding import Deployment  # noqa: PLC0415
    from hashrec.service.doctor.report import as_document, print_report, settings_in_force  # noqa: PLC0415
    from hashrec.service.settings import Settings  # noqa: PLC0415

    flags: dict[str, Any] = {} if store is None else {"store": store}
    if redis is not None:
        flags["redis"] = {"url": redis}
    settings = Settings.load(**flags)
    in_force = settings_in_force(settings, flags)
    findings = list(examine(Deployment(settings, url)))
    if as_json:
        print_json(as_document(in_force, findings))
    else:
        print_report(in_force, findings)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
@with_options
def bench(
    options: UserFileOptions,
    url: Annotated[str, typer.Option(help="URL of the service.")] = "http://127.0.0.1:8000",
    target: Annotated[
        str, typer.Option(help="Path of the requests; {user} is replaced by each id in turn.")
    ] = "/recommend/{user}",
    users: Annotated[
        Path | None,
        typer.Option(help="File with user ids: an id a line, or a table. [1 to 1000]"),
    ] = None,
    connections: Annotated[
        int, typer.Option(min=1, max=1000, help="Number of connections kept open.")
    ] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration in seconds.")] = 10.0,
    key: Annotated[
        str | None, typer.Option(envvar="HASHREC_KEY", help="API key to send with each request.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure throughput and latency of a running service.

    Exits with 1 if a reply is not 2xx. The client needs a processor core: on the same machine the
    service has one less.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from hashrec.index.files.user_files import read_user_ids  # noqa: PLC0415
    from hashrec.service.load import load  # noqa: PLC0415

    user_ids = [str(number) for number in range(1, 1001)]
    if users is not None:
        user_ids = read_user_ids(
            users, options.format_options(), max_bad=options.max_bad or 0, say=say
        )
    report = load(url, target, user_ids, connections=connections, seconds=seconds, key=key)
    if as_json:
        print_json(asdict(report))
    else:
        statuses = ", ".join(f"{count:,} x {status}" for status, count in report.statuses.items())
        print(f"{report.requests_per_second:,.0f} requests a second over {connections} connections")
        print(f"{report.requests:,} requests in {report.seconds:.1f} s: {statuses}")
        print("  ".join(f"{name} {value:.2f} ms" for name, value in report.latency_ms.items()))
    report.require_success()


@keys.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the key's owner, shown in logs.")],
    scope: Annotated[
        Literal["read", "admin"],
        typer.Option(help="read: all but changes; admin: changes, too."),
    ] = "read",
    as_json: JsonOption = False,
) -> None:
    """Make an API key.

    Prints the key on stderr, where it is shown only once, and its line for the file of keys on
    stdout.
    """
    from hashrec.service.access.keys import new_key  # noqa: PLC0415

    key, kept = new_key(name, scope)
    if as_json:
        print_json({"name": name, "scope": scope, "key": key, "entry": kept.entry()})
        return
    say(f"key of {name}, which cannot be shown again: {key}")
    print(kept.entry())
