"""Settings of the service: flags, then the environment, then secret files, then defaults.

This is the only module of the service that reads the environment.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from hashrec.index.errors import ConfigError, shorten
from hashrec.index.live.journal import JOURNALS
from hashrec.index.model.recent import MAX_DAYS, WINDOW_PATTERN

PREFIX = "HASHREC_"
# Variables with the prefix that other commands and the containers read.
FOREIGN = frozenset(
    f"{PREFIX}{name}"
    for name in ("DATA", "DATA_HOME", "DATA_DIR", "KEY", "TRAIN_DATA", "MEMORY", "TAG")
)
FILE_SUFFIX = "_file"

Origin = Literal["flag", "environment", "file", "default"]
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def _require_redis_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must start with redis://, rediss:// or unix://")
    return url


class CacheSettings(BaseModel):
    """Lifetime of cached answers, and their number in each process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime_s: Annotated[
        float, Field(gt=0, le=604_800, description="Seconds for which an answer is kept.")
    ] = 300.0
    jitter: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Largest share of the lifetime that is cut off at random, "
            "so that answers made together do not expire together.",
        ),
    ] = 0.1
    local_entries: Annotated[
        int, Field(ge=1, description="Answers that each worker process keeps in its memory.")
    ] = 20_000
    local_bytes: Annotated[
        int, Field(ge=1, description="Bytes of answers that each worker process keeps.")
    ] = 33_554_432


def _split(given: object) -> object:
    if not isinstance(given, str):
        return given
    return tuple(one.strip() for one in given.split(","))


def _require_origins(origins: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for origin in origins or ():
        if not re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise ValueError(f"{shorten(origin)}: not an origin, such as https://shop.example")
    return origins


class CorsSettings(BaseModel):
    """Other origins whose pages may read replies in a browser; by default none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origins: Annotated[
        tuple[str, ...] | None,
        NoDecode,
        BeforeValidator(_split),
        AfterValidator(_require_origins),
        Field(
            description="Origins whose pages may read replies, separated by commas, "
            "for example `https://shop.example`; `*` for all."
        ),
    ] = None
    credentials: Annotated[
        bool,
        Field(description="Whether those pages may send cookies and HTTP logins; not with `*`."),
    ] = False

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> Self:
        if self.credentials and "*" in (self.origins or ()):
            raise ValueError("credentials cannot be allowed for all origins; name the origins")
        return self


def _require_journal_url(url: SecretStr) -> SecretStr:
    if url.get_secret_value().partition(":")[0] not in JOURNALS:
        raise ValueError(f"must start with one of {', '.join(JOURNALS)}, and a colon")
    return url


class EventSettings(BaseModel):
    """The journal of events and catalogue changes, and the meaning of event types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        Annotated[SecretStr, AfterValidator(_require_journal_url)] | None,
        Field(
            description="Journal, for example `sqlite:///var/lib/hashrec/journal.sqlite`. By "
            "default `state/journal.sqlite` in the store if that can be written; "
            "otherwise events are off."
        ),
    ] = None
    require_durable: Annotated[
        bool,
        Field(
            description="Whether to refuse all events if the Redis server of the journal can lose "
            "them; by default only a warning is logged."
        ),
    ] = False
    negative_types: Annotated[
        str,
        Field(
            description="Types of negative events, separated by commas, in place of those of the "
            "model's policy."
        ),
    ] = "dislike,skip,hide"

    @property
    def negative(self) -> frozenset[str]:
        """The types of negative events."""
        return frozenset(one.strip() for one in self.negative_types.split(",")) - {""}

    @property
    def given_negative(self) -> frozenset[str] | None:
        """The types of negative events that the setting names; None where it is left out."""
        return self.negative if "negative_types" in self.model_fields_set else None


