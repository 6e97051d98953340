"""Download a file: resume a broken transfer, verify the checksum, then put it in place."""

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
    """Download `url` to `target`, unless it is there already.

    Bytes go to ``TARGET.part``, which a later call continues if the server supports ranges; the
    file gets its name when its checksum is right.

    Args:
        url: http or https.
        target: the file to write; its folder is made too.
        md5: the published checksum, hexadecimal.
        progress: called with the bytes received and the bytes in all, None if the server does not
            send the length.

    Raises:
        DataError: the server cannot be reached, or the checksum is wrong.
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
            raise DataError(f"{url}: the checksum differs from the published one; fetch it again")
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
    """Append the missing bytes to `part`.

    Raises:
        OSError: (URLError is a subclass) the connection or the disk failed; `part` keeps its bytes.
        HTTPException: the server closed the connection early.
    """
    start = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    try:
        response: HTTPResponse = urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
    except HTTPError as error:
        if error.code == 416:  # `part` is complete, or the file on the server has changed
            error.close()
            return
        raise
    with response:
        if start and response.status != 206:  # the server does not support ranges
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
    # the text of an HTTPError has the status; the text of a URLError adds nothing to its reason
    reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
    return DataError(
        f"{url}: cannot be downloaded ({reason}); run the command again to resume, "
        f"or put the file at {target} by hand"
    )


def _md5(path: Path) -> str:
    """Return the checksum that GroupLens publishes; it detects damage, not forgery."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
