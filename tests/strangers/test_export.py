"""`export` of a stranger's modules, and one line about those that cannot be exported."""

import re

import pytest
import torch

from .conftest import Stranger


def trained(stranger: Stranger, name: str) -> str:
    """The checkpoint of a short training."""
    stranger.has("sequences.py")
    stranger.succeeds("fit", "--model", f"sequences.{name}", "--data", "sequences.Words", "--trainer.max_epochs=1")
    return f"runs/{name}-Words/version_0/checkpoints/last.ckpt"


def test_a_module_of_ones_own_takes_any_length(stranger: Stranger) -> None:
    checkpoint = trained(stranger, "Tagger")
    out = stranger.succeeds("export", "--format", "torch", "--ckpt_path", checkpoint)
    assert out.startswith("compared with the model on 8 test samples and 8 batches of other sizes and lengths, in ")
    folder = stranger.folder / "runs" / "Tagger-Words" / "version_0" / "torch"
    program = torch.export.load(folder / "model.pt2").module()
    states, score = program(torch.ones(3, 11, dtype=torch.int64))
    assert (states.shape, score.shape) == ((3, 11, 10), (3,))
    assert "states, score = (" in (folder / "README.md").read_text(encoding="utf-8")
    out = stranger.succeeds("export", "--format", "safetensors", "--ckpt_path", checkpoint)
    assert out.startswith("11 tensors with ")


def test_code_that_depends_on_numbers_is_named_with_its_line(stranger: Stranger) -> None:
    line = stranger.refused("export", "--format", "torch", "--ckpt_path", trained(stranger, "Branching"))
    reason = "what its code does depends on the numbers in a tensor"
    assert line.startswith(f"error: Branching cannot be traced as a graph: {reason}, at ")
    assert line.endswith(' sequences.py:52: if outputs["score"].mean() > 0:')


def test_an_operation_that_onnx_does_not_have_is_named(stranger: Stranger) -> None:
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    line = stranger.refused("export", "--format", "onnx", "--ckpt_path", trained(stranger, "Exotic"))
    expected = r"error: Exotic cannot be written as ONNX: the operation \w+\.bessel_j0 has no counterpart in ONNX"
    assert re.fullmatch(expected, line)
    assert not (stranger.folder / "runs" / "Exotic-Words" / "version_0" / "onnx").exists()