class RedisSettings(BaseModel):
    """The cache that processes share; off without a URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        Annotated[SecretStr, AfterValidator(_require_redis_url)] | None,
        Field(
            description="Redis server, for example `redis://cache:6379/0`. "
            "While it is away, the service runs without it."
        ),
    ] = None
    timeout_ms: Annotated[
        int,
        Field(ge=1, le=10_000, description="Milliseconds to wait for a connection or a reply."),
    ] = 50


class KeySettings(BaseModel):
    """API keys; without a key, reading is open to all and admin routes are off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Annotated[
        Path | None,
        Field(
            description="File of API keys, one `name:scope:sha256` a line; "
            "reloaded when it changes."
        ),
    ] = None
    entries: Annotated[
        str | None, Field(description="API keys as such lines, separated by spaces.")
    ] = None

    @property
    def are_given(self) -> bool:
        """Whether requests need a key."""
        return self.file is not None or self.entries is not None


class LimitSettings(BaseModel):
    """Rate limits of callers. Off until a rate is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_rate: Annotated[
        float | None, Field(gt=0, description="Requests a second that each API key may make.")
    ] = None
    address_rate: Annotated[
        float | None,
        Field(
            gt=0,
            description="Requests a second that each client address may make while no key is "
            "configured.",
        ),
    ] = None
    burst_s: Annotated[
        float,
        Field(ge=0, le=86_400, description="Seconds of the rate that a caller may use at once."),
    ] = 1.0


class ExperimentSettings(BaseModel):
    """An experiment: two versions, each for a share of the users. Off without a candidate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: Annotated[
        str | None,
        Field(
            description="Published version that a share of the users gets "
            "instead of the served one."
        ),
    ] = None
    share: Annotated[
        float, Field(ge=0, le=1, description="Share of the users who get the candidate.")
    ] = 0.1
    salt: Annotated[
        str | None,
        Field(
            description="Salt that selects these users; by default the version of the candidate."
        ),
    ] = None


