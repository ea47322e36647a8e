"""Every config that comes with the program runs, on tiny data where its own has to be fetched."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from lit_models.cli import registry

from .conftest import WORDS, Run

FOLDER = Path(__file__).parent.parent.parent / "configs"
CONFIGS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OVERLAYS = sorted(path.stem for path in FOLDER.glob("overlays/*.yaml"))
DIGITS = ("fit", "--config", "digits_cnn", "--config", "smoke", "--trainer.accelerator", "cpu")


def test_the_globs_find_every_config() -> None:
    assert len(CONFIGS) == 11
    assert OVERLAYS == ["bf16", "ddp", "debug", "gpu", "smoke"]
    assert sorted(c.path for c in registry.configs()) == sorted(FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_config_begins_with_a_sentence_about_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# .{30,}[.?]", first), first


@pytest.fixture
def flags(colours: Path, reviews: Path, bert_checkpoint: Path) -> dict[str, list[str]]:
    """What makes each dataset small and local, by the first word of the config's name."""
    return {
        "digits": [],
        "imdb": ["--data.data_dir", str(reviews)],
        "mnist": ["--data.dataset", "digits"],
        "text": ["--data.train_file", str(colours), "--data.test_file", str(colours)],
        "xor": ["--data.passes", "2"],
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_trains_and_tests(name: str, run: Run, flags: dict[str, list[str]], bert_checkpoint: Path) -> None:
    small = flags[name.split("_")[0]]
    if name == "text_bert":
        small += ["--model.checkpoint", str(bert_checkpoint), "--data.class_names", json.dumps(sorted(WORDS))]
    status, _, err = run("fit", "--config", name, "--config", "smoke", *small, "--trainer.accelerator", "cpu")
    assert status == 0, err
    results = json.loads(Path(f"runs/{name}/version_0/results.json").read_text())
    config = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert results["model"] == config["model"]["class_path"]
    assert results["data"] == config["data"]["class_path"]
    assert results["test_weights"] == config.get("test_weights", "last")
    assert results["epochs"] == 1
    assert 1 <= results["steps"] <= 2
    assert {"train/loss", "train/acc", "test/loss", "test/acc"} <= set(results["metrics"])
    assert Path(f"runs/{name}/version_0/checkpoints/last.ckpt").is_file()


@pytest.fixture
def left_alone() -> Iterator[None]:
    """Closes the process group that the strategy ddp leaves open, and takes back what it set in the environment."""
    before = dict(os.environ)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("left_alone")
@pytest.mark.parametrize(("overlay", "more"), [("debug", ()), ("ddp", ("--trainer.devices", "1"))])
def test_an_overlay_changes_no_number(overlay: str, more: tuple[str, ...], run: Run) -> None:
    assert run(*DIGITS)[0] == 0
    status, _, err = run(*DIGITS, "--config", overlay, *more)
    assert status == 0, err
    plain, changed = (json.loads(Path(f"runs/digits_cnn/version_{i}/results.json").read_text()) for i in range(2))
    assert changed["metrics"] == plain["metrics"]


def test_the_debug_overlay_stops_at_the_operation_that_gives_no_number(run: Run) -> None:
    broken = (*DIGITS, "--model.optimizer", "sgd", "--model.lr", "1e30")
    assert "the loss is nan in epoch 1, batch 2" in run(*broken)[2]  # without the overlay, at the layer
    with pytest.raises(RuntimeError, match="returned nan values"):
        run(*broken, "--config", "debug")


def test_bf16_trains_in_bfloat16_and_keeps_its_weights_in_float32(run: Run) -> None:
    status, _, err = run(*DIGITS, "--config", "bf16")
    assert status == 0, err
    results = json.loads(Path("runs/digits_cnn/version_0/results.json").read_text())
    assert results["precision"] == "bf16-mixed"
    state = torch.load("runs/digits_cnn/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert {weight.dtype for weight in state.values()} == {torch.float32}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_overlay_is_refused_without_a_gpu(run: Run) -> None:
    status, out, err = run("fit", "--config", "digits_cnn", "--config", "gpu", "--config", "smoke")
    assert status == 2
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert "gpu" in line.lower() or "cuda" in line.lower()
    assert "epoch" not in out
    assert not Path("runs").exists()
