"""`Model`: a trained model opened for ranking in Python, by the code that serves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.artifacts.artifact import RUN_FOLDER, Artifact
from hashrec.index.artifacts.manifest import MANIFEST_FILE, Manifest
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ConfigError, UnknownItemError, UnknownUserError
from hashrec.index.files.batch import SCHEMA, recommend_all
from hashrec.index.live.model_overlay import ModelOverlay
from hashrec.index.live.overlay import Overlay
from hashrec.index.model.recent import days_of
from hashrec.index.ranking.recommendation import Options, Recommendation, SimilarUser
from hashrec.index.ranking.recommender import Recommender


class ListOptions(TypedDict, total=False):
    """Keywords that every list of recommended items takes; see `docs/ranking-options.md`.

    Attributes:
        exclude_seen: leave out the items that the user has interacted with. Default True.
        exclude: ids of items to leave out.
        include: ids of the only items allowed; empty allows all.
        categories: names of the only categories allowed; empty allows all.
        category_mode: whether an item needs `any` or `all` of the categories. Default `any`.
        diversity: 0 to 1, weight of the distance between the items of the list. Default 0.
        explain: give for each item the user's own items that are nearest to it. Default False.
    """

    exclude_seen: bool
    exclude: Collection[str]
    include: Collection[str]
    categories: Collection[str]
    category_mode: Literal["any", "all"]
    diversity: float
    explain: bool


class Model:
    """A verified model, ready to rank. Immutable and safe to call from several threads.

    The lists equal those of `hashrec serve` for the same version, without live events.

    Args:
        artifact: an opened artifact; `hashrec.load` opens one by its path.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self._recommender = Recommender(artifact)

    @property
    def version(self) -> str:
        """Name of the version, such as `20261123T060000Z-3f9a1c`."""
        return self.manifest.version

    @property
    def n_bits(self) -> int:
        """Bits of one code."""
        return self.manifest.n_bits

    @property
    def manifest(self) -> Manifest:
        """What was trained, on which data, with which figures."""
        return self._artifact.manifest

    @cached_property
    def user_ids(self) -> list[str]:
        """External ids of the users, by row."""
        users = self._artifact.model.users
        return users.ids(range(len(users)))

    @cached_property
    def item_ids(self) -> list[str]:
        """External ids of the items, by row; the most popular item has row 0."""
        items = self._artifact.model.items
        return items.ids(range(len(items)))

    @property
    def user_codes(self) -> BinaryCodes:
        """Codes of the users by row.

        `.packed` is uint8, shape (n_users, n_bits / 8); `.to_signs()` is int8, shape
        (n_users, n_bits), with -1 and +1.
        """
        return self._artifact.model.user_codes

    @property
    def item_codes(self) -> BinaryCodes:
        """Codes of the items by row, in the form of `user_codes`."""
        return self._artifact.model.item_codes

    def user_row(self, user_id: str) -> int:
        """Return the row of a user.

        Raises:
            UnknownUserError: the model has no such user.
        """
        if (row := self._artifact.model.users.row(_id(user_id))) is None:
            raise UnknownUserError(user_id)
        return row

    def item_row(self, item_id: str) -> int:
        """Return the row of an item.

        Raises:
            UnknownItemError: the model has no such item.
        """
        if (row := self._artifact.model.items.row(_id(item_id))) is None:
            raise UnknownItemError(item_id)
        return row

    def title(self, item_id: str) -> str | None:
        """Return an item's title; None if it has none or the item is unknown."""
        return self._recommender.title(item_id)

    def attributes(self, item_id: str) -> Mapping[str, Any]:
        """Return an item's attributes; empty if it has none or the item is unknown."""
        row = self._artifact.model.items.row(item_id)
        return {} if row is None else self._artifact.model.item_table.of(row)

    def recommend(
        self, user_id: str, k: int = 10, *, strict: bool = False, **options: Unpack[ListOptions]
    ) -> Recommendation:
        """Rank the items for a user; an unknown user gets popular items.

        Args:
            user_id: external id.
            k: length of the list, 1 to 500.
            strict: raise an error for an unknown user.
            **options: see `ListOptions`.

        Raises:
            ConfigError: k or an option is out of range.
            UnknownUserError: the user is unknown and `strict` is set.
        """
        return self._recommender.recommend(_id(user_id), k, _options(options), strict=strict)

    def recommend_history(
        self,
        positive: Collection[str],
        negative: Collection[str] = (),
        k: int = 10,
        *,
        strict: bool = False,
        **options: Unpack[ListOptions],
    ) -> Recommendation:
        """Rank the items for a user the model does not know, by fold-in of a history.

        Args:
            positive: ids of items that the user took.
            negative: ids of items that the user refused.
            k: length of the list, 1 to 500.
            strict: raise an error if no positive item is known; the default is popular items.
            **options: see `ListOptions`.

        Raises:
            ConfigError: k or an option is out of range, or an item is positive and negative.
            UnknownHistoryError: no positive item is known and `strict` is set.
            NoEncoderError: the model has no encoder.
        """
        return self._recommender.recommend_history(
            positive, negative, k, _options(options), strict=strict
        )

    def recommend_many(self, user_ids: Iterable[str], k: int = 10) -> dict[str, list[Any]]:
        """Rank for many users at once, several times as fast as one by one.

        Args:
            user_ids: external ids; an unknown user gets popular items.
            k: length of each list, 1 to 500.

        Returns:
            Columns `user_id`, `rank`, `item_id`, `score`, `hamming` and `source`, one row an item,
            in the order of the users: what `pandas.DataFrame` and `polars.DataFrame` take.

        Raises:
            ConfigError: k is out of range.
        """
        columns: dict[str, list[Any]] = {name: [] for name in SCHEMA}
        overlay = ModelOverlay(Overlay(), self._artifact.model)
        for lists in recommend_all(self._recommender, overlay, map(_id, user_ids), k):
            for name, column in columns.items():
                column.extend(lists.columns[name])
        return columns

    def popular(
        self,
        k: int = 10,
        *,
        user_id: str | None = None,
        window: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Recommendation:
        """Return the most popular items, without those that `user_id` has seen.

        Args:
            k: length of the list, 1 to 500.
            user_id: external id, known or not.
            window: only interactions of the last days before the newest one that the model learned
                from count, for example `7d`, at most `90d`; other items follow by popularity.
                Default: all count.
            **options: see `ListOptions`.

        Raises:
            ConfigError: k or an option is out of range.
        """
        days = None if window is None else days_of(window)
        return self._recommender.popular(k, _options(options), user_id=user_id, days=days)

    def latest(
        self, k: int = 10, *, user_id: str | None = None, **options: Unpack[ListOptions]
    ) -> Recommendation:
        """Return the newest items by their timestamps, without those that `user_id` has seen.

        Raises:
            ConfigError: k or an option is out of range.
        """
        return self._recommender.latest(k, _options(options), user_id=user_id)

    def similar_items(self, item_id: str, k: int = 10) -> Recommendation:
        """Return the items whose codes are nearest to an item's code.

        Raises:
            ConfigError: k is out of range.
            UnknownItemError: the model has no such item.
        """
        return self._recommender.similar_items(_id(item_id), k)

    def similar_users(self, user_id: str, k: int = 10) -> list[SimilarUser]:
        """Return the users whose codes are nearest to a user's code.

        Raises:
            ConfigError: k is out of range.
            UnknownUserError: the model has no such user.
        """
        return self._recommender.similar_users(_id(user_id), k)

    def __repr__(self) -> str:
        manifest = self.manifest
        return (
            f"<hashrec.Model {self.version}: {manifest.n_users:,} users, "
            f"{manifest.n_items:,} items, {self.n_bits} bits>"
        )


def load(path: str | Path, version: str | None = None) -> Model:
    """Verify a model against its manifest and open it.

    Args:
        path: a store, the folder of a training run, or an artifact.
        version: of a store; None opens the served version.

    Raises:
        ConfigError: `path` holds no model, or `version` was given for something else than a store.
        NoArtifactError: the store serves no version.
        UnknownVersionError: the store has no such version.
        ArtifactCorruptError: a file is missing or damaged.
    """
    path = Path(path)
    if path.joinpath("versions").is_dir():
        return Model(Store(path).open(version))
    artifact = next(
        (folder for folder in (path, path / RUN_FOLDER) if (folder / MANIFEST_FILE).is_file()), None
    )
    if artifact is None:
        raise ConfigError(
            f"{path}: not a store, a training run or an artifact; `hashrec.publish(run, store)` "
            "makes a store, `hashrec.train(data, run)` a run"
        )
    if version is not None:
        raise ConfigError(f"{path}: not a store, so it has no version {version!r}; give no version")
    return Model(Artifact.open(artifact))


def _id(value: str) -> str:
    """Return an id.

    Raises:
        ConfigError: it is not a string.
    """
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"ids are strings, got {value!r}; write {str(value)!r}")
    return value


def _options(options: ListOptions) -> Options:
    """Turn keywords into the options of the ranking path.

    Raises:
        ConfigError: an option is unknown, or a collection of ids is one string.
    """
    given: dict[str, Any] = dict(options)
    if unknown := sorted(set(given) - set(ListOptions.__annotations__)):
        raise ConfigError(
            f"no option {unknown[0]!r}; the options are {', '.join(ListOptions.__annotations__)}"
        )
    for name in ("exclude", "include", "categories"):
        if name in given:
            if isinstance(given[name], str):
                raise ConfigError(f"{name} must be a list of names, got the string {given[name]!r}")
            given[name] = tuple(given[name])
    mode = given.get("category_mode", "any")
    if mode not in ("any", "all"):
        raise ConfigError(f"category_mode must be 'any' or 'all', got {mode!r}")
    return Options(**given)
