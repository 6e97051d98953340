"""The report that `hashrec doctor` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import SecretStr

from hashrec.index.commands.printing import print_table
from hashrec.service.doctor.finding import HIDDEN, Finding, without_password
from hashrec.service.settings import Origin, Settings, environment_key, leaves, origin_of

KEYS = ("keys", "entries")  # only digests, but still hidden
SIGNS = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM"}


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting as the service reads it.

    Attributes:
        name: its environment variable.
        value: its value without secrets; None if it is not set.
        origin: source of the value.
    """

    name: str
    value: Any
    origin: Origin


def settings_in_force(settings: Settings, flags: Mapping[str, Any]) -> list[SettingInForce]:
    """List every setting.

    Args:
        settings: the settings loaded with the flags.
        flags: the settings given on the command line, see `Settings.load`.
    """
    found: list[SettingInForce] = []
    for path, _ in leaves(Settings):
        value: Any = settings
        for name in path:
            value = getattr(value, name)
        if isinstance(value, SecretStr):
            value = without_password(value.get_secret_value())
        elif path == KEYS and value is not None:
            value = HIDDEN
        found.append(SettingInForce(environment_key(path), value, origin_of(path, flags)))
    return found


def as_document(
    in_force: Sequence[SettingInForce], findings: Sequence[Finding]
) -> dict[str, object]:
    """Return the report as a JSON document."""
    return {
        "ok": all(finding.status != "problem" for finding in findings),
        "settings": [asdict(setting) for setting in in_force],
        "findings": [asdict(finding) for finding in findings],
    }


def print_report(in_force: Sequence[SettingInForce], findings: Sequence[Finding]) -> None:
    """Print the report as text."""
    print_table(
        ("setting", "value", "from"),
        [
            (setting.name, "none" if setting.value is None else str(setting.value), setting.origin)
            for setting in in_force
        ],
    )
    print()
    for finding in findings:
        print(f"{SIGNS[finding.status]:8} {finding.check}: {finding.message}")
        if finding.advice:
            print(f"{'':8}   -> {finding.advice}")
    counts = Counter(finding.status for finding in findings)
    print(f"\n{counts['problem']} problems, {counts['warning']} warnings, {counts['ok']} ok")
