"""The errors that hashrec raises on purpose.

Each class takes facts and builds its message: one line that says what is wrong and what to do.
`service/http/problems.py` gives the classes their HTTP status.
"""

from __future__ import annotations

from pathlib import Path


class HashrecError(Exception):
    """An error with a message for the user of hashrec."""


class ConfigError(HashrecError):
    """A setting is unknown, out of range, or contradicts another setting."""


class MissingLibraryError(HashrecError):
    """An optional library is needed and not installed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}: pip install 'hashrec[{extra}]'")


class DataError(HashrecError):
    """Input data are invalid."""


class EmptyDataError(DataError):
    """No interactions are left to learn from."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")


class EncodingError(DataError):
    """A text is in another encoding than UTF-8."""

    def __init__(self, path: Path | str, where: str = "") -> None:
        super().__init__(
            f"{path}: not UTF-8 text{where}; name its encoding, for example --encoding latin-1"
        )


class UnknownFormatError(DataError):
    """A file's format was not recognised."""

    def __init__(
        self,
        path: Path | str,
        seen: str,
        naming: str = "--map user=COLUMN,item=COLUMN or the format with --preset",
    ) -> None:
        super().__init__(f"{path}: format not recognised ({seen}); name the columns with {naming}")


class TooManyBadRowsError(DataError):
    """A file has more unreadable rows than the user allows."""

    def __init__(self, path: Path | str, n_bad: int, max_bad: int, examples: list[str]) -> None:
        super().__init__(
            f"{path}: {n_bad} bad rows, {max_bad} allowed ({'; '.join(examples)}); "
            "correct the file, or raise --max-bad"
        )


class ArtifactError(HashrecError):
    """An artifact or a store cannot be read or written."""


class ArtifactCorruptError(ArtifactError):
    """An artifact is damaged: it does not match its manifest."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{path}: damaged or incomplete artifact: {reason}; train or publish it again"
        )


class NoArtifactError(ArtifactError):
    """A store has no published version."""

    def __init__(self, store: Path | str) -> None:
        super().__init__(
            f"{store}: no published version; run `hashrec publish RUN --store {store}`"
        )


class NoRunError(ArtifactError):
    """A folder holds no result of `hashrec train`."""

    def __init__(self, run: Path | str) -> None:
        super().__init__(f"{run}: no trained model; run `hashrec train --out {run}` first")


class UnknownVersionError(ArtifactError):
    """A store does not hold the requested version."""

    def __init__(self, store: Path | str, version: str) -> None:
        super().__init__(
            f"{store}: no version {shorten(version)!r}; `hashrec versions --store {store}` lists "
            "them"
        )


class NoEarlierVersionError(ArtifactError):
    """A store has no earlier version to roll back to."""

    def __init__(self, store: Path | str, current: str) -> None:
        super().__init__(f"{store}: no earlier version than {current} to roll back to")


class StoreWriteError(ArtifactError):
    """A store cannot be written."""

    def __init__(self, store: Path | str, reason: str, standing: str) -> None:
        self.reason = reason
        super().__init__(f"{store}: cannot be written: {reason}; {standing}")


class StoreBusyError(ArtifactError):
    """Another job is writing to the store."""

    def __init__(self, store: Path | str, job: str, holder: str) -> None:
        super().__init__(f"{store}: another {job} is running ({holder}); wait until it ends")


class QualityGateError(HashrecError):
    """A candidate model ranks worse than the quality gate allows."""

    def __init__(self, metric: str, figure: float, bar: float, whose: str, max_drop: float) -> None:
        super().__init__(
            f"not published: {metric} {figure:.4f} is more than {max_drop:.0%} below {whose} "
            f"{bar:.4f}; check the data, or raise --max-drop"
        )


class InvalidRecordError(DataError):
    """An event or a catalogue change is invalid."""

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(f"{member} {reason}")


class JournalError(HashrecError):
    """The journal of events cannot be used."""


class JournalCorruptError(JournalError):
    """A journal file is damaged, or is another kind of file."""

    def __init__(self, journal: Path | str, reason: str) -> None:
        super().__init__(
            f"{journal}: not a usable journal: {reason}; move the file away, or restore a copy"
        )


class JournalUnavailableError(JournalError):
    """A journal cannot be read or written at the moment."""

    def __init__(self, journal: Path | str, reason: str) -> None:
        super().__init__(f"{journal}: events cannot be read or written: {reason}")


class CodeWidthError(HashrecError):
    """Codes have another width than the codes or the index they are used with."""

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
    """A model without an encoder cannot encode new users."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"model {version} cannot encode new users: it was trained without an encoder; "
            "train and publish it again"
        )


def shorten(text: str, limit: int = 64) -> str:
    """Cut a text to at most `limit` characters, so that a message stays on one line."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
