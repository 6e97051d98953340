from __future__ import annotations

from hashrec.service.answers.caches import LocalCache


def kept(cache: LocalCache, *keys: str) -> list[str]:
    return [key for key in keys if cache.get(key) is not None]


def test_the_least_recently_used_value_goes_first():
    cache = LocalCache(max_entries=2, max_bytes=100)
    cache.set("a", b"1", 60)
    cache.set("b", b"2", 60)
    cache.get("a")
    cache.set("c", b"3", 60)
    assert kept(cache, "a", "b", "c") == ["a", "c"]


def test_values_are_bounded_in_bytes_too():
    cache = LocalCache(max_entries=100, max_bytes=10)
    for key in "abc":
        cache.set(key, b"four", 60)
    assert kept(cache, "a", "b", "c") == ["b", "c"]
    cache.set("b", b"eightbyt", 60)  # replaces four bytes by eight
    assert kept(cache, "a", "b", "c") == ["b"]


def test_a_value_larger_than_the_bound_pushes_nothing_out():
    cache = LocalCache(max_entries=100, max_bytes=10)
    cache.set("a", b"four", 60)
    cache.set("b", b"more than ten bytes", 60)
    assert kept(cache, "a", "b") == ["a"]
    cache.set("a", b"more than ten bytes", 60)
    assert kept(cache, "a") == []
    assert len(cache) == 0


def test_a_value_lives_exactly_its_lifetime():
    now = 100.0
    cache = LocalCache(max_entries=9, max_bytes=100, clock=lambda: now)
    cache.set("a", b"1", 5)
    now = 104.9
    assert cache.get("a") == b"1"
    now = 105.0
    assert cache.get("a") is None
    assert len(cache) == 0
