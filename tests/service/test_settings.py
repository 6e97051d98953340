from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from hashrec.index.errors import ConfigError
from hashrec.service.settings import CacheSettings, RedisSettings, Settings, environment_key


def secret(settings: Settings) -> str | None:
    return None if settings.redis.url is None else settings.redis.url.get_secret_value()


def test_defaults_need_no_environment():
    settings = Settings.load()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.redis == RedisSettings()
    assert settings.cache == CacheSettings()


def test_flags_come_before_the_environment_and_that_before_defaults(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HASHREC_PORT", "1")
    monkeypatch.setenv("HASHREC_WORKERS", "2")
    monkeypatch.setenv("HASHREC_REDIS__TIMEOUT_MS", "7")
    monkeypatch.setenv("HASHREC_REDIS__URL", "redis://environment")
    settings = Settings.load(port=3, redis={"url": "redis://flag"})
    assert (settings.port, settings.workers) == (3, 2)
    assert secret(settings) == "redis://flag"
    assert settings.redis.timeout_ms == 7


def test_a_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / "redis-url"
    file.write_text("redis://:password@cache:6379/0\n")
    monkeypatch.setenv("HASHREC_REDIS__URL_FILE", str(file))
    settings = Settings.load()
    assert secret(settings) == "redis://:password@cache:6379/0"
    assert "password" not in repr(settings)


def test_a_secret_in_two_places_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HASHREC_REDIS__URL_FILE", str(tmp_path / "file"))
    monkeypatch.setenv("HASHREC_REDIS__URL", "redis://here")
    with pytest.raises(ConfigError, match="both set"):
        Settings.load()


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HASHREC_REDIS__URL_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"HASHREC_REDIS__URL_FILE: .* cannot be read"):
        Settings.load()


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HASHREC_REDIS__URL", "")
    monkeypatch.setenv("HASHREC_PORT", "")
    assert Settings.load() == Settings()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("HASHREC_PROT", "did you mean HASHREC_PORT?"),
        ("HASHREC_REDIS_URL", "did you mean HASHREC_REDIS__URL?"),
        ("HASHREC_PORT_FILE", "did you mean"),
        ("hashrec_cache__jiter", "did you mean HASHREC_CACHE__JITTER?"),
        ("HASHREC_QWXZ_QWXZ_QWXZ_QWXZ", "unset it"),
        ("HASHREC_REQUIRE_DOCKER", ""),  # the tests' own variables are not the product's
    ],
)
def test_an_unknown_key_stops_the_start_in_one_line(
    monkeypatch: pytest.MonkeyPatch, key: str, hint: str
):
    monkeypatch.setenv(key, "1")
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{key}: no such setting")
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["HASHREC_DATA", "HASHREC_DATA_HOME", "HASHREC_KEY", "HASHREC_TAG"])
def test_keys_of_other_commands_are_let_be(monkeypatch: pytest.MonkeyPatch, key: str):
    monkeypatch.setenv(key, "anything")
    Settings.load()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("HASHREC_PORT", "65536"),
        ("HASHREC_PORT", "eighty"),
        ("HASHREC_WORKERS", "0"),
        ("HASHREC_CACHE__JITTER", "1.1"),
        ("HASHREC_CACHE__LIFETIME_S", "-1"),
        ("HASHREC_REDIS__URL", "http://cache"),
        ("HASHREC_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_does_not_fit_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str
):
    monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{key}: ")
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed():
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(ValidationError):
        settings.cache.jitter = 0.5


def test_every_setting_is_described():
    def undescribed(model: type[BaseModel], above: tuple[str, ...] = ()) -> list[str]:
        found: list[str] = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found += undescribed(field.annotation, (*above, name))
            elif not field.description:
                found.append(environment_key((*above, name)))
        return found

    assert undescribed(Settings) == []
