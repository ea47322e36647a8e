"""Downloads from a real server that misbehaves: the file arrives complete, or one line says what went wrong."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.downloads import Published, fetch, sha256
from datamodules.storage.writing import part_path
from tests.datamodules.storage.https_server import CONTENT, Server, make_certificate, running

SHA256 = hashlib.sha256(CONTENT).hexdigest()
FETCH = """
import sys
from pathlib import Path
from datamodules.storage.downloads import Published, fetch
print("ready", flush=True)
sys.stdin.readline()
fetch(Published((sys.argv[1],), 1_000_000, sys.argv[3]), Path(sys.argv[2]))
"""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl, which makes the server's certificate, is not installed")
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # OpenSSL's own variable: whom to trust
    monkeypatch.setenv("no_proxy", "localhost")
    with running(certificate) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "f"


def published(*urls: str, most_bytes: int = 1_000_000) -> Published:
    return Published(urls, most_bytes, SHA256)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    assert sha256(tmp_path / "f") == SHA256


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        sha256(tmp_path)
    assert str(caught.value) == f"{tmp_path}: the file cannot be read: Is a directory"


@pytest.mark.parametrize("path", ["whole", "to//whole", "truncated", "forgetful"])
def test_a_download_lands_whole(path: str, server: Server, target: Path) -> None:
    fetch(published(f"{server.url}/{path}"), target)
    assert target.read_bytes() == CONTENT
    assert left(target) == ["f"]


def test_a_truncated_download_goes_on_where_it_ended(server: Server, target: Path) -> None:
    fetch(published(f"{server.url}/truncated"), target)
    assert server.asked == [("/truncated", ""), ("/truncated", "bytes=200000-"), ("/truncated", "bytes=400000-")]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("always_truncated", "cannot download URL (the connection ended after 1,000 of 512,000 bytes): put"),
        ("corrupt", "URL arrived with a wrong checksum: try again, or put"),
        ("page/200", "URL arrived with a wrong checksum: try again, or put"),
        ("page/404", "cannot download URL (404 Not Found): put"),
        ("page/503", "cannot download URL (503 Service Unavailable): put"),
        ("endless", "cannot download URL (it has more than 1,000,000 bytes): put"),
        ("announces", "cannot download URL (it has more than 1,000,000 bytes): put"),
        ("stalls", "cannot download URL (no answer for 0.3 s): put"),
        ("silent", "cannot download URL (no answer for 0.3 s): put"),
        ("trickles", "cannot download URL (only "),
        ("to/http://127.0.0.1/f", "cannot download URL (it redirects to http://127.0.0.1/f, which is not https): put"),
        ("to/file:///etc/passwd", "cannot download URL (302 Found - Redirection to url 'file:///etc/passwd' is not"),
        ("loop", "cannot download URL (302 The HTTP server returned a redirect error that would lead to an infinite"),
    ],
)
def test_a_server_that_misbehaves_is_one_line(path: str, message: str, server: Server, target: Path) -> None:
    url = f"{server.url}/{path}"
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        fetch(published(url), target, stalled=0.3)
    assert time.monotonic() - start < 5
    assert str(caught.value).startswith(message.replace("URL", url))
    assert str(caught.value).endswith(f"put the file at {target}")
    assert isinstance(caught.value, MissingFileError) == ("checksum" not in message)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert set(left(target)) <= {".f.part"}
    assert not part_path(target).exists() or part_path(target).stat().st_size <= 1_000_000


def test_the_next_address_is_tried(server: Server, target: Path) -> None:
    fetch(published(*(f"{server.url}/{path}" for path in ("page/404", "corrupt", "whole"))), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["http://localhost/f", "file:///etc/hostname", "ftp://localhost/f"])
def test_other_addresses_than_https_are_not_opened(url: str, target: Path) -> None:
    with pytest.raises(MissingFileError, match=f"cannot download {url} .no network. unknown url type: "):
        fetch(published(url), target)


def test_a_certificate_that_nobody_trusts_is_refused(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with pytest.raises(MissingFileError, match=r"certificate verify failed"):
        fetch(published(f"{server.url}/whole"), target)
    assert server.asked == []


def test_no_network_is_one_line_with_what_to_do(target: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        fetch(published("https://localhost:9/f"), target, remedy="put it elsewhere")  # no server listens at 9
    assert str(caught.value).startswith("cannot download https://localhost:9/f (no network? ")
    assert str(caught.value).endswith("): put it elsewhere")


@pytest.mark.parametrize(("value", "forbidden"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_offline_nothing_is_asked_for(
    value: str, forbidden: bool, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIT_MODELS_OFFLINE", value)
    if not forbidden:
        fetch(published(f"{server.url}/whole"), target)
        return
    with pytest.raises(MissingFileError) as caught:
        fetch(published(f"{server.url}/whole"), target)
    expected = f"{target} is missing, and LIT_MODELS_OFFLINE forbids to download it: put the file at {target}"
    assert str(caught.value) == expected
    assert server.asked == []


def test_a_file_of_the_users_is_accepted_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    fetch(published("https://localhost:9/f"), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"mine"


def start_fetch(server: Server, path: str, target: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", FETCH, f"{server.url}/{path}", str(target), SHA256]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_four_processes_download_once(server: Server, target: Path) -> None:
    processes = [start_fetch(server, "slow/0.5", target) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        go(process)
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert [path for path, _ in server.asked] == ["/slow/0.5"]
    assert target.read_bytes() == CONTENT
    assert left(target) == ["f"]
    assert sum("waiting for another process that writes" in error for error in errors) == 3


def test_a_killed_download_is_continued_and_leaves_nothing(server: Server, target: Path) -> None:
    process = start_fetch(server, "slow/60", target)
    go(process)
    part = part_path(target)
    deadline = time.monotonic() + 60
    while not part.exists() or part.stat().st_size < 200_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert left(target) == [".f.lock", ".f.part"]
    have = part.stat().st_size
    fetch(published(f"{server.url}/whole"), target)
    assert server.asked[-1] == ("/whole", f"bytes={have}-")
    assert target.read_bytes() == CONTENT
    assert left(target) == ["f"]


@pytest.mark.parametrize("old", [b"another file" * 1000, CONTENT + b"more", CONTENT])
def test_a_part_of_another_file_is_downloaded_again(old: bytes, server: Server, target: Path) -> None:
    target.parent.mkdir()
    part_path(target).write_bytes(old)
    fetch(published(f"{server.url}/whole"), target)
    assert target.read_bytes() == CONTENT


def test_what_a_killed_process_left_beside_a_whole_file_is_deleted(tmp_path: Path) -> None:
    for name in ("f", ".f.part", ".f.lock", ".g.part", "poetry.lock"):
        (tmp_path / name).write_bytes(b"x")
    fetch(published("https://localhost:9/f"), tmp_path / "f")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".g.part", "f", "poetry.lock"]
