"""An A/B experiment: which users get the candidate in place of the served version."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from hashrec.service.settings import ExperimentSettings

_RANGE = 1 << 64


def arm(salt: str, share: float) -> Callable[[str], bool]:
    """Return the function that tells of a user id whether it is in the candidate's share.

    The answer depends on the salt and the id alone: it is the same in every process, today and
    tomorrow, and a larger share keeps whom a smaller one had. Another salt draws anew.
    """
    below = round(share * _RANGE)
    key = blake2b(salt.encode(), digest_size=32).digest()

    def is_in(user_id: str) -> bool:
        drawn = blake2b(user_id.encode(), digest_size=8, key=key).digest()
        return int.from_bytes(drawn) < below

    return is_in


class Experiment:
    """The experiment that the settings describe.

    Attributes:
        candidate: the version that is tried.
        share: part of the users who get it.
        has: tells of a user id whether it is one of them.
    """

    def __init__(self, candidate: str, share: float, salt: str | None = None) -> None:
        self.candidate = candidate
        self.share = share
        self.has = arm(candidate if salt is None else salt, share)

    @classmethod
    def of(cls, settings: ExperimentSettings) -> Experiment | None:
        """Return the experiment, if one is described."""
        if settings.candidate is None:
            return None
        return cls(settings.candidate, settings.share, settings.salt)
