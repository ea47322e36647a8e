"""Memory that stays with the process."""

import subprocess
import sys

import pytest

from lit_models.startup.memory import keep_memory

PROGRAM = """
import resource, sys
from lit_models.startup.memory import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
import torch
torch.set_num_threads(1)
cells = torch.nn.LSTM(32, 32, num_layers=2)
inputs = torch.zeros(500, 64, 32)
for step in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    cells(inputs)[0].sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(memory: str) -> int:
    """Pages that the system hands out during one training step, the fourth."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, memory], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the settings are those of Linux' C library")
def test_a_step_takes_no_memory_from_the_system() -> None:
    assert page_faults("kept") < page_faults("given back") / 10


@pytest.mark.parametrize("variable", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_a_users_own_settings_win(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("the C library was told something"))
    keep_memory()
