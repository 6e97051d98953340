from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.manifest import Manifest
from hashrec.index.artifacts.store import Pointer, Store
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.errors import NotReadyError
from hashrec.service.telemetry.metrics import Metrics
from hashrec.service.versions.served_models import Refusal, ServedModels
from tests.index.small_models import model_of, write
from tests.service.serving import logged, metric, samples, serving, settings, wait_until


def point(store: Store, *versions: str) -> None:
    """Replace the pointer without the checks of a publication."""
    pointer = Pointer(current=versions[0], previous=versions[1:])
    temporary = store.path / "pointer"
    temporary.write_text(pointer.model_dump_json())
    temporary.rename(store.path / "CURRENT")


def flip_a_bit(folder: Path) -> None:
    file = folder / "item_codes.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def truncate(folder: Path) -> None:
    file = folder / "user_codes.npy"
    file.write_bytes(file.read_bytes()[:-8])


def remove_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


Damage = Callable[[Path], None]
DAMAGES: list[tuple[Damage, str]] = [
    (flip_a_bit, "item_codes.npy does not match its SHA-256"),
    (truncate, "user_codes.npy has"),
    (remove_the_manifest, "manifest.json"),
]


def publish_damaged(store: Store, artifact: Path, damage: Damage) -> str:
    """Put an artifact in the store, damage it there, and point to it only then."""
    version = Manifest.read(artifact).version
    folder = store.path / "versions" / version
    shutil.copytree(artifact, folder)
    damage(folder)
    point(store, version, store.current())
    return version


def verbose(client: httpx.Client) -> dict:
    return client.get("/readyz?verbose").json()


def test_before_the_first_publication_the_service_lives_and_is_not_ready(
    tmp_path: Path, artifacts: list[Path]
):
    folder = tmp_path / "store"
    folder.mkdir()
    with serving(settings(folder)) as client:
        assert client.get("/livez").status_code == 200
        for path in ("/readyz", "/readyz?verbose", "/recommend/u1", "/popular"):
            reply = client.get(path)
            assert reply.status_code == 503
            assert reply.headers["retry-after"] == "1"
            assert reply.json()["type"] == "urn:hashrec:not-ready"
        batch = client.post("/recommend/batch", json={"user_ids": ["u1"]})
        assert batch.status_code == 503
        version = Store(folder).publish(artifacts[0])
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/recommend/u1").json()["model_version"] == version


def test_an_empty_store_is_told_to_who_asks_and_once_to_the_log(
    tmp_path: Path, artifacts: list[Path], capfd: pytest.CaptureFixture[str]
):
    async def look_often() -> None:
        live = ServedModels(Store(tmp_path), Metrics())
        for _ in range(3):
            await live.look()
        assert live.empty_store == tmp_path
        Store(tmp_path).publish(artifacts[0])
        await live.look()
        assert live.empty_store is None

    with serving(settings(tmp_path)) as client:
        assert verbose(client)["detail"] == f"nothing is published in {tmp_path} yet"
        assert str(tmp_path) not in client.get("/readyz").text
        assert str(tmp_path) not in client.get("/popular").text
        (line,) = logged(capfd.readouterr().err, "nothing is published yet")
        assert (line["level"], line["store"]) == ("warning", str(tmp_path))
        asyncio.run(look_often())
        assert len(logged(capfd.readouterr().err, "nothing is published yet")) == 1


def test_a_publication_and_a_rollback_are_followed(store: Store, artifacts: list[Path]):
    first = store.current()
    with serving(settings(store.path)) as client:
        assert client.get("/recommend/u1").json()["model_version"] == first
        second = store.publish(artifacts[1])
        wait_until(lambda: client.get("/recommend/u1").json()["model_version"] == second)
        assert [labels for labels, _ in samples(client, "hashrec_model_info")] == [
            {"version": second, "bits": "32"}
        ]
        store.rollback()
        wait_until(lambda: client.get("/recommend/u1").json()["model_version"] == first)


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_a_damaged_version_is_refused_and_the_old_one_serves_on(
    store: Store, artifacts: list[Path], damage: Damage, reason: str
):
    good = store.current()
    with serving(settings(store.path)) as client:
        before = client.get("/recommend/u1").content
        bad = publish_damaged(store, artifacts[1], damage)
        wait_until(lambda: verbose(client)["refused"])
        ready = verbose(client)
        assert ready["status"] == "degraded"
        assert ready["model"]["version"] == good
        assert ready["refused"]["version"] == bad
        assert ready["refused"]["reason"].startswith(reason)
        assert client.get("/recommend/u1").content == before
        assert metric(client, "hashrec_models_refused_total") == 1
        assert metric(client, "hashrec_degraded") == 1

        third = store.publish(artifacts[2])
        wait_until(lambda: verbose(client)["refused"] is None)
        assert client.get("/recommend/u1").json()["model_version"] == third
        assert metric(client, "hashrec_degraded") == 0


def test_going_back_to_the_served_version_ends_a_refusal(store: Store, artifacts: list[Path]):
    good = store.current()
    with serving(settings(store.path)) as client:
        publish_damaged(store, artifacts[1], truncate)
        wait_until(lambda: verbose(client)["refused"])
        point(store, good)
        wait_until(lambda: verbose(client)["refused"] is None)
        assert verbose(client)["status"] == "ready"


