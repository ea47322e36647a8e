"""Versions, threads and device are kept, and a run that continues under others says so."""

import platform
from importlib import metadata

import torch

from lit_models.runs.environment import differences, environment

CPU = torch.device("cpu")


def test_the_environment_has_plain_values() -> None:
    now = environment(CPU)
    assert now["threads"] == torch.get_num_threads()
    assert now["versions"]["python"] == platform.python_version()
    assert now["versions"]["torch"] == metadata.version("torch")
    assert "CPU" in now["device"]
    assert differences(now, environment(CPU)) == []


def test_each_difference_is_named() -> None:
    now = {"versions": {"python": "3.12.1", "torch": "2.11.0"}, "threads": 1, "device": "arm64 CPU, 8 cores"}
    stored = {
        "versions": {"python": "3.12.1", "torch": "2.10.0", "numpy": "2.1.0"},
        "threads": 2,
        "device": "x86_64 CPU, 2 cores",
    }
    assert differences(stored, now) == [
        "torch 2.10.0, now 2.11.0",
        "numpy 2.1.0, now not installed",
        "2 threads, now 1",
        "x86_64 CPU, 2 cores, now arm64 CPU, 8 cores",
    ]


def test_a_checkpoint_of_another_program_has_nothing_to_compare() -> None:
    assert differences({}, environment(CPU)) == []
