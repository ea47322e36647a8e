"""What holds for every model: the contract of `check_model`, and checkpoints that load in a bare process."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import lit_models
from lit_models import MODELS, LitTask
from lit_models.testing import MODEL_CHECKS, check_model
from lit_models.testing.examples import constructor_settings, make_inputs, quiet_trainer

SETTINGS: dict[str, list[dict[str, Any]]] = {
    name: import_module(f"tests.test_{module.rpartition('.')[2]}").SMALL for name, module in MODELS.items()
}
"""Small settings of each model, from its own test file."""


BARE_PROMPT = """
import sys
import torch
import lit_models
folder, names = sys.argv[1], sys.argv[2:]
for name in names:
    module = getattr(lit_models, name).load_from_checkpoint(f"{folder}/{name}.ckpt", weights_only=True).eval()
    with torch.no_grad():
        torch.save(module(torch.load(f"{folder}/{name}.inputs")), f"{folder}/{name}.outputs")
program = ("lit_models.cli", "lit_models.testing", "datamodules.base")
assert not [name for name in sys.modules if name.startswith(program)]
"""


@pytest.mark.parametrize(
    ("name", "settings"), [(name, settings) for name, variants in SETTINGS.items() for settings in variants]
)
def test_our_models_keep_the_contract(name: str, settings: dict[str, Any]) -> None:
    model = getattr(lit_models, name)
    report = check_model(model, settings=settings)
    wanted = {check.__name__ for check in MODEL_CHECKS} - (
        set() if "tokens" in model.accepts else {"padding_is_ignored"}
    )
    assert sorted(report.passed) == sorted(f"{check} [{kind}]" for check in wanted for kind in model.accepts)


@pytest.mark.slow
def test_every_checkpoint_gives_bit_identical_outputs_in_a_bare_process(tmp_path: Path) -> None:
    expected = {}
    for name in MODELS:
        model: type[LitTask] = getattr(lit_models, name)
        torch.manual_seed(0)
        module = model(**SETTINGS[name][0]).eval()
        kind: Any = min(model.accepts)
        inputs = make_inputs(kind, constructor_settings(model) | dict(module.hparams))
        trainer = quiet_trainer()
        trainer.strategy.connect(module)
        trainer.save_checkpoint(tmp_path / f"{name}.ckpt")
        torch.save(inputs, tmp_path / f"{name}.inputs")
        with torch.no_grad():
            expected[name] = module(inputs)
    command = [sys.executable, "-c", BARE_PROMPT, str(tmp_path), *MODELS]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        assert torch.equal(torch.load(tmp_path / f"{name}.outputs"), expected[name]), name
