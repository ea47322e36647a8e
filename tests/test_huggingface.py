"""No code of a hub checkpoint runs: neither modules that its configuration names, nor pickles in its weights."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from datamodules import TextDataModule
from datamodules.errors import UserError
from lit_models.huggingface import build_fresh, build_pretrained, checkpoint_labels

CANARY = """
from pathlib import Path
Path({touched!r}).write_text("the module of the checkpoint ran")
from transformers import BertConfig as Config, BertForSequenceClassification as Model, BertTokenizer as Words
"""


@pytest.fixture
def touched(tmp_path: Path) -> Path:
    """The file that a canary writes."""
    return tmp_path / "touched"


@pytest.fixture
def hostile(bert_checkpoint: Path, tmp_path: Path, touched: Path) -> Path:
    """A checkpoint whose configurations name a module in its folder for everything that Auto classes load."""
    folder = tmp_path / "hostile"
    shutil.copytree(bert_checkpoint, folder)
    (folder / "canary.py").write_text(CANARY.format(touched=str(touched)))
    names = {"AutoConfig": "canary.Config", "AutoModelForSequenceClassification": "canary.Model"}
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        content["auto_map"] = {**names, "AutoModel": "canary.Model", "AutoTokenizer": ["canary.Words", None]}
        if name == "config.json":
            content["model_type"] = "of_the_canary"
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("own_type", [True, False])
def test_modules_that_a_checkpoint_names_are_not_loaded(hostile: Path, touched: Path, own_type: bool) -> None:
    if not own_type:
        content = json.loads((hostile / "config.json").read_text())
        (hostile / "config.json").write_text(json.dumps({**content, "model_type": "bert"}))
    for load in (lambda: build_pretrained(str(hostile), 2), lambda: checkpoint_labels(str(hostile))):
        if own_type:
            with pytest.raises(UserError) as caught:
                load()
            assert "\n" not in str(caught.value)
        else:
            load()
        assert not touched.exists()


def test_a_tokenizer_of_a_checkpoint_loads_no_module(hostile: Path, touched: Path) -> None:
    content = json.loads((hostile / "config.json").read_text())
    (hostile / "config.json").write_text(json.dumps({**content, "model_type": "bert"}))
    TextDataModule(tokenizer=str(hostile), inputs=["a good film"]).spec()
    assert not touched.exists()


@pytest.mark.parametrize("kernel", ["evil/kernel", {"": "evil/kernel@main"}])
def test_a_kernel_of_the_hub_that_a_checkpoint_names_is_refused(
    bert_checkpoint: Path, tmp_path: Path, kernel: object
) -> None:
    """The library would download its code and run it."""
    folder = tmp_path / "kernel"
    shutil.copytree(bert_checkpoint, folder)
    content = json.loads((folder / "config.json").read_text())
    message = "^the checkpoint's attn_implementation is code of the hub, evil/kernel(@main)?, which is not run$"
    for hostile_config in ({"attn_implementation": kernel}, {"text_config": {"attn_implementation": kernel}}):
        (folder / "config.json").write_text(json.dumps(content | hostile_config))
        with pytest.raises(UserError, match=message):
            build_pretrained(str(folder), 2)
        with pytest.raises(UserError, match=message):  # as a checkpoint of Lightning keeps it
            build_fresh(content | hostile_config)


class Touch:
    """What pickle would call when it reads the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [True, False])
def test_pickled_weights_run_nothing(bert_checkpoint: Path, tmp_path: Path, touched: Path, legacy: bool) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(bert_checkpoint, folder)
    weights: dict[str, object] = {**load_file(folder / "model.safetensors"), "more": Touch(touched)}
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(weights, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError) as caught:
        build_pretrained(str(folder), 2)
    problem = f"the checkpoint {str(folder)!r} has pickled weights that hold more than tensors"
    assert str(caught.value) == f"{problem}, and is not loaded: use one with model.safetensors"
    assert not touched.exists()
