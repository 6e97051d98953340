"""Checkpoints of a job on disk, from which it goes on after a kill.

    FOLDER/job.json          key of the job
    FOLDER/PART.pt           the result of a part of the job
    FOLDER/PART/1 LOOP.pt    the state of a loop in that part, removed once the part has its result

A file holds 32 bytes of SHA-256 over the job's key and the rest, then the output of `torch.save`.
It is replaced whole or not at all; a file that does not match its digest is ignored.
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
    """The checkpoints of one job, in a folder.

    Args:
        folder: made when the first checkpoint is written.
        every: seconds between two checkpoints; a shorter job writes none.
        say: takes messages about files that cannot be read or written; the job goes on.

    Attributes:
        resumed: whether the job goes on from checkpoints.
    """

    def __init__(self, folder: Path, every: float, say: Callable[[str], None]) -> None:
        self._folder, self._every, self._say = folder, every, say
        self._key = ""
        self._journal_position: int | None = None
        self._pending: dict[Path, Mapping[str, Any]] = {}
        self._last = time.monotonic()
        self.resumed = False

    def journal_position(self) -> int | None:
        """Return the last journal position that an interrupted job read; None if it is too old."""
        job = self._job()
        recent = time.time() - job.get("started", 0) < EVENTS_KEPT_S
        return job.get("journal_position") if recent else None

    def belong_to(self, key: str) -> bool:
        """Tell whether the checkpoints are those of a job with this key."""
        return self._job().get("key") == key

    def begin(self, key: str, journal_position: int | None = None) -> None:
        """Begin or resume a job, and remove the checkpoints of other jobs.

        Args:
            key: see `job_key`.
            journal_position: the last position that it has read in its journal, if it has one.
        """
        self._key, self._journal_position = key, journal_position
        self.resumed = self.belong_to(key)
        if self.resumed:
            self._say("resuming the interrupted job")
        elif self._folder.exists():
            self._say("starting over: the interrupted job had other data or settings")
            self.clear()
        self._last = time.monotonic()

    def clear(self) -> None:
        """Remove all checkpoints: the job is done or starts over."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_due(self) -> bool:
        """Tell whether it is time for the next checkpoint."""
        return time.monotonic() - self._last >= self._every

    def load(self, name: Path) -> dict[str, Any] | None:
        """Return the checkpoint of a name; None if it is missing or damaged."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                digest = file.read(_DIGEST_BYTES)
                if digest != self._digest(file):
                    self._say(f"ignoring the checkpoint {path}: the file is damaged")
                    return None
                file.seek(_DIGEST_BYTES)
                return torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say(f"ignoring the checkpoint {path}: {error.strerror}")
            return None

    def holds(self, name: Path) -> bool:
        """Tell whether there is a checkpoint of a name."""
        return self._path(name).exists()

    def save(self, name: Path, content: Mapping[str, Any]) -> None:
        """Write a checkpoint, and the results that wait to be written, before returning."""
        try:
            for settled, outcome in self._pending.items():
                self._write(settled, outcome)
            self._pending.clear()
            self._write(name, content)
        except OSError as error:
            self._say(f"warning: cannot write a checkpoint in {self._folder}: {error.strerror}")
        self._last = time.monotonic()

    def settle(self, name: Path, outcome: Mapping[str, Any]) -> None:
        """Keep the result of a part instead of its loops' states, now or at the next checkpoint."""
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
        # PyTorch reports a failed write only as an incomplete archive.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def job_key(settings: Mapping[str, Any], device: torch.device, *data: Interactions) -> str:
    """Return a hash of everything that the result of a job depends on, bit for bit.

    Args:
        settings: of the job, its model and its teacher, with their defaults.
        device: the device that it learns on.
        data: the interactions that it learns from.
    """
    about = environment()
    del about["commit"]  # the version is enough, and every installation has one
    decisive = {
        "settings": settings,
        "environment": about | {name: version(name) for name in ("scipy", "implicit")},
        "machine": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
    digest = sha256(json.dumps(decisive, sort_keys=True).encode())
    for part in data:
        arrays = (part.user_rows, part.item_rows, part.values, part.timestamps, part.amounts)
        for array in arrays:
            digest.update(b"-" if array is None else array.tobytes())
        for ids in (part.users, part.items):
            digest.update("\n".join(ids.ids(range(len(ids)))).encode())
    return digest.hexdigest()
