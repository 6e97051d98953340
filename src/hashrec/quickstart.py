"""`hashrec quickstart`: from interactions to a first answer over HTTP in one command.

Training, publishing and serving are the commands a user would type, each in a separate process, so
that the server does not keep the memory that training took.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import typer

from hashrec.index.commands.file_options import with_options
from hashrec.index.commands.options import DEFAULT_STORE, QuietOption, StoreOption
from hashrec.index.commands.printing import print_table, say
from hashrec.index.errors import HashrecError
from hashrec.training.commands.options import DATA, DataOptions, ItemsOption, MapItemsOption

READY_SECONDS = 60

app = typer.Typer()


@app.command()
@with_options
def quickstart(
    options: DataOptions,
    *,
    data: Annotated[str, DATA] = "synthetic",
    items: ItemsOption = None,
    map_items: MapItemsOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8000,
    store: StoreOption = DEFAULT_STORE,
    quiet: QuietOption = False,
) -> None:
    """Train, publish, serve and print a first answer.

    Trains on all of the data, and serves until Ctrl-C.
    """
    require_free_port(port)
    run = store / ".quickstart"
    flags = options.flags() + ["--quiet"] * quiet
    if items is not None:
        flags += ["--items", str(items)]
    if map_items is not None:
        flags += ["--map-items", map_items]
    hashrec("train", "--data", data, "--split", "none", "--out", str(run), *flags)
    hashrec("publish", str(run), "--store", str(store), stdout=subprocess.DEVNULL)
    server = subprocess.Popen(
        [*COMMAND, "serve", "--store", str(store), "--port", str(port)],
        env={"HASHREC_LOG_LEVEL": "warning"} | os.environ,  # this is a terminal, not a log
    )
    signal.signal(signal.SIGTERM, _exit)  # so that the server ends too
    try:
        user_id = first_user(store)
        url = f"http://127.0.0.1:{port}/recommend/{quote(user_id, safe='')}?k=5"
        answer = wait_for(url, server)
        say(f"\ncurl {url!r}")
        print_answer(answer)
        say(f"serving {answer['model_version']} on http://127.0.0.1:{port} until Ctrl-C")
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        stop(server)


# -P: the current folder is no place to import from; it may hold a queue.py or a redis/.
COMMAND = (sys.executable, "-P", "-m", "hashrec")


def hashrec(*arguments: str, stdout: int | None = None) -> None:
    """Run a hashrec command.

    Raises:
        typer.Exit: the command failed; it has printed the reason.
    """
    done = subprocess.run([*COMMAND, *arguments], stdout=stdout, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def require_free_port(port: int) -> None:
    """Check that the port is free, before minutes of training.

    Raises:
        HashrecError: the port is taken or not allowed.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HashrecError(
                f"port {port} cannot be used: {error.strerror}; choose another with --port"
            ) from error


def first_user(store: Path) -> str:
    """Return the id of the first user of the served version."""
    from hashrec.index.artifacts.store import Store  # noqa: PLC0415

    return Store(store).open().model.users.id(0)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Repeat a request until the server answers.

    Raises:
        HashrecError: the server ended, or did not answer within a minute.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=5) as response:  # noqa: S310  an http URL made here
                return json.load(response)
        except (URLError, OSError):
            time.sleep(0.1)
    raise HashrecError("the server did not start; its messages are above")


def print_answer(answer: dict[str, Any]) -> None:
    """Print a reply of `GET /recommend/{user_id}`."""
    say(f"user {answer['user_id']}, {answer['source']} recommendations:")
    print_table(
        ("rank", "item", "title", "score", "hamming"),
        [
            (item["rank"], item["item_id"], item.get("title", ""), item["score"], item["hamming"])
            for item in answer["items"]
        ],
    )
    sys.stdout.flush()


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server as an operator would, by SIGTERM, and wait for it."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    server.wait()
