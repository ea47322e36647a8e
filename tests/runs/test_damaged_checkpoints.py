"""Damaged and random checkpoints: each is read, or refused in one line that names it."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import given

from datamodules.errors import MissingFileError, UserError
from lit_models.runs.checkpoint_files import (
    STRUCTURE,
    CheckpointFiles,
    epochs_done,
    read_checkpoint,
    seal,
)
from tests.fuzz import mutated, read_or_refuse

TOKENS = [
    b"ctorch\nFloatStorage\n",
    b"cos\nsystem\n",
    b"cbuiltins\neval\n",
    b"\x85R",
    b"\x94",
    b"h\x00",
    b"(",
    b"t",
    b"Q",
]


def valid(path: Path) -> bytes:
    """A small checkpoint."""
    content = {"state_dict": {"w": torch.arange(3.0), "b": torch.tensor(2)}, "config": "model: LitMLP\n", "epoch": 1}
    CheckpointFiles().save_checkpoint(content, path)
    return path.read_bytes()


@pytest.mark.fuzz
def test_damaged_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    content = valid(path)
    assert read_or_refuse(read_checkpoint, path, content) is None

    @given(mutated([content], [b"PK\x05\x06", b"sha256:"]))
    def damaged(changed: bytes) -> None:
        assert (read_or_refuse(read_checkpoint, path, changed) is None) == (changed == content)

    damaged()


@pytest.mark.fuzz
def test_hostile_values_with_a_good_checksum(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    content = valid(path)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    values = next(name for name in members if name.endswith("/data.pkl"))

    def sealed(changed: bytes) -> bytes:
        file = BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, changed if name == values else data)
        path.write_bytes(file.getvalue())
        seal(path)
        return path.read_bytes()

    assert read_or_refuse(read_checkpoint, path, sealed(members[values])) is None

    @given(mutated([members[values]], TOKENS))
    def hostile(changed: bytes) -> None:
        read_or_refuse(read_checkpoint, path, sealed(changed))

    hostile()


def renamed(path: Path, names: dict[str, str], values: bytes | None = None) -> None:
    """Writes the valid checkpoint with other names of members, and with other values beside the tensors."""
    with zipfile.ZipFile(BytesIO(valid(path))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            folder, _, inside = name.partition("/")
            changed = values if values is not None and inside == "data.pkl" else data
            archive.writestr(f"{folder}/{names.get(inside, inside)}", changed)
    seal(path)


@pytest.mark.parametrize("name", ["DATA.PKL", "Data.pkl", "data\\data.pkl", "x/../data.pkl", "é"])
def test_a_member_that_torch_could_take_for_another_is_refused(tmp_path: Path, name: str) -> None:
    """torch's reader ignores case: it would find 2 GB of zeros in `DATA.PKL`, and the checks would not."""
    path = tmp_path / "last.ckpt"
    renamed(path, {"data.pkl": name}, b"\x80\x02}cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85Rs.")
    with pytest.raises(UserError, match=r"that can be read safely: its members have unusual names$"):
        read_checkpoint(path)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.warns(UserWarning, match="Duplicate name"):
        renamed(path, {"byteorder": "data.pkl"})
    with pytest.raises(UserError, match="its members have unusual names"):
        read_checkpoint(path)


@pytest.mark.parametrize("part", list(STRUCTURE))
def test_a_part_of_another_type_is_refused_by_name(tmp_path: Path, part: str) -> None:
    path = tmp_path / "last.ckpt"
    for wrong in (None, b"x", torch.zeros(1)):
        torch.save({"state_dict": {}, part: wrong}, path)
        kind = type(wrong).__name__
        expected = f"its {part} is of type {kind}, expected {STRUCTURE[part].__name__}"
        with pytest.raises(UserError) as caught:
            read_checkpoint(path)
        assert str(caught.value) == f"{path} is a checkpoint of another program: {expected}"


@pytest.mark.parametrize("loops", [{}, {"fit_loop": 5}, {"fit_loop": {"epoch_progress": {"current": [1]}}}])
def test_epochs_are_counted_by_the_epoch_where_the_loops_say_nothing(loops: dict[str, object]) -> None:
    assert epochs_done({"loops": loops, "epoch": 2}) == 3  # it begins with 0
    progress = {"fit_loop": {"epoch_progress": {"current": {"processed": 7}}}}
    assert epochs_done({"loops": progress, "epoch": 2}) == 7


def test_a_missing_checkpoint_is_reported_with_those_in_its_folder(tmp_path: Path) -> None:
    for name in ("previous.ckpt", "last.ckpt", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(MissingFileError) as caught:
        read_checkpoint(tmp_path / "best.ckpt")
    assert str(caught.value) == f"no checkpoint {tmp_path / 'best.ckpt'}; its folder has last.ckpt, previous.ckpt"
