"""Writes checkpoint files atomically, with a checksum inside, and verifies them before their content is used.

A checkpoint is a zip file of torch. Its SHA-256 is in the comment at the end of the zip file, so torch, Lightning and
zip tools can read it as usual.
"""

import hashlib
import io
import os
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor

from datamodules.errors import MissingFileError, UserError
from lit_models.runs.durable import replaced, save
from lit_models.runs.plain_values import plain_settings

MARK = b"sha256:"
SEAL_SIZE = len(MARK) + 64
MEMBER = re.compile(r"[ -.0-~]+(/\.?[a-z0-9_]+(\.pkl)?)+")
"""A name in the zip file as torch writes it: below one folder, in lower case. torch's reader ignores case, so it would
read `DATA.PKL` as `data.pkl`."""
STRUCTURE = {
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "hyper_parameters": dict,
    "datamodule_hyper_parameters": dict,
    "config": str,
    "resume": dict,
}
"""The types of the parts of a checkpoint, if it has them."""
END_OF_ZIP = b"PK\x05\x06"
LARGEST_PICKLE = 2**26
"""Maximum bytes of a checkpoint's values other than tensors: settings, counters, names."""
HYPER_PARAMETERS = {"hyper_parameters", "datamodule_hyper_parameters"}
ALLOWED = {
    "collections OrderedDict",
    "collections Counter",
    "collections defaultdict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch.nn.parameter Parameter",
    "torch Size",
    "torch device",
    "_codecs encode",
    "builtins set",
    "__builtin__ set",
    "builtins dict",
    "builtins int",
}
"""Names that a checkpoint may contain in addition to torch's types of numbers. They cannot run code, or allocate more
memory than the file has bytes."""


class CheckpointFiles(CheckpointIO):
    """Writes and reads the checkpoints of a Trainer."""

    constants: frozenset[str] | set[str] = frozenset()
    """Entries of the state_dict that may contain infinite numbers or NaN, such as a mask of minus infinity."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint durably, with its checksum, as plain data.

        Raises:
            UserError: a weight or an optimizer state is not finite, a part of the checkpoint is not plain data, or the
                file cannot be written.
        """
        del storage_options  # part of Lightning's interface
        check_finite(checkpoint, constants=self.constants)
        for key in HYPER_PARAMETERS & checkpoint.keys():
            checkpoint[key] = plain_settings(checkpoint[key])
        with replaced(Path(path)) as part:
            try:
                save(checkpoint, part)
                with zipfile.ZipFile(part) as archive:
                    _check_members(part, archive)
            except (UserError, pickle.PicklingError, AttributeError, TypeError) as error:
                if (place := unreadable_part(checkpoint)) is None:
                    raise
                raise _not_plain(*place) from error
            seal(part)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Verifies and reads a checkpoint; nothing in it is executed."""
        del weights_only  # always
        return read_checkpoint(Path(path), map_location=map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def with_checkpoint_files(given: Any) -> list[Any]:
    """The user's plugins, and ours for checkpoint files unless the user has another."""
    plugins = list(given) if isinstance(given, list) else [given] if given is not None else []
    return plugins if any(isinstance(p, CheckpointIO) for p in plugins) else [*plugins, CheckpointFiles()]


def check_finite(checkpoint: dict[str, Any], *, constants: Collection[str] = ()) -> None:
    """Checks that weights, buffers and optimizer states of a checkpoint are finite.

    Args:
        checkpoint: as Lightning saves it.
        constants: entries of the state_dict that need not be finite.

    Raises:
        UserError: a tensor is not finite; the message names it.
    """
    weights = {name: value for name, value in checkpoint.get("state_dict", {}).items() if name not in constants}
    states = {
        f"optimizer {i}, weight {number}": values
        for i, state in enumerate(checkpoint.get("optimizer_states", []))
        for number, values in state.get("state", {}).items()
    }
    for name, tensor in tensors_in(weights | states):
        if not is_finite(tensor):
            raise UserError(f"{name} has numbers that are not finite: nothing was saved, and the last checkpoint stays")


