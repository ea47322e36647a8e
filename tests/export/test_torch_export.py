"""Programs of `torch.export`: they run without this package, for any number of samples and any length."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_models import LitBERT, LitCNN, LitMLP, LitRNN, LitTransformer
from lit_models.export.torch_export import write
from tests.export.sources import SIZES, predicted, source_of, texts

TEXT: dict[str, Any] = {"vocab_size": 30, "num_classes": 3}
NETWORKS: dict[str, Callable[[], Any]] = {
    "rnn": lambda: LitRNN(**TEXT, cell="simple", embedding_size=4, hidden_size=5, bidirectional=True),
    "lstm": lambda: LitRNN(**TEXT, cell="lstm", embedding_size=4, hidden_size=5, mask_padding=True),
    "gru": lambda: LitRNN(**TEXT, cell="gru", embedding_size=4, hidden_size=5, bidirectional=True, upper_sizes=[3]),
    "transformer": lambda: LitTransformer(**TEXT, max_length=23, width=8, num_heads=2, num_layers=1),
    "bert": lambda: LitBERT(**TEXT, max_length=23, hidden_size=8, num_layers=1),
}


LONG = ("rnn", "bert")  # other tests export such networks, too
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in NETWORKS]


@pytest.mark.parametrize("name", NAMES)
def test_a_text_of_any_length_gives_the_same_outputs(name: str, tmp_path: Path) -> None:
    source = source_of(NETWORKS[name]())
    first, second, _ = write(source, tmp_path / "model")
    assert first.startswith("note: real samples are not at hand (the checkpoint has no data), so random inputs are")
    assert second.startswith("compared with the model on 32 random samples and ")
    program = torch.export.load(tmp_path / "model" / "model.pt2")
    operations = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [each for each in operations if "lit_models" in each]
    for batch, length in SIZES:
        found = program.module()(texts(batch, length))
        for ours, theirs in zip(found, predicted(source.module, texts(batch, length)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)  # the order of sums in float32


@pytest.mark.slow
def test_a_new_interpreter_without_this_package_runs_the_file(tmp_path: Path) -> None:
    source = source_of(NETWORKS["gru"]())
    write(source, tmp_path / "model")
    script = (
        "import sys, json, torch; about = {'metadata.json': ''}; sys.modules['lit_models'] = None\n"
        "program = torch.export.load('model.pt2', extra_files=about).module()\n"
        f"outputs = program(torch.tensor({texts(3, 4).tolist()}))\n"
        "print(json.dumps([json.loads(about['metadata.json'])['class_names'], outputs[0].tolist()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path / "model",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names, probabilities = json.loads(done.stdout)
    assert names == ["0", "1", "2"]
    torch.testing.assert_close(torch.tensor(probabilities), predicted(source.module, texts(3, 4))[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "module",
    [LitCNN(num_channels=3, image_size=[20, 18], padding="same"), LitMLP(num_features=12, num_classes=2).double()],
    ids=["cnn", "mlp"],
)
def test_any_number_of_samples_gives_the_same_outputs(module: Any, tmp_path: Path) -> None:
    source = source_of(module)
    write(source, tmp_path / "model")
    program = torch.export.load(tmp_path / "model" / "model.pt2").module()
    for batch in (1, 2, 33):
        inputs = torch.rand(batch, *source.samples.tensors["inputs"].shape[1:], dtype=next(module.parameters()).dtype)
        for ours, theirs in zip(program(inputs), predicted(module, inputs), strict=True):
            assert ours.dtype == theirs.dtype
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_numbers_have_one_output(tmp_path: Path) -> None:
    source = source_of(LitMLP(num_features=4, task="regression", num_targets=2, target_names=["a", "b"]))
    write(source, tmp_path / "model")
    outputs = torch.export.load(tmp_path / "model" / "model.pt2").module()(torch.ones(3, 4))
    assert [output.shape for output in outputs] == [(3, 2)]
    assert "    print(dict(zip(names, row)))" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
