"""Every error hashrec raises on purpose.

The classes take facts and build the message: one line that says what is wrong and what to do. None
knows about HTTP; the service maps the classes to status codes.
"""

from __future__ import annotations

from pathlib import Path


class HashrecError(Exception):
    """Anything hashrec refuses or fails to do, with a message fit for its user."""


class ConfigError(HashrecError):
    """A setting is unknown, out of range or contradicts another."""


class MissingLibraryError(HashrecError):
    """A library that only some installations have is needed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}: pip install 'hashrec[{extra}]'")


class DataError(HashrecError):
    """An input file cannot be used as it is."""


class EmptyDataError(DataError):
    """Nothing is left to learn from."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")


class UnknownFormatError(DataError):
    """A file's format was not recognised."""

    def __init__(self, path: Path | str, seen: str) -> None:
        super().__init__(
            f"{path}: format not recognised ({seen}); name the columns with "
            "--map user=COLUMN,item=COLUMN or the format with --preset"
        )


class TooManyBadRowsError(DataError):
    """More rows were unreadable than the user allows."""

    def __init__(self, path: Path | str, n_bad: int, max_bad: int, examples: list[str]) -> None:
        super().__init__(
            f"{path}: {n_bad} bad rows, {max_bad} allowed ({'; '.join(examples)}); "
            "mend the file or raise --max-bad"
        )


class ArtifactError(HashrecError):
    """A model folder cannot be read or written."""


class ArtifactCorruptError(ArtifactError):
    """A model folder is not what its manifest says."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{path}: damaged or incomplete artifact: {reason}; train or publish it again"
        )


class NoArtifactError(ArtifactError):
    """A store holds no published version."""

    def __init__(self, store: Path | str) -> None:
        super().__init__(
            f"{store}: no published version; run `hashrec publish RUN --store {store}`"
        )


class NoRunError(ArtifactError):
    """A folder is not what `hashrec train` leaves."""

    def __init__(self, run: Path | str) -> None:
        super().__init__(f"{run}: no trained model there; run `hashrec train --out {run}` first")


class UnknownVersionError(ArtifactError):
    """A store does not hold the version asked for."""

    def __init__(self, store: Path | str, version: str) -> None:
        super().__init__(
            f"{store}: no version {shorten(version)!r}; `hashrec versions --store {store}` lists "
            "them"
        )


class NoEarlierVersionError(ArtifactError):
    """There is no version to return to."""

    def __init__(self, store: Path | str, current: str) -> None:
        super().__init__(f"{store}: no version before {current} to return to")


class StoreWriteError(ArtifactError):
    """A store cannot be written."""

    def __init__(self, store: Path | str, reason: str, standing: str) -> None:
        self.reason = reason
        super().__init__(f"{store}: cannot be written: {reason}; {standing}")


class StoreBusyError(ArtifactError):
    """Another job is writing to the store."""

    def __init__(self, store: Path | str, job: str, holder: str) -> None:
        super().__init__(f"{store}: another {job} is under way ({holder}); wait for it to end")


class QualityGateError(HashrecError):
    """A candidate model ranks worse than the served one allows."""

    def __init__(self, metric: str, figure: float, bar: float, whose: str, max_drop: float) -> None:
        super().__init__(
            f"not published: {metric} {figure:.4f} is more than {max_drop:.0%} below {whose} "
            f"{bar:.4f}; look at the data, or raise --max-drop"
        )


class InvalidRecordError(DataError):
    """An event or a catalogue change cannot be kept as it is."""

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(f"{member} {reason}")


class JournalError(HashrecError):
    """The record of events cannot be used."""


class JournalCorruptError(JournalError):
    """A journal's file is damaged, or is something else."""

    def __init__(self, journal: Path | str, reason: str) -> None:
        super().__init__(
            f"{journal}: not a usable journal: {reason}; move it away, or restore a copy"
        )


class JournalUnavailableError(JournalError):
    """A journal cannot be read or written right now."""

    def __init__(self, journal: Path | str, reason: str) -> None:
        super().__init__(f"{journal}: events cannot be kept or read: {reason}")


class CodeWidthError(HashrecError):
    """Codes of one width met codes or an index of another."""

    def __init__(self, expected_bits: int, actual_bits: int) -> None:
        super().__init__(f"codes have {actual_bits} bits where {expected_bits} are expected")


class UnknownUserError(HashrecError):
    """A user id is not in the model."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        super().__init__(f"no user {shorten(user_id)!r} in this model")


class UnknownItemError(HashrecError):
    """An item id is not in the model."""

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(f"no item {shorten(item_id)!r} in this model")


class UnknownHistoryError(HashrecError):
    """No positive item of a history is in the model."""

    def __init__(self, n_positives: int) -> None:
        super().__init__(
            f"none of the {n_positives} positive items is in this model"
            if n_positives
            else "the history has no positive item"
        )


class NoEncoderError(HashrecError):
    """An artifact from before there were encoders was asked to code a new user."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"model {version} cannot code new users: it was trained without an encoder; "
            "train and publish it again"
        )


def shorten(text: str, limit: int = 64) -> str:
    """Cut a user's text to at most `limit` characters, so that an error stays one line."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