def test_a_start_on_a_damaged_version_falls_back_on_the_one_before(
    store: Store, artifacts: list[Path]
):
    good = store.current()
    bad = publish_damaged(store, artifacts[1], flip_a_bit)
    with serving(settings(store.path)) as client:
        assert client.get("/recommend/u1").json()["model_version"] == good
        assert verbose(client)["refused"]["version"] == bad


def test_a_start_with_nothing_whole_is_not_ready_and_says_why(store: Store):
    flip_a_bit(store.folder(store.current()))
    with serving(settings(store.path)) as client:
        reply = client.get("/readyz?verbose")
        assert reply.status_code == 503
        assert reply.json()["model"] is None
        assert reply.json()["refused"]["version"] == store.current()


def test_a_damaged_pointer_is_refused_until_it_is_mended(store: Store):
    whole = (store.path / "CURRENT").read_bytes()
    with serving(settings(store.path)) as client:
        (store.path / "CURRENT").write_bytes(whole[:9])
        wait_until(lambda: verbose(client)["refused"])
        assert verbose(client)["refused"]["version"] == "CURRENT"
        assert client.get("/recommend/u1").status_code == 200
        (store.path / "CURRENT").write_bytes(whole)
        wait_until(lambda: verbose(client)["refused"] is None)


def test_a_refused_version_is_not_read_again_while_the_pointer_stays(
    store: Store, artifacts: list[Path]
):
    async def look_often() -> None:
        live = ServedModels(store, Metrics())
        await live.look()
        bad = publish_damaged(store, artifacts[1], truncate)
        await live.look()
        assert live.refusal is not None
        (
            store.folder(bad) / "manifest.json"
        ).unlink()  # another reason would be found now, if anybody looked
        for _ in range(5):
            await live.look()
        assert live.refusal.reason.startswith("user_codes.npy")
        assert live.refusal.version == bad

    asyncio.run(look_often())


def test_a_refused_version_is_tried_again_later(store: Store, artifacts: list[Path]):
    async def mend() -> None:
        good = store.current()
        live = ServedModels(store, Metrics(), retry_refused_s=0)
        await live.look()
        version = Manifest.read(artifacts[1]).version
        point(store, version, good)
        await live.look()
        assert live.get().version == good
        assert live.refusal == Refusal(version, "the store has no such version")
        shutil.copytree(artifacts[1], store.path / "versions" / version)
        await live.look()  # the pointer is as it was
        assert live.get().version == version
        assert live.refusal is None

    asyncio.run(mend())


def test_a_fault_nobody_foresaw_is_told_in_words_and_logged_in_full(
    store: Store,
    artifacts: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    good = store.current()
    with serving(settings(store.path)) as client:

        def fail(store: Store, version: str) -> Artifact:
            raise MemoryError

        monkeypatch.setattr(Store, "open", fail)
        point(store, Manifest.read(artifacts[1]).version, good)
        wait_until(lambda: verbose(client)["refused"])
        assert verbose(client)["refused"]["reason"] == "it could not be loaded; the log says why"
        (line,) = logged(capfd.readouterr().err, "model refused")
        assert "MemoryError" in line["exception"]


def test_there_is_no_model_before_the_first_look(store: Store):
    with pytest.raises(NotReadyError, match="readyz"):
        ServedModels(store, Metrics()).get()


def test_a_model_without_users_serves_popular_items(tmp_path: Path):
    store = Store(tmp_path / "store")
    write(tmp_path / "artifact", model_of(0, 12, 32, seed=4))
    store.publish(tmp_path / "artifact")
    with serving(settings(store.path)) as client:
        assert client.get("/recommend/u1").json()["source"] == "popular"


def test_twenty_publications_under_load_fail_no_request_and_mix_no_versions(
    tmp_path: Path,
):
    store = Store(tmp_path / "store")
    written: dict[str, Path] = {}
    expected: dict[str, list[list[str]]] = {}
    for day in range(21):
        folder = tmp_path / str(day)
        version = write(folder, model_of(60, 40, 32, seed=day), day=day).version
        recommender = Recommender(Artifact.open(folder))
        written[version] = folder
        expected[version] = [
            [item.item_id for item in recommender.recommend(f"u{user}").items] for user in range(60)
        ]
    first, *later = written
    store.publish(written[first])
    over = threading.Event()
    answered: list[tuple[int, int, dict]] = []

    def ask(base_url: httpx.URL, first: int) -> None:
        with httpx.Client(base_url=base_url, timeout=30) as client:
            user = first
            while not over.is_set():
                user = (user + 7) % 60
                # every second request goes through FastAPI
                reply = client.get(f"/recommend/u{user}{'?strict=true' if user % 2 else ''}")
                answered.append((user, reply.status_code, reply.json()))

    with serving(settings(store.path)) as client:
        threads = [
            threading.Thread(target=ask, args=(client.base_url, first)) for first in range(3)
        ]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: answered)
            for version in later:
                assert store.publish(written[version]) == version
                wait_until(lambda version=version: answered[-1][2].get("model_version") == version)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert {status for _, status, _ in answered} == {200}
    assert {reply["model_version"] for _, _, reply in answered} == set(expected)
    for user, _, reply in answered:
        items = [item["item_id"] for item in reply["items"]]
        assert items == expected[reply["model_version"]][user]
        assert reply["user_id"] == f"u{user}"
