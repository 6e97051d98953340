"""Fetch a file: resumed where it broke off, checked, and in place only when it is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hashrec.index.errors import DataError

CHUNK_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 30
ATTEMPTS = 3

Progress = Callable[[int, int | None], None]


def download(
    url: str, target: Path, md5: str, progress: Progress = lambda _done, _total: None
) -> Path:
    """Fetch `url` to `target`, unless it is there already.

    Bytes go to ``TARGET.part``, which a later call continues if the server can; the file gets its
    name when its checksum is right.

    Args:
        url: http or https.
        target: the file to make; its folder is made too.
        md5: the checksum its publisher gives, hexadecimal.
        progress: called with the bytes there so far and the bytes in all, None if the server does
            not tell.

    Raises:
        DataError: the server cannot be reached, or what came is not the file.
    """
    if target.exists() and _md5(target) == md5:
        return target
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _fetch(url, part, progress)
                break
            except (HTTPException, ConnectionError, TimeoutError) as error:
                if attempt == ATTEMPTS:
                    raise _unreachable(url, target, error) from error
        if _md5(part) != md5:
            part.unlink()
            raise DataError(f"{url}: what came has another checksum than published; fetch it again")
        part.replace(target)
    except HTTPError as error:
        error.close()
        raise _unreachable(url, target, error) from error
    except URLError as error:
        raise _unreachable(url, target, error) from error
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """Append to `part` what it lacks.

    Raises:
        OSError: (URLError is one) the connection or the disk failed; `part` keeps what came.
        HTTPException: the server closed the connection early.
    """
    start = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    try:
        response: HTTPResponse = urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
    except HTTPError as error:
        if error.code == 416:  # nothing is missing, or the file on the server is another one now
            error.close()
            return
        raise
    with response:
        if start and response.status != 206:  # no ranges here: begin again
            start = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with part.open("ab" if start else "wb") as file:
            done = start
            progress(done, total)
            while chunk := response.read1(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and done < total:
            raise ConnectionError(f"closed after {done} of {total} bytes")


def _unreachable(url: str, target: Path, error: Exception) -> DataError:
    # an HTTPError's own text has the status, a URLError's has only its class around the reason
    reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
    return DataError(
        f"{url}: cannot be fetched ({reason}); run it again to go on where it stopped, "
        f"or put the file at {target} by hand"
    )


def _md5(path: Path) -> str:
    """Return the checksum GroupLens publishes; it guards against damage, not against forgery."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
