"""What holds for every model: gradients everywhere, plain hyper-parameters, checkpoints that load anywhere, no loss in
the network."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from lit_models import catalog
from lit_models.classifier import LitClassifier

SETTINGS: dict[str, dict[str, Any]] = {
    "LitBERT": {"vocab_size": 20, "max_length": 8, "num_classes": 3, "hidden_size": 8, "num_layers": 1},
    "LitCNN": {"num_channels": 1, "image_size": 18, "num_classes": 3},
    "LitMLP": {"num_features": 4, "num_classes": 3, "hidden_sizes": [5, 6]},
    "LitRNN": {"vocab_size": 20, "num_classes": 3, "embedding_size": 5, "hidden_size": 6},
    "LitTransformer": {"vocab_size": 20, "max_length": 8, "num_classes": 3, "width": 8, "num_heads": 2},
}
MODELS = catalog.model_names()

BARE_PROMPT = """
import sys
import torch
import lit_models
folder, names = sys.argv[1], sys.argv[2:]
for name in names:
    module = getattr(lit_models, name).load_from_checkpoint(f"{folder}/{name}.ckpt", weights_only=True).eval()
    with torch.no_grad():
        torch.save(module(torch.load(f"{folder}/{name}.inputs")), f"{folder}/{name}.outputs")
assert "datamodules" not in sys.modules and "lit_models.cli" not in sys.modules
"""


def build(name: str, **changes: Any) -> LitClassifier:
    """A small model with random weights that are the same each time."""
    entry = next(entry for entry in catalog.models() if entry.name == name)
    torch.manual_seed(0)
    made = getattr(importlib.import_module(entry.module), name)(**SETTINGS[name] | changes)
    return cast(LitClassifier, made)


def sample_inputs(name: str) -> Tensor:
    """Four samples of a kind that the model accepts; tokens with padding (0) behind the first row's."""
    entry = next(entry for entry in catalog.models() if entry.name == name)
    generator = torch.Generator().manual_seed(1)
    if "tokens" in entry.kinds:
        tokens = torch.randint(1, 20, (4, 8), generator=generator)
        tokens[0, 5:] = 0
        return tokens
    return torch.rand((4, 4) if "features" in entry.kinds else (4, 1, 18, 18), generator=generator)


def test_every_model_of_the_catalog_is_tested_here() -> None:
    assert set(SETTINGS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_every_trainable_parameter_gets_a_finite_gradient(name: str) -> None:
    module = build(name)
    losses = module.sample_losses(module(sample_inputs(name)), torch.tensor([0, 1, 2, 0]))
    assert losses.shape == (4,)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    trained = [(n, w) for n, w in module.named_parameters() if w.requires_grad]  # an RNN's second biases are not Keras'
    for parameter, weight in trained:
        assert weight.grad is not None, parameter
        assert weight.grad.isfinite().all(), parameter
        assert weight.grad.any(), parameter


@pytest.mark.parametrize("name", MODELS)
def test_two_classes_are_trained_too_and_probabilities_sum_to_one(name: str) -> None:
    module = build(name, num_classes=2).eval()
    with torch.no_grad():
        logits = module(sample_inputs(name))
        scores = module.probabilities(logits)
    assert scores.shape == (4, 2)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(4), rtol=0, atol=1e-6)  # float32 rounding
    assert module.sample_losses(logits, torch.tensor([0, 1, 1, 0])).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_hyper_parameters_are_plain_values_and_build_the_model_again(name: str) -> None:
    module = build(name)
    plain = json.loads(json.dumps(dict(module.hparams)))
    again = type(module)(**plain)
    shapes = {key: weight.shape for key, weight in module.state_dict().items()}
    assert {key: weight.shape for key, weight in again.state_dict().items()} == shapes


@pytest.mark.parametrize("name", MODELS)
def test_the_network_has_no_loss_and_trains_in_a_bare_loop(name: str) -> None:
    module = build(name)
    network = module.network
    for part in network.modules():
        assert not isinstance(part, (L.LightningModule, Metric, nn.modules.loss._Loss)), type(part)
    owned = [n for n, _ in module.named_parameters() if not n.startswith("network.")]
    assert not owned, "every weight belongs to the network"
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    loss = F.cross_entropy(network(sample_inputs(name)), torch.tensor([0, 1, 2, 0]))
    loss.backward()  # type: ignore[no-untyped-call]
    before = [weight.detach().clone() for weight in network.parameters()]
    optimizer.step()
    assert not all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_every_checkpoint_gives_bit_identical_outputs_in_a_bare_process(tmp_path: Path) -> None:
    expected = {}
    for name in MODELS:
        module = build(name).eval()
        trainer = L.Trainer(logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")
        trainer.strategy.connect(module)
        trainer.save_checkpoint(tmp_path / f"{name}.ckpt")
        torch.save(sample_inputs(name), tmp_path / f"{name}.inputs")
        with torch.no_grad():
            expected[name] = module(sample_inputs(name))
    command = [sys.executable, "-c", BARE_PROMPT, str(tmp_path), *MODELS]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        assert torch.equal(torch.load(tmp_path / f"{name}.outputs"), expected[name]), name