def tensors_in(values: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors in nested dicts, lists and tuples, with their places."""
    if isinstance(values, Tensor):
        yield name, values
    elif isinstance(values, dict | list | tuple):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from tensors_in(value, f"{name}, {key}" if name else str(key))


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers of a tensor are finite. Their sum is checked first, because that is faster."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def unreadable_part(content: dict[Any, Any], name: str = "") -> tuple[str, Any] | None:
    """The name and the value of the first part of a checkpoint that could not be read again; None if there is none."""
    for key, value in content.items():
        if _is_readable(value):
            continue
        place = f"{name}.{key}" if name else str(key)
        return (unreadable_part(value, place) if isinstance(value, dict) else None) or (place, value)
    return None


def _is_readable(value: Any) -> bool:
    file = io.BytesIO()
    try:
        torch.save(value, file)
        with zipfile.ZipFile(file) as archive:
            _check_names(Path("part"), archive)
    except (UserError, pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _not_plain(name: str, value: Any) -> UserError:
    text = f"the checkpoint's {name} holds a {type(value).__name__}, which could not be read again safely"
    return UserError(f"{text}: keep numbers, texts, tensors, lists and dicts in it; nothing was saved")


def seal(path: Path) -> None:
    """Writes the SHA-256 of a zip file into its comment, which must be empty.

    The checksum covers all bytes before the comment, including the length of the comment.
    """
    with path.open("r+b") as file:
        file.seek(-22, os.SEEK_END)
        assert file.read(4) == END_OF_ZIP, "torch writes a zip file without a comment"
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", SEAL_SIZE))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, os.SEEK_END)
        file.write(MARK + digest.encode())


def verify(path: Path) -> bool:
    """Checks that a zip file is undamaged: by the SHA-256 in its comment, or else by the checksums of its members.

    Returns:
        Whether the comment contains a SHA-256.

    Raises:
        UserError: the file was changed or truncated.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if size > SEAL_SIZE:
            file.seek(-SEAL_SIZE, os.SEEK_END)
            comment = file.read()
            if comment.startswith(MARK):
                file.seek(0)
                if _digest(file, size - SEAL_SIZE) != comment[len(MARK) :].decode("latin-1"):
                    raise UserError(f"{path} is damaged: its content is not what was written")
                return True
        file.seek(max(0, size - 22))
        if file.read(4) != END_OF_ZIP:
            raise UserError(f"{path} is damaged, or not a checkpoint: it does not end as one")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    if damaged is not None:
        raise UserError(f"{path} is damaged: the checksum of {damaged} is wrong")
    return False


def _digest(file: IO[bytes], size: int) -> str:
    """SHA-256 of the next `size` bytes of a file."""
    digest = hashlib.sha256()
    while size > 0 and (chunk := file.read(min(size, 2**20))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuses members that could take more memory than the file has bytes.

    Raises:
        UserError: members are compressed or overlap, have names that zip readers could read differently, or contain
            names that `_check_names` refuses.
    """
    members = archive.infolist()
    names = {m.orig_filename.lower() for m in members}
    strange = [m.orig_filename for m in members if not MEMBER.fullmatch(m.orig_filename)]
    if strange or len(names) < len(members):
        raise UserError(f"{path} is not a checkpoint that can be read safely: its members have unusual names")
    stored = all(m.compress_type == zipfile.ZIP_STORED for m in members)
    if not stored or sum(m.file_size for m in members) > path.stat().st_size:
        raise UserError(f"{path} is not a checkpoint that can be read safely: it is compressed")
    _check_names(path, archive)


def _check_names(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuses class and function names that a checkpoint does not need.

    Raises:
        UserError: there is such a name, or too many values.
    """
    for member in archive.infolist():
        if not member.filename.endswith("/data.pkl"):
            continue
        if member.file_size > LARGEST_PICKLE:
            raise UserError(
                f"{path} has {member.file_size:,} bytes of values beside tensors, at most {LARGEST_PICKLE:,}"
            )
        for operation, argument, _ in pickletools.genops(archive.read(member)):
            if operation.name == "GLOBAL" and not _allowed(str(argument)):
                name = str(argument).replace(" ", ".")
                raise UserError(f"{path} is not a checkpoint that can be read safely: it contains {name}")
            if operation.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"):
                raise UserError(f"{path} is not a checkpoint that can be read safely: it builds objects")


def _allowed(name: str) -> bool:
    """Whether a checkpoint may contain a name: one of `ALLOWED`, or a type of numbers of torch."""
    module, _, attribute = name.partition(" ")
    if module != "torch":
        return name in ALLOWED
    return name in ALLOWED or attribute.endswith("Storage") or isinstance(getattr(torch, attribute, None), torch.dtype)


def read_checkpoint(path: Path, *, map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, on the CPU unless `map_location` is given.

    The file is verified first, and nothing in it is executed. Reading takes at most three times the file's size in
    memory.

    Raises:
        MissingFileError: the file does not exist.
        UserError: the file is damaged, or not a Lightning checkpoint.
    """
    if not path.is_file():
        raise MissingFileError(_missing(path))
    try:
        verify(path)
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
        content = torch.load(path, map_location=map_location, weights_only=True)
    except UserError:
        raise
    except Exception as error:  # for files of other programs, torch's reader raises many types of errors
        raise _unreadable(path, error) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{path} is not a Lightning checkpoint: it holds no state_dict")
    for name, kind in STRUCTURE.items():
        if name in content and not isinstance(content[name], kind):
            got = f"its {name} is of type {type(content[name]).__name__}, expected {kind.__name__}"
            raise UserError(f"{path} is a checkpoint of another program: {got}")
    return cast(dict[str, Any], content)


def _missing(path: Path) -> str:
    """The message for a checkpoint that does not exist, with those that do."""
    run = path if path.is_dir() else path.parent
    for folder in (run, run / "checkpoints"):
        if others := ", ".join(sorted(file.name for file in folder.glob("*.ckpt"))):
            where = f"{folder} has" if folder != path.parent else "its folder has"
            return f"{f'{path} is a folder' if path.is_dir() else f'no checkpoint {path}'}; {where} {others}"
    return f"{path} is a folder, expected a checkpoint" if path.is_dir() else f"no checkpoint {path}"


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Number of completed epochs in a checkpoint."""
    part: Any = checkpoint
    for name in ("loops", "fit_loop", "epoch_progress", "current", "processed"):
        part = part.get(name) if isinstance(part, dict) else None
    return part if isinstance(part, int) else int(checkpoint.get("epoch", -1)) + 1


def _unreadable(path: Path, error: Exception) -> UserError:
    if isinstance(error, PermissionError):
        return UserError(f"{path} cannot be read: {error.strerror}")
    return UserError(f"{path} is damaged, or not a checkpoint that can be read safely")
