"""The port of a run: free, the run's own until it listens on it, and a person's where one is named."""

import os
import random
import socket
from pathlib import Path

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from lit_models.runs import ports
from lit_models.runs.ports import free_port, settle_port

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.fixture(autouse=True)
def _no_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_PORT", raising=False)


@pytest.mark.skipif(not RANGE.exists(), reason="the system's own ports are read from /proc")
def test_the_system_gives_the_port_to_no_other_program() -> None:
    first, last = map(int, RANGE.read_text().split())
    assert not {free_port() for _ in range(50)} & set(range(first, last + 1))


def test_a_port_that_a_program_listens_on_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as program:
        program.bind(("", 0))
        program.listen()
        monkeypatch.setattr(ports, "FIRST", program.getsockname()[1])
        monkeypatch.setattr(random.SystemRandom, "randrange", lambda self, first, end: first)
        with pytest.raises(OSError, match="in use"):
            free_port()
        program.close()
        assert free_port() == ports.FIRST


def test_lightning_takes_the_port() -> None:
    environment = LightningEnvironment()
    settle_port(environment)
    assert environment.main_port == environment.main_port >= ports.FIRST
    assert "MASTER_PORT" not in os.environ


def test_two_runs_have_different_ports() -> None:
    environments = [LightningEnvironment() for _ in range(5)]
    for environment in environments:
        settle_port(environment)
    assert len({environment.main_port for environment in environments}) > 1


def test_a_port_that_is_named_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1234")
    environment = LightningEnvironment()
    settle_port(environment)
    assert environment.main_port == 1234
    assert os.environ["MASTER_PORT"] == "1234"


def test_another_launcher_chooses_for_itself() -> None:
    settle_port(TorchElasticEnvironment())
    settle_port(None)
    assert "MASTER_PORT" not in os.environ
