"""How far a job is, kept on disk, so that it can go on after it was killed.

    FOLDER/job.json          whose checkpoints these are
    FOLDER/WHAT.pt           the outcome of a part of the job
    FOLDER/WHAT/1 LOOP.pt    the state of a loop in that part, gone once the part has its outcome

A file holds 32 bytes of SHA-256 over the job's key and the rest, then what `torch.save` writes.
It is replaced whole or not at all; one that does not match its digest counts as not there.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch

from hashrec.index.artifacts import durable
from hashrec.training.data.interactions import Interactions
from hashrec.training.jobs.report import environment

CHECKPOINTS_FOLDER = ".checkpoints"
_JOB_FILE = "job.json"
_DIGEST_BYTES = 32
_CHUNK = 1 << 20
# An interrupted job goes on with the events that it had read, unless they are older than this.
EVENTS_KEPT_S = 12 * 3600.0


class Checkpoints:
    """A folder of checkpoints of one job.

    Args:
        folder: made when the first one is kept.
        every: seconds between two; a job that is done before then writes nothing.
        say: told what could not be read or written: a job goes on without it.

    Attributes:
        resumed: whether there was something to go on with.
    """

    def __init__(self, folder: Path, every: float, say: Callable[[str], None]) -> None:
        self._folder, self._every, self._say = folder, every, say
        self._key = ""
        self._journal_position: int | None = None
        self._pending: dict[Path, Mapping[str, Any]] = {}
        self._last = time.monotonic()
        self.resumed = False

    def journal_position(self) -> int | None:
        """Return up to where an interrupted job read its journal; None if that no longer counts."""
        job = self._job()
        recent = time.time() - job.get("started", 0) < EVENTS_KEPT_S
        return job.get("journal_position") if recent else None

    def belong_to(self, key: str) -> bool:
        """Tell whether what is there was kept by a job of this key."""
        return self._job().get("key") == key

    def begin(self, key: str, journal_position: int | None = None) -> None:
        """Start or go on with a job, and remove what others have left.

        Args:
            key: see `job_key`.
            journal_position: up to where it has read its journal, if it has one.
        """
        self._key, self._journal_position = key, journal_position
        self.resumed = self.belong_to(key)
        if self.resumed:
            self._say("going on with the job that was interrupted")
        elif self._folder.exists():
            self._say(
                "what an interrupted job has left is of other data or settings: starting anew"
            )
            self.clear()
        self._last = time.monotonic()

    def clear(self) -> None:
        """Remove everything: the job is done, or is to start anew."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_due(self) -> bool:
        """Tell whether the last checkpoint was long enough ago."""
        return time.monotonic() - self._last >= self._every

    def load(self, name: Path) -> dict[str, Any] | None:
        """Return what was kept under a name; None where nothing was, or it is damaged."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                digest = file.read(_DIGEST_BYTES)
                if digest != self._digest(file):
                    self._say(f"ignoring the checkpoint {path}: it is damaged")
                    return None
                file.seek(_DIGEST_BYTES)
                return torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say(f"ignoring the checkpoint {path}: {error.strerror}")
            return None

    def holds(self, name: Path) -> bool:
        """Tell whether something was kept under a name."""
        return self._path(name).exists()

    def save(self, name: Path, content: Mapping[str, Any]) -> None:
        """Keep something, and with it what was settled before: on disk when this returns."""
        try:
            for settled, outcome in self._pending.items():
                self._write(settled, outcome)
            self._pending.clear()
            self._write(name, content)
        except OSError as error:
            self._say(f"warning: no checkpoint could be kept in {self._folder}: {error.strerror}")
        self._last = time.monotonic()

    def settle(self, name: Path, outcome: Mapping[str, Any]) -> None:
        """Keep the outcome of a part, now or with the next checkpoint, in place of its loops'."""
        self._pending = {
            settled: kept for settled, kept in self._pending.items() if name not in settled.parents
        }
        inside = self._folder / name
        if self.is_due() or inside.exists():
            self.save(name, outcome)
            if self.holds(name):  # the disk may have refused it
                shutil.rmtree(inside, ignore_errors=True)
        else:
            self._pending[name] = outcome

    def _path(self, name: Path) -> Path:
        return self._folder / name.with_name(f"{name.name}.pt")

    def _job(self) -> dict[str, Any]:
        try:
            job = json.loads((self._folder / _JOB_FILE).read_bytes())
        except (OSError, ValueError):
            return {}
        return job if isinstance(job, dict) else {}

    def _write(self, name: Path, content: Mapping[str, Any]) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.belong_to(self._key):
            job = {
                "key": self._key,
                "journal_position": self._journal_position,
                "started": time.time(),
            }
            durable.write_bytes(self._folder / _JOB_FILE, json.dumps(job).encode() + b"\n")
        with durable.replacing(path) as temporary, temporary.open("wb+") as file:
            file.write(bytes(_DIGEST_BYTES))
            _save(content, file)
            file.seek(_DIGEST_BYTES)
            digest = self._digest(file)
            file.seek(0)
            file.write(digest)

    def _digest(self, file: IO[bytes] | BinaryIO) -> bytes:
        digest = sha256(self._key.encode())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        return digest.digest()


def _save(content: Mapping[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # Of a write that failed PyTorch says only that its archive is not whole.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def job_key(settings: Mapping[str, Any], device: torch.device, *data: Interactions) -> str:
    """Return a hash of all that decides the result of a job, bit for bit.

    Args:
        settings: of the job, its model and its teacher, with their defaults.
        device: where it learns.
        data: what it learns from.
    """
    about = environment()
    del about["commit"]  # a version says enough, and is there in every installation
    decisive = {
        "settings": settings,
        "environment": about | {name: version(name) for name in ("scipy", "implicit")},
        "machine": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
    digest = sha256(json.dumps(decisive, sort_keys=True).encode())
    for part in data:
        for array in (part.user_rows, part.item_rows, part.values, part.timestamps):
            digest.update(b"-" if array is None else array.tobytes())
        for ids in (part.users, part.items):
            digest.update("\n".join(ids.ids(range(len(ids)))).encode())
    return digest.hexdigest()
