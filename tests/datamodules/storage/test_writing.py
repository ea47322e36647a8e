"""Files are written whole, by one process at a time; what killed processes leave is deleted; others may read them."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules.storage.writing import disk_problem, locked, make_folder, part_of, part_path, publish, sweep

HOLD = """
import sys, time
from pathlib import Path
from datamodules.storage.writing import part_of
with part_of(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from datamodules.storage.writing import locked
path = Path(sys.argv[1])
for _ in range(50):
    with locked(path):
        number = int(path.read_text())
        path.write_text(str(number + 1))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def holder(tmp_path: Path) -> "subprocess.Popen[str]":
    """A process that is writing the file `f`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "f")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_part_is_removed_unless_it_was_published(tmp_path: Path) -> None:
    with part_of(tmp_path / "f") as part:
        part.write_text("x")
        assert names(tmp_path) == [".f.lock", ".f.part"]
    assert names(tmp_path) == []
    with part_of(tmp_path / "f") as part:
        part.write_text("x")
        publish(part, tmp_path / "f")
    assert names(tmp_path) == ["f"]


def test_what_a_living_process_writes_is_not_swept_and_what_a_killed_one_left_is(
    holder: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    (tmp_path / ".old.part").write_text("x")  # no process holds its lock
    (tmp_path / ".older.lock").write_text("")
    sweep(tmp_path)
    assert names(tmp_path) == [".f.lock", ".f.part"]
    assert part_path(tmp_path / "f").read_text() == "half"
    end(holder)
    sweep(tmp_path, of="g")
    assert names(tmp_path) == [".f.lock", ".f.part"]
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_process_that_dies_frees_its_lock_at_once(
    holder: "subprocess.Popen[str]", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end(holder)
    start = time.monotonic()
    with part_of(tmp_path / "f") as part:
        assert not part.exists()  # the half that the other one wrote is gone
    assert time.monotonic() - start < 1
    assert capsys.readouterr().err == ""


def test_four_processes_take_turns(tmp_path: Path) -> None:
    """The lock's file is deleted after each turn, and yet no two processes hold it: no addition is lost."""
    path = tmp_path / "number"
    path.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)], stderr=subprocess.DEVNULL) for _ in "1234"]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert path.read_text() == "200"
    assert names(tmp_path) == ["number"]


@pytest.mark.parametrize(
    ("parent", "umask", "folder", "file"),
    [
        (0o755, 0o022, 0o755, 0o644),
        (0o775, 0o022, 0o775, 0o644),
        (0o777, 0o022, 0o777, 0o644),
        (0o700, 0o077, 0o700, 0o600),
    ],
)
def test_others_may_read_and_who_may_write_above_may_write_here(
    parent: int, umask: int, folder: int, file: int, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(parent)
    before = os.umask(umask)
    try:
        path = tmp_path / "shared" / "cache" / "tokens" / "f"
        make_folder(path.parent)
        with part_of(path) as part:
            part.write_text("x")
            publish(part, path)
    finally:
        os.umask(before)
    assert (mode(path.parent), mode(path.parent.parent), mode(path)) == (folder, folder, file)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_waits_for_a_lock_and_then_holds_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/") and not folder.stat().st_mode & stat.S_ISVTX:
            folder.chmod(mode(folder) | 0o055)
    with locked(shared / "f"):
        process = os.fork()
        if process == 0:  # the child, as user 65534
            try:
                os.setuid(65534)
                with locked(shared / "f"):
                    (shared / "f").write_text("x")
            finally:
                os._exit(0)
        time.sleep(0.3)
        assert not (shared / "f").exists()
    os.waitpid(process, 0)
    assert (shared / "f").stat().st_uid == 65534
    assert names(shared) == ["f"]


def test_a_file_where_a_folder_should_be_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "f" / "g")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "the cache C is full: free some space, or move it"),
        (
            OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
            "the cache C is",
        ),
        (OSError(30, "Read-only file system"), "cannot write to the cache C (read-only file system): move it"),
        (OSError(13, "Permission denied"), "cannot write to the cache C (permission denied): move it"),
        (OSError(104, "Connection reset by peer"), None),
        (OSError("something else"), None),
    ],
)
def test_an_error_of_the_disk_is_a_mistake_with_a_remedy(error: OSError, message: str | None) -> None:
    problem = disk_problem(error, Path("C"), place="the cache", remedy="move it")
    assert problem is None if message is None else str(problem).startswith(message)


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="folders can be flushed on POSIX only")
def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure, a file that has its name without its content would be empty."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flush(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def rename(part: Path, target: Path) -> None:
        done.append("rename")
        replace(part, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    (tmp_path / "part").write_text("x")
    publish(tmp_path / "part", tmp_path / "f")
    assert done == ["file", "rename", "folder"]
