"""A damaged artifact is refused with its reason, whatever the damage.

The first kinds are what disks and copies do: the digests no longer fit. The second kinds are made
with fitting digests, as a wrong or hostile writer would, so that what refuses them is the check of
what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from damage_kinds import SIGNED_DAMAGE, SIMPLE_DAMAGE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.errors import ArtifactCorruptError, HashrecError
from hashrec.index.ranking.recommender import Recommender


@pytest.fixture
def copy(whole_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_artifact, tmp_path / "copy"))


def sign_again(folder: Path) -> None:
    """Make the manifest's sizes and digests those of the files."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        path.name: {
            "n_bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def flip_a_bit(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("kind", SIMPLE_DAMAGE)
def test_damage_is_refused_with_its_reason(copy: Path, kind: str) -> None:
    damage, reason = SIMPLE_DAMAGE[kind]
    damage(copy)
    with pytest.raises(ArtifactCorruptError, match=reason) as raised:
        Artifact.open(copy)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("kind", SIGNED_DAMAGE)
def test_damage_under_fitting_digests_is_refused_with_its_reason(copy: Path, kind: str) -> None:
    damage, reason = SIGNED_DAMAGE[kind]
    damage(copy)
    sign_again(copy)
    with pytest.raises(ArtifactCorruptError, match=reason) as raised:
        Artifact.open(copy)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_signing_again_alone_changes_nothing(copy: Path) -> None:
    sign_again(copy)
    Artifact.open(copy)


def test_a_flipped_bit_in_any_file_is_refused(copy: Path) -> None:
    for path in sorted(copy.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(flip_a_bit(whole))
        with pytest.raises(ArtifactCorruptError):
            Artifact.open(copy)
        path.write_bytes(whole)
    Artifact.open(copy)


def test_a_file_that_may_not_be_read_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(
        "hashrec.index.artifacts.artifact._sha256", refuse
    )  # root may read anything
    with pytest.raises(ArtifactCorruptError, match="cannot be read: Permission denied"):
        Artifact.open(copy)


def test_hostile_counts_cost_no_memory(copy: Path) -> None:
    huge = [kind for kind in SIGNED_DAMAGE if "huge" in kind or "beyond" in kind]
    folders: list[str] = []
    for number, kind in enumerate(huge):
        folder = Path(shutil.copytree(copy, copy.with_name(f"huge{number}")))
        SIGNED_DAMAGE[kind][0](folder)
        sign_again(folder)
        folders.append(str(folder))
    script = (
        "import sys, pathlib, resource; from hashrec.index.artifacts.artifact import Artifact\n"
        "from hashrec.index.errors import ArtifactCorruptError\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for folder in sys.argv[1:]:\n"
        "    try: Artifact.open(pathlib.Path(folder))\n"
        "    except ArtifactCorruptError: continue\n"
        "    sys.exit(f'{folder} was opened')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)\n"
    )
    command = [sys.executable, "-c", script, *folders]
    kibibytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(kibibytes) < 64 * 1024


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_fuzzed_files_are_refused_or_answer_with_what_they_hold(
    copy: Path, whole_artifact: Path, data: st.DataObject
) -> None:
    """Any file changed anywhere, digests mended: no crash, no hang, no other kind of error."""
    name = data.draw(st.sampled_from(sorted(path.name for path in copy.iterdir())))
    whole = (whole_artifact / name).read_bytes()
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, max(0, len(changed) - 1)))
        piece = data.draw(st.binary(max_size=8))
        changed[position : position + data.draw(st.integers(0, 8))] = piece
    (copy / name).write_bytes(changed)
    try:
        if name != "manifest.json":
            sign_again(copy)
        recommender = Recommender(Artifact.open(copy))
        for user_id in ("u0", "u59", "nobody"):
            answer = recommender.recommend(user_id, 10)
            assert len({item.item_id for item in answer.items}) == 10
        folded_in = recommender.recommend_history(["i0", "i39"], ["i1"], 10)
        assert len({item.item_id for item in folded_in.items}) == 10
    except HashrecError:
        pass
    finally:
        (copy / name).write_bytes(whole)
        shutil.copy(whole_artifact / "manifest.json", copy)
