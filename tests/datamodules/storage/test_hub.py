"""Checkpoints and datasets of the hub: without it, one line says what to do, soon."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.hub import checkpoint_folder, dataset_splits


def test_a_dataset_without_library_or_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        UserError, match=r"a dataset of the hub needs the package datasets: pip install 'lit-models\[hub\]'"
    ):
        dataset_splits("some/set")

    monkeypatch.undo()
    start = time.perf_counter()
    with pytest.raises(
        MissingFileError, match=r"cannot get the dataset 'some/set': no network, or no such name"
    ) as caught:
        dataset_splits("some/set")
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 20


def test_a_name_without_network_fails_at_once_and_says_what_to_do() -> None:
    start = time.perf_counter()
    with pytest.raises(
        MissingFileError, match=r"'bert-base-uncased': no network, or no such name .*put config.json, the"
    ):
        checkpoint_folder("bert-base-uncased")
    assert time.perf_counter() - start < 20


def test_a_folder_is_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert checkpoint_folder(str(tmp_path / "mine")) == checkpoint_folder("~/mine") == tmp_path / "mine"


@pytest.mark.parametrize("name", ["./none", "/none/at/all", "~/none", "some/long/path", " "])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(name: str) -> None:
    needed = "put config.json, the tokenizer files and the weights in a folder and give that folder"
    with pytest.raises(MissingFileError) as caught:
        checkpoint_folder(name)
    assert str(caught.value) == f"no checkpoint folder {name!r}: {needed}"


@pytest.mark.parametrize("first", ["import huggingface_hub", "import datamodules"])
def test_offline_the_hub_is_not_asked(first: str) -> None:
    """Also if its library was imported before."""
    code = f"""
import sys
{first}
import socket
def asked(*arguments, **settings):
    sys.exit("the network was asked for")
socket.getaddrinfo = socket.socket.connect = asked
from datamodules.errors import MissingFileError
from datamodules.storage.hub import checkpoint_folder
try:
    checkpoint_folder("bert-base-uncased")
except MissingFileError:
    import huggingface_hub
    assert huggingface_hub.constants.HF_HUB_OFFLINE
    print("refused")
"""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment["LIT_MODELS_OFFLINE"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
