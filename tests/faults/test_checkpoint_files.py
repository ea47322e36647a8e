"""Checkpoint files under faults: kills while saving, full disks, flipped bits, cut files, files that ask for memory."""

import os
import random
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch

from datamodules.errors import UserError
from lit_models.runs.checkpoint_files import CheckpointFiles, read_checkpoint, verify
from lit_models.runs.durable import remove_parts
from tests.strangers.conftest import Stranger

from .conftest import Faults

SAVER = Path(__file__).parent / "saver.py"
DURABLE = "A checkpoint is whole, or refused by name"
BOUNDED = "Reading a checkpoint takes no more memory than three times the file"


def saved(path: Path, **content: object) -> bytes:
    """A checkpoint of 40 kB; returns its bytes."""
    weights = {"a": torch.arange(5000.0), "b": torch.arange(5000)}
    CheckpointFiles().save_checkpoint({"state_dict": weights, "epoch": 1, **content}, path)
    return path.read_bytes()


def refused(path: Path) -> bool:
    """Whether a file is refused with its name, on one line."""
    try:
        read_checkpoint(path)
    except UserError as error:
        return str(path) in str(error) and "\n" not in str(error)
    return False


def test_a_checkpoint_comes_back_and_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    saved(path)
    assert verify(path)
    weights = read_checkpoint(path)["state_dict"]
    torch.testing.assert_close(weights["a"], torch.arange(5000.0), rtol=0, atol=0)
    torch.testing.assert_close(torch.load(path, weights_only=True)["state_dict"]["b"], torch.arange(5000))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    assert oct(path.stat().st_mode & 0o777) == oct(0o666 & ~current_umask())


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_flipped_bit_is_noticed(tmp_path: Path, faults: Faults) -> None:
    path = tmp_path / "last.ckpt"
    content, generator = saved(path), random.Random(0)
    # The places at the end, where the checksum is, in every run; then places anywhere.
    places = [8 * len(content) - 1 - i for i in range(8 * 100)][:: 8 if faults.report is None else 1]
    places += [generator.randrange(8 * len(content)) for _ in range(200)]
    kept = 0
    for place in places:
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        kept += refused(path)
    faults.record(DURABLE, "one flipped bit", tried=len(places), kept=kept)


