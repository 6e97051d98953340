"""Publishing, activating, rolling back and pruning versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import write

from hashrec.index.artifacts.store import KEPT_VERSIONS, Pointer, Store
from hashrec.index.errors import (
    ArtifactCorruptError,
    ArtifactError,
    NoArtifactError,
    StoreBusyError,
    UnknownVersionError,
)
from hashrec.index.model.model import Model

DAYS = 9


@pytest.fixture(scope="session")
def daily(small_model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One artifact a day."""
    folder = tmp_path_factory.mktemp("daily")
    paths = [folder / f"day{day}" for day in range(DAYS)]
    for day, path in enumerate(paths):
        write(path, small_model, day=day, score=day / 10)
    return paths


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_published_version_is_served(store: Store, daily: list[Path]) -> None:
    version = store.publish(daily[0])
    assert store.current() == version
    assert store.open().manifest.version == version
    assert store.folder(version).parent == store.path / "versions"


def test_nothing_is_served_before_the_first_publication(store: Store) -> None:
    assert store.pointer() is None
    with pytest.raises(NoArtifactError):
        store.versions()
    with pytest.raises(NoArtifactError):
        store.rollback()
    assert not store.path.exists(), "looking makes nothing"
    for ask in (store.current, store.open, store.rollback):
        with pytest.raises(NoArtifactError, match="hashrec publish RUN"):
            ask()


def test_versions_are_listed_latest_first_with_the_served_one_marked(
    store: Store, daily: list[Path]
) -> None:
    published = [store.publish(path) for path in daily[:3]]
    store.activate(published[1])
    listed = store.versions()
    assert [info.version for info in listed] == published[::-1]
    assert [info.is_current for info in listed] == [False, True, False]
    assert [info.metrics["test/ndcg@100"] for info in listed] == [0.2, 0.1, 0.0]
    first = listed[0]
    assert (first.model, first.n_bits, first.n_users, first.n_items) == ("random", 32, 60, 40)


def test_a_version_with_a_damaged_manifest_is_not_listed(store: Store, daily: list[Path]) -> None:
    kept, damaged = (store.publish(path) for path in daily[:2])
    (store.folder(damaged) / "manifest.json").write_text("{")
    assert [info.version for info in store.versions()] == [kept]


def test_rollback_returns_through_the_versions_served_before(
    store: Store, daily: list[Path]
) -> None:
    first, second, third = (store.publish(path) for path in daily[:3])
    assert store.current() == third
    assert store.rollback() == store.current() == second
    assert store.rollback() == store.current() == first
    with pytest.raises(ArtifactError, match=f"no earlier version than {first}"):
        store.rollback()
    assert store.current() == first


def test_rollback_follows_what_was_served_not_what_was_made(
    store: Store, daily: list[Path]
) -> None:
    first, second, third = (store.publish(path) for path in daily[:3])
    store.activate(first)
    assert store.rollback() == third
    assert store.rollback() == second


def test_activating_the_served_version_changes_nothing(store: Store, daily: list[Path]) -> None:
    first, second = (store.publish(path) for path in daily[:2])
    before = store.pointer()
    store.activate(second)
    assert store.pointer() == before
    assert store.rollback() == first


def test_publishing_the_same_artifact_again_serves_it_again(
    store: Store, daily: list[Path]
) -> None:
    first, second = (store.publish(path) for path in daily[:2])
    assert store.publish(daily[0]) == store.current() == first
    assert len(store.versions()) == 2
    assert store.rollback() == second


def test_a_version_can_be_published_without_being_served(store: Store, daily: list[Path]) -> None:
    first = store.publish(daily[0])
    candidate = store.publish(daily[1], activate=False)
    assert store.pointer() == Pointer(current=first)
    assert [info.version for info in store.versions()] == [candidate, first]
    store.activate(candidate)
    assert store.rollback() == first


def test_a_damaged_artifact_is_not_published(store: Store, daily: list[Path]) -> None:
    served = store.publish(daily[0])
    damaged = Path(shutil.copytree(daily[1], store.path.parent / "damaged"))
    (damaged / "index.bin").write_bytes(b"x")
    with pytest.raises(ArtifactCorruptError, match=r"index\.bin"):
        store.publish(damaged)
    assert store.current() == served
    assert len(store.versions()) == 1


def test_a_damaged_version_is_neither_activated_nor_rolled_back_to(
    store: Store, daily: list[Path]
) -> None:
    first, second = (store.publish(path) for path in daily[:2])
    (store.folder(first) / "seen.items.npy").write_bytes(b"")
    for change in (store.rollback, lambda: store.activate(first)):
        with pytest.raises(ArtifactCorruptError, match=r"seen\.items\.npy"):
            change()
        assert store.current() == second


