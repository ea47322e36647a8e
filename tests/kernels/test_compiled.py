"""Compilation: the cache on disk, and what happens without a cache, without Numba and without a compilation."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_models import kernels
from lit_models.kernels import compiled
from lit_models.kernels.recurrence import SimpleRNN


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No loop is loaded before or after a test."""
    kernels.choose("auto")
    compiled.time_loop.cache_clear()
    yield
    kernels.choose("auto")
    compiled.time_loop.cache_clear()


def loops() -> Any:
    """The loops as in a new process: nothing is compiled."""
    return importlib.reload(importlib.import_module("lit_models.kernels.loops.recurrence"))


def loads(function: Any) -> int:
    """How often a function was read from the cache."""
    return sum(function.stats.cache_hits.values())


def layer_equals_pytorchs() -> None:
    torch.manual_seed(0)
    layer, reference = SimpleRNN(4, 5), nn.RNN(4, 5)
    layer.load_state_dict(reference.state_dict())
    inputs = torch.randn(2, 3, 4)
    torch.testing.assert_close(layer(inputs)[0], reference(inputs)[0], rtol=0, atol=1e-6)  # float32, numbers below 1


@pytest.mark.slow
def test_machine_code_is_read_from_the_cache_and_made_again_if_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = compiled.cache_folder()
    assert folder is not None
    assert folder.parent == tmp_path
    first = compiled.compiled("RNN_TANH", loops(), folder)
    assert loads(first.forward) == 0
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) == 4  # code and index of two passes
    again = compiled.compiled("RNN_TANH", loops(), folder)
    assert loads(again.forward) == loads(again.backward) == 1
    for path in files:
        path.write_bytes(path.read_bytes()[:40])
    layer_equals_pytorchs()
    assert kernels.used() == {"fast": ["SimpleRNN"], "plain": {}}


def test_the_cache_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", tmp_path.joinpath)
    folder = compiled.cache_folder()
    assert folder is not None
    assert folder.parent == tmp_path / "lit-models" / "kernels"
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_machine_code_that_others_could_change_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = compiled.cache_folder()
    assert folder is not None
    folder.chmod(mode)
    assert compiled.cache_folder() is None


def test_without_a_place_for_the_cache_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))  # cannot contain a folder
    assert compiled.cache_folder() is None
    layer_equals_pytorchs()
    assert kernels.used() == {"fast": ["SimpleRNN"], "plain": {}}


def test_without_numba_pytorchs_layers_compute_and_say_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("recurrence", "tiles", "vectors"):
        monkeypatch.delitem(sys.modules, f"lit_models.kernels.loops.{name}", raising=False)
    for name in ("numba", "llvmlite"):
        monkeypatch.setitem(sys.modules, name, None)
    layer_equals_pytorchs()
    layer_equals_pytorchs()
    found = kernels.used()
    assert found["fast"] == []
    (reason,) = found["plain"]["SimpleRNN"]
    assert reason.startswith("its loop cannot be compiled (ModuleNotFoundError: import of ")
    assert capsys.readouterr().err == f"The fast path of a layer is off: {reason}\n"


def test_a_failed_compilation_is_told_and_pytorchs_layers_compute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("no such processor\nand a second line")

    monkeypatch.setattr(compiled, "compiled", fail)
    layer_equals_pytorchs()
    reason = "its loop cannot be compiled (RuntimeError: no such processor)"
    assert kernels.used() == {"fast": [], "plain": {"SimpleRNN": [reason]}}
    assert capsys.readouterr().err == f"The fast path of a layer is off: {reason}\n"
