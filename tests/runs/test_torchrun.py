"""The Trainer's numbers of nodes and devices under torchrun: read from the environment, or refused."""

from typing import Any

import pytest

from datamodules.errors import UserError
from lit_models.runs.torchrun import places

TWO_NODES = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "GROUP_WORLD_SIZE": "2"}


def test_without_torchrun_the_settings_stay() -> None:
    assert places({"num_nodes": 1, "devices": "auto"}, {"WORLD_SIZE": "2", "LOCAL_RANK": "1"}) == {}


@pytest.mark.parametrize("settings", [{}, {"num_nodes": 1, "devices": "auto"}, {"num_nodes": 2, "devices": "auto"}])
def test_what_is_not_set_comes_from_torchrun(settings: dict[str, Any]) -> None:
    assert places(settings, TWO_NODES) == {"num_nodes": 2, "devices": 3}


@pytest.mark.parametrize("devices", [3, "3", -1, [0, 1, 2]])
def test_devices_that_are_set_and_agree_stay(devices: Any) -> None:
    assert places({"num_nodes": 2, "devices": devices}, TWO_NODES) == {"num_nodes": 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_nodes": 3}, "trainer.num_nodes is 3, but torchrun was started with --nnodes 2: leave it out"),
        ({"devices": 2}, "trainer.devices is 2, but torchrun was started with --nproc-per-node 3: leave it out"),
        ({"devices": "2"}, "trainer.devices is 2, but torchrun was started with --nproc-per-node 3: leave it out"),
        ({"devices": [0]}, "trainer.devices is [0], but torchrun was started with --nproc-per-node 3: leave it out"),
    ],
)
def test_a_disagreement_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        places(settings, TWO_NODES)
    assert str(caught.value) == message


def test_machines_with_different_numbers_of_processes_are_refused() -> None:
    with pytest.raises(UserError, match="5 processes, 3 of them on this machine: give each of the 2 machines the same"):
        places({}, TWO_NODES | {"WORLD_SIZE": "5"})
