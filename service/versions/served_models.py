"""The models that are served: the published one, which is swapped hot, and a candidate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import Self

import structlog

from hashrec.index.artifacts.store import Pointer, Store
from hashrec.index.errors import ArtifactCorruptError, HashrecError, UnknownVersionError
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.errors import NotReadyError
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.versions.experiment import Experiment

RETRY_REFUSED_S = 60.0

log = structlog.stdlib.get_logger("service.served_models")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A published version that is not served, and what is wrong with it."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """One version, verified and warm. A request holds on to the one it began with.

    Attributes:
        key: 32 bytes that only those who can read the artifact know; seals cached answers.
    """

    version: str
    recommender: Recommender
    key: bytes
    activated_at: datetime

    @classmethod
    def load(cls, store: Store, version: str, fallback_days: int | None = None) -> Self:
        """Verify and open a version, then search once in each way, so that its pages are in memory.

        Args:
            store: that has it.
            version: to load.
            fallback_days: see `Recommender`.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        artifact = store.open(version)
        recommender = Recommender(artifact, fallback_days=fallback_days)
        model = artifact.model
        if len(model.users):
            recommender.recommend(model.users.id(0))
        if model.encoder is not None:
            recommender.recommend_history([model.items.id(0)])
        recommender.popular()
        recommender.similar_items(model.items.id(0))
        said = artifact.manifest.model_dump_json()
        if fallback_days is not None:  # its answers are others
            said += f"\nfallback {fallback_days}"
        key = blake2b(said.encode(), digest_size=32).digest()
        return cls(version, recommender, key, datetime.now(UTC))


class ServedModels:
    """Follows the store's pointer: loads a new version beside the served one, then swaps.

    A version that fails verification is refused and the served one stays. It is tried again when
    the pointer changes, and otherwise once a minute, for a fault that has passed by then.

    Attributes:
        store: where versions come from.
        current: the served model, None before the first.
        refusal: the published version that is not served, None while all is well.
        experiment: which users get a candidate instead, if any should.
        candidate: that version, while it is in memory and another one is served.
        candidate_refusal: why it is not served although it should be.
        comparing: held by the one comparison of versions that may be under way.
        empty_store: the store, while no version was ever published in it.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        experiment: Experiment | None = None,
        *,
        fallback_days: int | None = None,
        retry_refused_s: float = RETRY_REFUSED_S,
    ) -> None:
        self.store = store
        self._metrics = metrics
        self._fallback_days = fallback_days
        self._followed: Pointer | None = None
        self._retry_refused_s = retry_refused_s
        self._retry_at = 0.0
        self.comparing = asyncio.Lock()
        self._looking = asyncio.Lock()  # so that whoever looked has what there was to see
        self.current: LoadedModel | None = None
        self.refusal: Refusal | None = None
        self.experiment = experiment
        self.candidate: LoadedModel | None = None
        self.candidate_refusal: Refusal | None = None
        self._retry_candidate_at = 0.0
        self.empty_store: Path | None = None

    def get(self) -> LoadedModel:
        """Return the served model.

        Raises:
            NotReadyError: there is none yet.
        """
        if self.current is None:
            raise NotReadyError
        return self.current

    def of(self, user_id: str | None) -> LoadedModel:
        """Return the model that a user gets; None for a request that is nobody's.

        Raises:
            NotReadyError: there is none yet.
        """
        candidate, experiment = self.candidate, self.experiment
        if candidate is None or experiment is None or user_id is None:
            return self.get()
        return candidate if experiment.has(user_id) else self.get()

    async def look(self) -> None:
        """Look at the pointer once, and follow it if it changed."""
        async with self._looking:
            await self._look()
            if self.experiment is not None and self.current is not None:
                await self._look_for_candidate(self.experiment.candidate, self.current.version)

    async def _look(self) -> None:
        try:
            pointer = await asyncio.to_thread(self.store.pointer)
        except ArtifactCorruptError as error:
            self._refuse("CURRENT", error)
            self._followed = None
            return
        if pointer is None:
            self._wait_for_the_first()
            return
        self.empty_store = None
        retry = self.refusal is not None and monotonic() >= self._retry_at
        if pointer == self._followed and not retry:
            return
        self._followed = pointer
        await self._follow(pointer)

    async def _follow(self, pointer: Pointer) -> None:
        # A process that starts on a damaged version falls back on the ones served before it.
        candidates = (pointer.current, *(() if self.current else pointer.previous))
        for version in candidates:
            if self.current is None or version != self.current.version:
                try:
                    model = await asyncio.to_thread(
                        LoadedModel.load, self.store, version, self._fallback_days
                    )
                except Exception as error:  # noqa: BLE001  whatever is wrong with it, do not serve it
                    if version == pointer.current:
                        self._refuse(version, error)
                    continue
                self._serve(model)
            if version == pointer.current:
                self.refusal = None
            return

    async def _look_for_candidate(self, version: str, served: str) -> None:
        if version == served:  # it has won, or was the served one all along
            self.candidate = self.candidate_refusal = None
            self._metrics.candidate_served(None)
            return
        if self.candidate is not None or monotonic() < self._retry_candidate_at:
            return
        try:
            candidate = await asyncio.to_thread(
                LoadedModel.load, self.store, version, self._fallback_days
            )
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, do not serve it
            self._retry_candidate_at = monotonic() + self._retry_refused_s
            self.candidate_refusal = self._told(Refusal(version, _reason(error)), error)
            return
        self.candidate, self.candidate_refusal = candidate, None
        self._metrics.candidate_served((version, str(candidate.recommender.n_bits)))
        log.info(
            "candidate served", version=version, share=self.experiment and self.experiment.share
        )

    def _wait_for_the_first(self) -> None:
        if self.current is None and self.empty_store is None:
            self.empty_store = self.store.path
            log.warning("nothing is published yet", store=str(self.store.path))

    def _serve(self, model: LoadedModel) -> None:
        self.current = model
        recommender = model.recommender
        self._metrics.model_served(
            model.version,
            recommender.n_bits,
            recommender.n_items,
            recommender.index.n_bytes,
            model.activated_at.timestamp(),
        )
        log.info("model served", version=model.version, items=recommender.n_items)

    def _refuse(self, version: str, error: Exception) -> None:
        refusal = Refusal(version, _reason(error))
        self._retry_at = monotonic() + self._retry_refused_s
        self.refusal = self._told(refusal, error)

    def _told(self, refusal: Refusal, error: Exception) -> Refusal:
        """Count and log a refusal, once."""
        if refusal not in (self.refusal, self.candidate_refusal):
            self._metrics.models_refused.inc()
            unexpected = None if isinstance(error, HashrecError) else error
            log.error(
                "model refused",
                version=refusal.version,
                reason=str(error),
                exc_info=unexpected,
            )
        return refusal


def _reason(error: Exception) -> str:
    """Say what is wrong without the paths that the log has."""
    if isinstance(error, ArtifactCorruptError):
        return error.reason
    if isinstance(error, UnknownVersionError):
        return "the store has no such version"
    return "it could not be loaded; the log says why"
