"""Damaged and random checkpoints: each is read, or refused in one line that names it."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import given

from lit_models.runs.checkpoint_files import CheckpointFiles, read_checkpoint, seal
from tests.fuzz import mutated, read_or_refuse

pytestmark = pytest.mark.fuzz
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


def test_damaged_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    content = valid(path)
    assert read_or_refuse(read_checkpoint, path, content) is None

    @given(mutated([content], [b"PK\x05\x06", b"sha256:"]))
    def damaged(changed: bytes) -> None:
        assert (read_or_refuse(read_checkpoint, path, changed) is None) == (changed == content)

    damaged()


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