def test_a_cut_file_is_noticed(tmp_path: Path, faults: Faults) -> None:
    path = tmp_path / "last.ckpt"
    content = saved(path)
    kept = 0
    for percent in range(100):
        path.write_bytes(content[: len(content) * percent // 100])
        kept += refused(path)
    faults.record(DURABLE, "a file that was cut at each percent", tried=100, kept=kept)


def test_a_flipped_bit_in_a_file_of_another_program_is_noticed_by_its_zip(tmp_path: Path) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": {"a": torch.arange(5000.0)}}, path)
    assert not verify(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other.ckpt is damaged: the checksum of .*data/0 is wrong"):
        read_checkpoint(path)


def test_a_kill_while_saving_loses_no_good_checkpoint(stranger: Stranger, faults: Faults) -> None:
    generator = random.Random(1)
    tries, kept = faults.sample(list(range(60)), 4), 0
    for i in tries:
        folder = stranger.folder / str(i)
        folder.mkdir()
        done = stranger.python(str(SAVER), str(folder), str(generator.uniform(0.05, 0.4)))
        assert done.status == -9, done.err
        count = int((folder / "saved.txt").read_text() or 0) if (folder / "saved.txt").exists() else 0
        if not count:  # killed in the first save
            kept += not (folder / "last.ckpt").exists() or verify(folder / "last.ckpt")
            continue
        number = int(read_checkpoint(folder / "last.ckpt")["state_dict"]["w"][0])
        before = folder / "previous.ckpt"
        kept += number in (count, count + 1) and (count < 3 or verify(before))
        remove_parts(folder)
        assert {path.name for path in folder.iterdir()} <= {"last.ckpt", "previous.ckpt", "saved.txt"}
    faults.record(DURABLE, "SIGKILL at a random moment while saving", tried=len(tries), kept=kept)


FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from datamodules.errors import UserError
from lit_models.runs.checkpoint_files import CheckpointFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in range(0, 200_000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        CheckpointFiles().save_checkpoint({"state_dict": {"w": torch.zeros(100_000)}}, Path("last.ckpt"))
    except UserError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(error)
"""


def test_a_file_that_does_not_fit_on_the_disk_leaves_the_last_one(stranger: Stranger, faults: Faults) -> None:
    content = saved(stranger.folder / "last.ckpt")
    stranger.writes("full.py", FULL)
    done = stranger.python("full.py")
    assert done.status == 0, done.err
    line = "last.ckpt cannot be written: the file is too large; the file that was there is unchanged"
    kept = done.out.splitlines().count(line)
    assert (stranger.folder / "last.ckpt").read_bytes() == content
    assert sorted(path.name for path in stranger.folder.iterdir()) == ["full.py", "last.ckpt"]
    faults.record(DURABLE, "no room for the file, at ten sizes", tried=10, kept=kept)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/last.ckpt cannot be written: (Not a directory|File exists)"):
        CheckpointFiles().save_checkpoint({"state_dict": {}}, tmp_path / "file" / "last.ckpt")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"state_dict": {"w": torch.tensor([1.0, torch.nan])}}, "w"),
        ({"state_dict": {"w": torch.tensor([-torch.inf, torch.inf])}}, "w"),
        (
            {"state_dict": {}, "optimizer_states": [{"state": {0: {"exp_avg": torch.tensor([torch.nan])}}}]},
            "optimizer 0, weight 0, exp_avg",
        ),
        (
            {
                "state_dict": {},
                "optimizer_states": [{"state": {3: {"old_dirs": [torch.ones(1), torch.tensor(torch.inf)]}}}],
            },
            "optimizer 0, weight 3, old_dirs, 1",
        ),
        ({"state_dict": {"w": torch.tensor([complex(1, torch.nan)])}}, "w"),
    ],
)
def test_a_number_that_is_not_finite_is_not_saved(tmp_path: Path, content: dict[str, object], name: str) -> None:
    before = saved(tmp_path / "last.ckpt")
    expected = f"{name} has numbers that are not finite: nothing was saved, and the last checkpoint stays"
    with pytest.raises(UserError, match=expected):
        CheckpointFiles().save_checkpoint(content, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_large_finite_numbers_are_saved(tmp_path: Path) -> None:
    # Their sum overflows, but each of them is finite.
    CheckpointFiles().save_checkpoint({"state_dict": {"w": torch.full((4,), 3e38)}}, tmp_path / "last.ckpt")


BIG = b"\x8a\x05" + (4 * 10**9).to_bytes(5, "little")
STORAGE = b"ctorch\nFloatStorage\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage" + STORAGE + b"X\x01\0\0\x000X\x03\0\0\0cpu"
BOMBS = {
    "a tensor by its size": b"ctorch\nTensor\n" + BIG + b"\x85R",
    "a tensor type by its size": b"ctorch\nFloatTensor\n" + BIG + b"\x85R",
    "bytes by their number": b"cbuiltins\nbytearray\n" + BIG + b"\x85R",
    "a storage by its size": STORAGE + BIG + b"\x85R",
    "a tensor larger than its bytes": TENSOR + BIG + b"tQK\0(" + BIG + b"t(K\x01t\x89ccollections\nOrderedDict\n)RtR",
    "a command": b"cos\nsystem\nX\x04\0\0\0true\x85R",
    "a command by another way": b"cbuiltins\neval\nX\x01\0\0\x001\x85R",
}


def archive(*, values: bytes, compression: int = zipfile.ZIP_STORED, data: bytes = b"1234") -> bytes:
    """A file as torch writes it."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", compression) as content:
        content.writestr("x/data.pkl", values)
        content.writestr("x/byteorder", "little")
        content.writestr("x/version", "3\n")
        content.writestr("x/data/0", data)
    return file.getvalue()


READ = """
import resource, sys, time
from pathlib import Path
from datamodules.errors import UserError
from lit_models.runs.checkpoint_files import read_checkpoint
for name in sys.argv[1:]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        read_checkpoint(Path(name))
    except UserError as error:
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((after - before) // 1024, time.monotonic() - start, error)
"""


def test_a_file_that_asks_for_memory_gets_none(stranger: Stranger, faults: Faults) -> None:
    contents = {name: archive(values=b"\x80\x02" + values + b".") for name, values in BOMBS.items()}
    zeros = bytes(64 * 2**20)
    contents["compressed zeros"] = archive(values=b"\x80\x02}.", compression=zipfile.ZIP_DEFLATED, data=zeros)
    contents["overlapping members"] = overlapping(archive(values=b"\x80\x02}.", data=bytes(1000)))
    for i, content in enumerate(contents.values()):
        (stranger.folder / f"{i}.ckpt").write_bytes(content)
    stranger.writes("read.py", READ)
    done = stranger.python("read.py", *(f"{i}.ckpt" for i in range(len(contents))))
    lines = [line.split(maxsplit=2) for line in done.out.splitlines()]
    kept = sum(int(megabytes) < 30 and float(seconds) < 2 for megabytes, seconds, _ in lines)
    assert all(text.startswith(f"{i}.ckpt is ") for i, (_, _, text) in enumerate(lines)), done.out
    faults.record(BOUNDED, "a small file that asks for gigabytes, or runs a command", tried=len(contents), kept=kept)


def overlapping(content: bytes) -> bytes:
    """The same file with a directory in which the last member claims a large size."""
    changed = bytearray(content)
    entry = changed.rfind(b"PK\x01\x02")
    struct.pack_into("<II", changed, entry + 20, 2**31, 2**31)
    return bytes(changed)
