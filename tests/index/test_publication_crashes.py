"""A publication that is killed, or that the disk fails, leaves the served version as it was.

`failing_disk.py` counts the calls that change a disk and, at the Nth, kills its own process as
`kill -9` does or fails the call as a full or broken disk does. Every N is tried.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from failing_disk import CALLS, Fault, failing_disk
from small_models import model_of, write

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.store import Store
from hashrec.index.errors import ArtifactError
from hashrec.index.model.items import ItemTable
from hashrec.index.model.model import Model

NEVER = 10**9
KILL_TIMES = 8
PUBLISH_FOREVER = """
import pathlib, shutil, sys
from hashrec.index.artifacts.store import Store
store, *artifacts = map(pathlib.Path, sys.argv[1:])
print("ready", flush=True)
while True:
    for artifact in artifacts:
        for version in (store / "versions").glob("[0-9]*"):
            if version.name != Store(store).current():
                shutil.rmtree(version)
        Store(store).publish(artifact)
"""


@pytest.fixture(scope="session")
def two_days(small_model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two artifacts of the files that every model has: each file is some calls, each tried."""
    bare = replace(small_model, encoder=None, item_table=ItemTable.build([{}] * 40))
    folder = tmp_path_factory.mktemp("two_days")
    for day in (0, 1):
        write(folder / f"day{day}", bare, day=day)
    return folder / "day0", folder / "day1"


