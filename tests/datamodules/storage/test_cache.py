"""The data cache: files are made once, verified, and made again when they are damaged; a full disk is one line."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from datamodules.errors import UserError
from datamodules.storage.cache import cached_file

FOUR = """
import sys, time
from pathlib import Path
from datamodules.storage.cache import cached_file

def build(path):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)
    path.write_bytes(b"content")

print("ready", flush=True)
sys.stdin.readline()
assert cached_file("kind", {"a": 1}, build).read_bytes() == b"content"
"""


def write_a_megabyte(path: Path) -> None:
    path.write_bytes(bytes(10**6))


def write_a_table(path: Path) -> None:
    """As the cache's own files are written, by Arrow."""
    batch = pa.record_batch([pa.array(range(500_000))], names=["a"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def test_the_cache_builds_once_and_builds_a_damaged_file_again(own_cache: Path) -> None:
    built: list[Path] = []

    def build(path: Path) -> None:
        built.append(path)
        path.write_bytes(bytes(range(256)) * 4)

    first = cached_file("kind", {"a": 1}, build)
    whole = first.read_bytes()
    assert cached_file("kind", {"a": 1}, build) == first
    assert len(built) == 1
    for damaged in (whole[:-10], b"", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        first.write_bytes(damaged)
        assert cached_file("kind", {"a": 1}, build) == first
        assert first.read_bytes() == whole
    assert len(built) == 4
    assert cached_file("kind", {"a": 2}, build) != first
    assert sorted(p.suffix for p in (own_cache / "tokens").iterdir()) == [".arrow", ".arrow"]


def test_a_build_that_fails_leaves_nothing(own_cache: Path) -> None:
    def build(path: Path) -> None:
        path.write_text("half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match=r"stop"):
        cached_file("kind", {}, build)
    assert list((own_cache / "tokens").iterdir()) == []


def test_four_processes_build_once(own_cache: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FOUR, str(tmp_path / "log")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert (tmp_path / "log").read_text() == "built\n"
    assert len(list((own_cache / "tokens").iterdir())) == 1


def test_what_a_killed_preparation_left_is_swept_by_the_next(own_cache: Path) -> None:
    build = """
import os, signal, sys
from datamodules.storage.cache import cached_file
def build(path):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
cached_file("kind", {"a": 1}, build)
"""
    assert subprocess.run([sys.executable, "-c", build], check=False).returncode == -9
    assert sorted(path.suffix for path in (own_cache / "tokens").iterdir()) == [".lock", ".part"]
    cached_file("other", {}, write_a_megabyte)
    assert [path.suffix for path in (own_cache / "tokens").iterdir()] == [".arrow"]


def test_a_cache_that_cannot_be_written_says_so(own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be")
    with pytest.raises(UserError) as caught:
        cached_file("kind", {}, write_a_megabyte)
    folder, reason = own_cache / "tokens", "not a directory"
    remedy = "set LIT_MODELS_CACHE to another folder"
    assert str(caught.value) == f"cannot write to the data cache {folder} ({reason}): {remedy}"


@pytest.fixture
def small_disk(own_cache: Path) -> Iterator[Path]:
    """A real file system of 256 KiB as the cache."""
    own_cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(own_cache)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield own_cache
    subprocess.run(["umount", str(own_cache)], check=True)


@pytest.mark.parametrize("build", [write_a_megabyte, write_a_table])
def test_a_full_disk_is_one_line_and_leaves_no_cut_file(build: object, small_disk: Path) -> None:
    assert callable(build)
    with pytest.raises(UserError) as caught:
        cached_file("kind", {}, build)
    remedy = "free some space, or set LIT_MODELS_CACHE to another folder"
    assert str(caught.value) == f"the data cache {small_disk / 'tokens'} is full: {remedy}"
    assert list((small_disk / "tokens").iterdir()) == []


@pytest.mark.parametrize("build", [write_a_megabyte, write_a_table])
def test_a_file_over_the_limit_of_the_process_is_one_line(build: object, own_cache: Path) -> None:
    assert callable(build)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"the data cache .* is full: free some space, or set LIT_MODELS_CACHE to"):
            cached_file("kind", {}, build)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((own_cache / "tokens").iterdir()) == []


def test_a_cache_that_can_only_be_read_is_used(own_cache: Path) -> None:
    first = cached_file("kind", {}, write_a_megabyte)
    mount = ["mount", "--bind", str(own_cache), str(own_cache)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a folder cannot be made read-only here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(own_cache)], check=True)
        time.sleep(0.01)
        assert cached_file("kind", {}, write_a_megabyte) == first
        with pytest.raises(UserError, match=r"cannot write to the data cache .* \(read-only file system\): set LIT_M"):
            cached_file("other", {}, write_a_megabyte)
    finally:
        subprocess.run(["umount", str(own_cache)], check=True)
