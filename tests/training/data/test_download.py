from __future__ import annotations

import hashlib
import socket

import pytest

from hashrec.index.errors import DataError
from hashrec.training.data.download import download

CONTENT = bytes(range(256)) * 4_000  # 1,024,000 bytes
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(serve_file):
    return serve_file(CONTENT)


def test_file_comes_whole_under_its_name_alone(server, tmp_path):
    target = tmp_path / "new" / "folder" / "set.zip"
    seen = []
    assert (
        download(server.url, target, MD5, lambda done, total: seen.append((done, total))) == target
    )
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["set.zip"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_file_that_is_here_is_not_fetched_again(server, tmp_path):
    target = tmp_path / "set.zip"
    target.write_bytes(CONTENT)
    download(server.url, target, MD5)
    assert server.asked == []


def test_dropped_connection_goes_on_where_it_stopped(server, tmp_path):
    server.drops = [300_000, 100_000]
    download(server.url, tmp_path / "set.zip", MD5)
    assert server.asked == [None, "bytes=300000-", "bytes=400000-"]
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_later_call_goes_on_with_what_an_earlier_one_left(server, tmp_path):
    server.drops = [200_000, 0, 100_000]
    with pytest.raises(
        DataError, match=r"run the command again to resume.* put the file at .*set\.zip by hand"
    ):
        download(server.url, tmp_path / "set.zip", MD5)
    assert not (tmp_path / "set.zip").exists()
    assert (tmp_path / "set.zip.part").stat().st_size == 300_000
    seen = []
    download(server.url, tmp_path / "set.zip", MD5, lambda done, total: seen.append((done, total)))
    assert server.asked[-1] == "bytes=300000-"
    assert seen[0] == (300_000, len(CONTENT))
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_server_without_ranges_begins_again(server, tmp_path):
    server.ranges = False
    server.drops = [300_000]
    download(server.url, tmp_path / "set.zip", MD5)
    assert len(server.asked) == 2
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_complete_part_needs_its_name_only(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "set.zip", MD5)
    assert server.asked == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_wrong_content_is_thrown_away_and_the_next_call_mends_it(server, ranges, tmp_path):
    server.ranges = ranges
    target = tmp_path / "set.zip"
    server.content = b"an error page"
    with pytest.raises(DataError, match="checksum differs"):
        download(server.url, target, MD5)
    assert list(tmp_path.iterdir()) == []
    server.content = CONTENT
    download(server.url, target, MD5)
    assert target.read_bytes() == CONTENT


def test_part_of_another_file_is_not_continued_for_ever(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(b"x" * 500)
    with pytest.raises(DataError, match="checksum differs"):
        download(server.url, tmp_path / "set.zip", MD5)
    download(server.url, tmp_path / "set.zip", MD5)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_missing_page_is_told_at_once(server, tmp_path):
    server.missing = True
    with pytest.raises(DataError, match=r"404.* put the file at"):
        download(server.url, tmp_path / "set.zip", MD5)
    assert len(server.asked) == 1


def test_no_server_says_where_to_put_the_file_by_hand(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/set.zip"
        with pytest.raises(DataError) as caught:
            download(url, tmp_path / "set.zip", MD5)
    assert f"put the file at {tmp_path / 'set.zip'} by hand" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_that_cannot_be_made_is_refused(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        download(server.url, tmp_path / "file" / "set.zip", MD5)
