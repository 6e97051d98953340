"""The command line `hashrec`: the commands of the installed packages, their help and exit codes.

The modules of commands are light: torch, faiss and the web stack load when a command runs.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hashrec import __version__
from hashrec.index.commands.printing import say
from hashrec.index.errors import HashrecError

# Modules of commands, and the packages that they need: an image that serves has no training.
COMMAND_MODULES = {
    "hashrec.quickstart": ("training", "service"),
    "hashrec.index.commands.versions": (),
    "hashrec.index.commands.recommending": (),
    "hashrec.index.commands.exporting": (),
    "hashrec.training.commands.jobs": ("training",),
    "hashrec.training.commands.data": ("training",),
    "hashrec.training.commands.importing": ("training",),
    "hashrec.training.commands.reproduction": ("training",),
    "hashrec.service.cli": ("service",),
}
HELP_SECTIONS = {
    "Start here": ("quickstart",),
    "Train and judge": ("train", "evaluate", "retrain"),
    "Publish": ("publish", "versions", "activate", "rollback", "compare"),
    "Recommend and serve": ("recommend", "batch-recommend", "serve", "keys", "doctor", "bench"),
    "Data in and out": ("data", "import", "export"),
    "Research": ("reproduce",),
}
TRAINING_LIBRARIES = ("torch", "scipy", "polars", "pyarrow", "implicit", "threadpoolctl")


class SectionedGroup(TyperGroup):
    """Lists commands under the titles of `HELP_SECTIONS`, as plain text and with uncut summaries.

    Typer's own sections are boxes drawn by rich, which are hard to read in a pipe.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the sections of the help."""
        width = max(map(len, self.commands))
        for title, names in HELP_SECTIONS.items():
            rows = [
                (name.ljust(width), self.commands[name].get_short_help_str(sys.maxsize))
                for name in names
                if name in self.commands
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="hashrec",
    cls=SectionedGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hashrec {__version__}")
        raise typer.Exit


@app.callback()
def hashrec(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Recommendations from binary codes: train, publish, serve."""


for _module, _packages in COMMAND_MODULES.items():
    if all(find_spec(f"hashrec.{package}") for package in _packages):
        app.add_typer(importlib.import_module(_module).app)


def main() -> None:
    """Run `hashrec`. Exit 0 when done, 1 when it failed, 2 for a wrong command line."""
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
        if error.name not in TRAINING_LIBRARIES:
            raise
        say(f"error: this command needs {error.name}: pip install 'hashrec[training]'")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