def test_publishing_again_mends_a_damaged_version(store: Store, daily: list[Path]) -> None:
    version = store.publish(daily[0])
    (store.folder(version) / "index.bin").write_bytes(b"x")
    with pytest.raises(ArtifactCorruptError, match="publish it again"):
        store.open()
    store.publish(daily[0])
    assert store.open().manifest.version == version
    assert [path.name for path in (store.path / "versions").iterdir()] == [version]


def test_a_version_under_another_name_is_refused(store: Store, daily: list[Path]) -> None:
    version = store.publish(daily[0])
    renamed = "20270101T000000Z-ffffff"
    store.folder(version).rename(store.path / "versions" / renamed)
    with pytest.raises(ArtifactCorruptError, match=f"the manifest names version {version}"):
        store.open(renamed)


@pytest.mark.parametrize(
    "version",
    [
        "20261123T060000Z-000000",
        "",
        ".",
        "..",
        "../versions",
        ".staging-x",
        "/etc",
        "a\x00b",
        "x" * 5000,
        "20261123T060000Z-00000g",
        "20261123T060000Z-000000\n",
        "٢٠٢٦١١٢٣T060000Z-000000",
    ],
    ids=lambda text: repr(text)[:24],
)
def test_a_version_that_is_not_there_is_unknown(
    store: Store, daily: list[Path], version: str
) -> None:
    served = store.publish(daily[0])
    for ask in (store.folder, store.activate):
        with pytest.raises(UnknownVersionError):
            ask(version)
    assert store.current() == served


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"current": 5}', b'{"current": "x", "a": 1}', b"\xff"]
)
def test_a_damaged_pointer_is_said_to_be_one_and_mended_by_the_next_publication(
    store: Store, daily: list[Path], content: bytes
) -> None:
    first = store.publish(daily[0])
    (store.path / "CURRENT").write_bytes(content)
    for ask in (store.open, store.current, store.rollback, store.versions):
        with pytest.raises(ArtifactCorruptError, match=r"CURRENT.*not a version pointer"):
            ask()
    store.publish(daily[0])
    assert store.current() == first


def test_a_pointer_to_a_version_that_is_gone_is_said_to_be_one(
    store: Store, daily: list[Path]
) -> None:
    shutil.rmtree(store.folder(store.publish(daily[0])))
    with pytest.raises(UnknownVersionError, match="hashrec versions"):
        store.open()


@pytest.mark.parametrize("outside", ["../../outside", "/etc", "..", ""])
def test_a_pointer_out_of_the_store_leads_nowhere(
    store: Store, daily: list[Path], outside: str
) -> None:
    store.publish(daily[0])
    (store.path / "CURRENT").write_text(Pointer(current=outside).model_dump_json())
    with pytest.raises(UnknownVersionError):
        store.open()


def test_old_versions_go_and_those_one_can_return_to_stay(store: Store, daily: list[Path]) -> None:
    first = store.publish(daily[0])
    store.publish(daily[1])
    store.activate(first)
    published = [store.publish(path) for path in daily[2:]]
    assert [info.version for info in store.versions()] == published[: -KEPT_VERSIONS - 1 : -1]
    pointer = store.pointer()
    assert pointer is not None
    assert pointer.previous == tuple(published[-2 : -KEPT_VERSIONS - 1 : -1])
    for version in pointer.previous:
        assert store.rollback() == version


def test_a_version_served_for_long_is_not_pruned(store: Store, daily: list[Path]) -> None:
    oldest = store.publish(daily[0])
    for path in daily[1:5]:
        store.publish(path)
    store.activate(oldest)
    store.publish(daily[5])
    assert oldest in {info.version for info in store.versions()}
    assert store.rollback() == oldest


HOLD = """
import sys, pathlib
from hashrec.index.artifacts.store import Store
with Store(pathlib.Path(sys.argv[1])).writing():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_publisher_is_told_who_holds_the_store(store: Store, daily: list[Path]) -> None:
    served = store.publish(daily[0])
    command = [sys.executable, "-c", HOLD, str(store.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for change in (
            lambda: store.publish(daily[1]),
            lambda: store.activate(served),
            store.rollback,
        ):
            with pytest.raises(StoreBusyError, match=f"process {holder.pid}"):
                change()
        assert store.open().manifest.version == served  # reading needs no lock
        holder.kill()
    assert store.publish(daily[1]) == store.current()  # the lock died with its holder


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path, daily: list[Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written: Not a directory"):
        Store(tmp_path / "file" / "store").publish(daily[0])