@pytest.fixture
def store(tmp_path: Path, two_days: tuple[Path, Path]) -> Store:
    """A store that serves the first day."""
    store = Store(tmp_path / "store")
    store.publish(two_days[0])
    return store


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def killed_at(at: int, change: Callable[[], object]) -> bool:
    """Change a store in a child process that kills itself, and tell whether it came that far."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        with failing_disk(Fault(at)):
            change()
    finally:
        os._exit(1)


def publish_on(fault: Fault, store: Store, artifact: Path) -> ArtifactError | None:
    """Publish with a failing disk and return the error."""
    try:
        with failing_disk(fault):
            store.publish(artifact)
    except ArtifactError as error:
        return error
    return None


def require_clean_after(store: Store, artifact: Path) -> None:
    """Publish again, and see that the leftovers are gone."""
    assert publish_on(Fault(NEVER), store, artifact) is None
    assert names(store.path) == {".publication.lock", "CURRENT", "versions"}
    for version in names(store.path / "versions"):
        store.open(version)


def count_calls(store: Store, artifact: Path) -> int:
    counting = Fault(NEVER)
    assert publish_on(counting, store, artifact) is None
    return counting.calls


def test_every_kind_of_call_is_counted(store: Store, two_days: tuple[Path, Path]) -> None:
    counting = Fault(NEVER)
    publish_on(counting, store, two_days[1])
    assert set(counting.seen) == set(CALLS)
    assert counting.calls > 50


def test_killed_at_any_call_the_store_opens_the_old_version_or_the_new(
    tmp_path: Path, store: Store, two_days: tuple[Path, Path]
) -> None:
    before = Path(shutil.copytree(store.path, tmp_path / "before"))
    old = store.current()
    n_calls = count_calls(store, two_days[1])
    new = store.current()
    served: list[str] = []
    for at in range(n_calls):
        victim = Store(tmp_path / f"killed{at}")
        shutil.copytree(before, victim.path)
        assert killed_at(at, partial(victim.publish, two_days[1]))
        served.append(victim.open().manifest.version)
        require_clean_after(victim, two_days[at % 2])
        shutil.rmtree(victim.path)
    assert served == sorted(served)  # the old one up to some call, the new one from there
    assert set(served) == {old, new}


def test_killed_at_any_call_the_first_publication_leaves_nothing_or_all(
    tmp_path: Path, two_days: tuple[Path, Path]
) -> None:
    n_calls = count_calls(Store(tmp_path / "whole"), two_days[0])
    for at in (*range(0, n_calls, 8), *range(n_calls - 8, n_calls)):
        victim = Store(tmp_path / f"killed{at}")
        assert killed_at(at, partial(victim.publish, two_days[0]))
        if victim.pointer() is not None:
            victim.open()
        require_clean_after(victim, two_days[0])
        shutil.rmtree(victim.path)


@pytest.mark.parametrize(
    ("code", "lasting"),
    [(errno.ENOSPC, False), (errno.EIO, True)],
    ids=["full once", "broken from then on"],
)
def test_a_disk_that_fails_any_call_leaves_the_served_version(
    tmp_path: Path, store: Store, two_days: tuple[Path, Path], code: int, lasting: bool
) -> None:
    before = Path(shutil.copytree(store.path, tmp_path / "before"))
    old = store.current()
    n_calls = count_calls(store, two_days[1])
    new = store.current()
    for at in range(n_calls):
        victim = Store(tmp_path / f"failed{at}")
        shutil.copytree(before, victim.path)
        error = publish_on(Fault(at, code, lasting), victim, two_days[1])
        # The last call flushes the new pointer. On a disk that takes nothing from then on, the old
        # one cannot come back either; the error says so.
        served = new if lasting and at == n_calls - 1 else old
        assert os.strerror(code) in str(error)
        assert f"{served} is served" in str(error)
        assert "\n" not in str(error)
        assert victim.open().manifest.version == served
        require_clean_after(victim, two_days[at % 2])
        shutil.rmtree(victim.path)


@pytest.mark.parametrize("change", ["rollback", "activate"])
def test_a_disk_that_fails_a_change_of_version_leaves_the_served_one(
    tmp_path: Path, store: Store, two_days: tuple[Path, Path], change: str
) -> None:
    old, new = store.current(), store.publish(two_days[1])
    before = Path(shutil.copytree(store.path, tmp_path / "before"))
    counting = Fault(NEVER)
    for fault in (counting, *(Fault(at, errno.EIO) for at in range(20))):
        victim = Store(tmp_path / f"failed{fault.at}")
        shutil.copytree(before, victim.path)
        make = victim.rollback if change == "rollback" else lambda: victim.activate(old)  # noqa: B023
        if fault.at < counting.calls:
            with pytest.raises(ArtifactError, match=f"{new} is served"), failing_disk(fault):
                make()
            assert victim.current() == new
        else:
            with failing_disk(fault):
                make()
            assert victim.current() == old
    assert 3 < counting.calls < 20


@pytest.mark.parametrize("change", ["rollback", "activate"])
def test_killed_at_any_call_a_change_of_version_is_done_or_not(
    tmp_path: Path, store: Store, two_days: tuple[Path, Path], change: str
) -> None:
    old, new = store.current(), store.publish(two_days[1])
    before = Path(shutil.copytree(store.path, tmp_path / "before"))
    served: list[str] = []
    while True:
        victim = Store(tmp_path / f"killed{len(served)}")
        shutil.copytree(before, victim.path)
        make = victim.rollback if change == "rollback" else lambda: victim.activate(old)  # noqa: B023
        was_killed = killed_at(len(served), make)
        served.append(victim.open().manifest.version)
        require_clean_after(victim, two_days[0])
        if not was_killed:
            break
    assert served == sorted(served, reverse=True)  # the new one up to some call, then the old one
    assert set(served) == {old, new}
    assert 3 < len(served) < 20


def test_a_disk_that_fails_a_write_leaves_the_artifact_that_was_there(
    tmp_path: Path, small_model: Model
) -> None:
    before = tmp_path / "before"
    kept = write(before / "artifact", model_of(n_users=5, n_items=5, n_bits=8, seed=3))
    counting = Fault(NEVER)
    whole = Path(shutil.copytree(before, tmp_path / "whole"))
    with failing_disk(counting):
        write(whole / "artifact", small_model)
    for at in range(counting.calls):
        folder = Path(shutil.copytree(before, tmp_path / f"run{at}")) / "artifact"
        with (
            pytest.raises(ArtifactError, match="No space left on device"),
            failing_disk(Fault(at=at, code=errno.ENOSPC)),
        ):
            write(folder, small_model)
        assert Artifact.open(folder).manifest == kept
        assert names(folder.parent) == {"artifact"}


def test_killed_at_any_moment_the_store_opens(
    tmp_path: Path, store: Store, two_days: tuple[Path, Path]
) -> None:
    """A process of its own, killed from outside, at times spread over its publication."""
    command = [sys.executable, "-c", PUBLISH_FOREVER, str(store.path), *map(str, two_days)]
    delays = random.Random(5)
    for _ in range(KILL_TIMES):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
            assert publisher.stdout is not None
            publisher.stdout.readline()
            time.sleep(delays.uniform(0, 0.06))
            publisher.kill()
        store.open()
    require_clean_after(store, two_days[1])