def _require_collector(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be the URL of a collector, for example http://collector:4318")
    if "@" in parts.netloc:
        raise ValueError(
            "must not hold a password, which would be shown; use OTEL_EXPORTER_OTLP_HEADERS"
        )
    return url.rstrip("/").removesuffix("/v1/traces")


class OtelSettings(BaseModel):
    """Traces of requests. Off without a collector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Annotated[
        Annotated[str, AfterValidator(_require_collector)] | None,
        Field(
            description="OpenTelemetry collector that receives spans by OTLP over HTTP, for "
            "example `http://collector:4318`. While it is away, spans are dropped."
        ),
    ] = None
    share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the requests that are traced, among those whose caller has not "
            "decided.",
        ),
    ] = 1.0


class Settings(BaseSettings):
    """All settings of the service. Immutable; see `load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
    )

    store: Annotated[Path, Field(description="Folder of the published versions.")] = Path(
        ".hashrec/store"
    )
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    ] = 8000
    workers: Annotated[int, Field(ge=1, le=256, description="Number of worker processes.")] = 1
    cache: CacheSettings = CacheSettings()
    redis: RedisSettings = RedisSettings()
    events: EventSettings = EventSettings()
    cors: CorsSettings = CorsSettings()
    keys: KeySettings = KeySettings()
    limits: LimitSettings = LimitSettings()
    experiment: ExperimentSettings = ExperimentSettings()
    otel: OtelSettings = OtelSettings()
    fallback_window: Annotated[
        str | None,
        Field(
            pattern=WINDOW_PATTERN,
            description="Unknown users, and lists with too few personal items, get the popular "
            f"items of this window, for example `7d`, at most `{MAX_DAYS}d`: of the last days that "
            "the model learned from. By default all its interactions count.",
        ),
    ] = None
    poll_interval_s: Annotated[
        float, Field(gt=0, description="Seconds between checks for a newly published version.")
    ] = 1.0
    drain_s: Annotated[
        float,
        Field(
            ge=0,
            description="Seconds for which the service still accepts requests after SIGTERM, "
            "while /readyz fails so that load balancers use other instances.",
        ),
    ] = 1.0
    keep_alive_s: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds for which a connection without a request is kept open; "
            "set more than a load balancer in front has.",
        ),
    ] = 5
    client_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds that a client has to send the head of a request, to send more of "
            "a body, or to read more of a reply; then the connection is closed.",
        ),
    ] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Lowest level that is logged."),
    ] = "info"
    log_requests: Annotated[
        Literal["all", "failed"],
        Field(description="Requests to log: all, or those that failed with a 5xx status."),
    ] = "failed"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags, then the environment, then the files that it names for secrets."""
        del dotenv_settings, file_secret_settings
        return init_settings, _Environment(settings_cls, env_settings)

    @classmethod
    def load(cls, **flags: Any) -> Settings:
        """Load the settings in force.

        Args:
            flags: settings given on the command line, by name; nested ones as mappings.

        Raises:
            ConfigError: a value is not valid, or the environment holds a key that does not exist.
        """
        _reject_unknown_keys()
        try:
            return cls(**flags)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = PREFIX + "__".join(map(str, first["loc"])).upper()
            reason = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{name}: {reason}") from None


class _Environment(PydanticBaseSettingsSource):
    """The environment, and secret files that it names, such as HASHREC_REDIS__URL_FILE."""

    def __init__(
        self, settings_cls: type[BaseSettings], environment: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """See the parent; this source returns whole mappings instead."""
        return self._environment.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        found = self._environment()
        for (*groups, name), field in leaves(self.settings_cls):
            group = found
            for above in groups:
                group = group.setdefault(above, {})
            file = group.pop(name + FILE_SUFFIX, None) if is_secret(field) else None
            if file is None:
                continue
            key = environment_key((*groups, name))
            if name in group:
                raise ConfigError(f"{key}{FILE_SUFFIX.upper()} and {key} are both set; unset one")
            try:
                group[name] = Path(file).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{key}{FILE_SUFFIX.upper()}: {shorten(file)} cannot be read: {error}"
                ) from None
        return found


def environment_key(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting, `HASHREC_CACHE__JITTER` for cache, jitter."""
    return PREFIX + "__".join(path).upper()


def settings_by_variable(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return every setting by its environment variable."""
    return {environment_key(path): field for path, field in leaves(model)}


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a setting is secret: a file may hold it, and it is never printed."""
    return "SecretStr" in repr(field.annotation)


def origin_of(path: tuple[str, ...], flags: Mapping[str, Any]) -> Origin:
    """Return the origin of a setting, given by its path, in `Settings.load(**flags)`."""
    given: Any = flags
    for name in path:
        given = given.get(name) if isinstance(given, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if given is not None:
        return "flag"
    present = {key.upper() for key, value in os.environ.items() if value}
    if environment_key(path) + FILE_SUFFIX.upper() in present:
        return "file"
    groups = {environment_key(path[: end + 1]) for end in range(len(path))}
    return "environment" if groups & present else "default"


def multiprocess_metrics_folder() -> Path | None:
    """Return the folder in which worker processes share metrics, or None for one process."""
    folder = os.environ.get(METRICS_FOLDER)
    return Path(folder) if folder else None


def leaves(
    model: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield every setting that is not a group, with its path: `("cache", "jitter")`."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, (*above, name))
        else:
            yield (*above, name), field


def _reject_unknown_keys() -> None:
    known = set(FOREIGN)
    for path, field in leaves(Settings):
        known.add(environment_key(path))
        known.add(environment_key(path[:1]))
        if is_secret(field):
            known.add(environment_key(path) + FILE_SUFFIX.upper())
    for key in sorted(os.environ):
        if key.upper().startswith(PREFIX) and key.upper() not in known:
            near = difflib.get_close_matches(key.upper(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "unset it"
            raise ConfigError(f"{shorten(key)}: no such setting; {hint}")
