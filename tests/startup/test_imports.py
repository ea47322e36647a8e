"""The imports of a command: what is postponed is there when a program asks for it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

COMPILER = "torch._dynamo"
BEGIN = "import sys\nfrom lit_models.startup import begin\nbegin()\n"
FORKS = (
    BEGIN
    + """
import json, os, traceback
for line in sys.stdin:
    program, path = json.loads(line)
    if not (child := os.fork()):
        status = 1
        try:
            for stream, suffix in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{path}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            exec(program, {"__name__": "__main__", "sys": sys})
            sys.stdout.flush()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
)
Run = Callable[[str], list[str]]


def run(program: str) -> list[str]:
    """The lines that a program prints in a new process, in which a warning is an error."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def server() -> Iterator["subprocess.Popen[str]"]:
    """A process that begins as a command does, and then forks one for each program."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-W", "error", "-c", FORKS], text=True, **pipes)
    yield process
    process.communicate()


@pytest.fixture
def begun(server: "subprocess.Popen[str]", tmp_path: Path) -> Run:
    """The lines that a program prints in a process that has begun as a command does."""

    def call(program: str) -> list[str]:
        assert server.stdin is not None
        assert server.stdout is not None
        path = tmp_path / "lines"
        server.stdin.write(json.dumps([program, str(path)]) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        assert status == 0, path.with_suffix(".err").read_text()
        return path.with_suffix(".out").read_text().splitlines()

    return call


STEP = """
import torch
network = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
def step():
    optimizer.zero_grad()
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return network.weight.tolist()
"""


def test_training_imports_no_compiler_and_no_package_that_torchmetrics_alone_would_use() -> None:
    program = f"{BEGIN}{STEP}step()\nimport lit_models.cli.app\nprint(*sorted(sys.modules))"
    [names] = run(program)
    assert not {"torchvision", "transformers", "scipy.signal", "matplotlib", "triton"} & {*names.split()}
    assert not any(name.startswith(f"{COMPILER}.") for name in names.split())
    assert "lightning.pytorch.trainer" in names.split()


def test_python_programs_start_as_fast() -> None:
    assert run(
        "import sys, lit_models\nlit_models.load, lit_models.fit\nprint('torch._dynamo.exc' in sys.modules)"
    ) == ["False"]


def test_torchvision_imports_no_compiler(begun: Run) -> None:
    program = f"""
import torch, torchvision
from torchvision.transforms import v2
print(*(name for name in sys.modules if name.startswith("{COMPILER}.")), "triton" in sys.modules)
"""
    assert begun(program) == [f"{COMPILER}.utils False"]


@pytest.mark.slow
def test_torchvision_uses_the_compiler_when_it_needs_it(begun: Run) -> None:
    program = f"""
import torch, torchvision
import {COMPILER}.utils as first
images, boxes = torch.ones(1, 3, 8, 8), torch.tensor([[0.0, 0, 0, 4, 4]])
print(tuple(torchvision.ops.roi_align(images, boxes, 2).shape))
print(first.is_compile_supported("cpu"))
import {COMPILER}.utils as second
print(first is second, torch._dynamo.utils is second, first.is_compile_supported is second.is_compile_supported)
print(first.counters is second.counters, second.__spec__.name, hasattr(second.__spec__.loader, "get_code"))
"""
    assert begun(program) == ["(1, 3, 2, 2)", "True", "False True False", f"True {COMPILER}.utils True"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_functions_of_triton_are_recognised(begun: Run) -> None:
    program = """
import torch.utils.flop_counter as counter
print("triton" in sys.modules, isinstance(print, counter._JITFunction))
import triton
from triton.runtime.jit import JITFunction
function = JITFunction.__new__(JITFunction)
print(isinstance(function, counter._JITFunction), isinstance(print, counter._JITFunction))
"""
    assert begun(program) == ["False False", "True False"]


LIBRARIES = [("torch", True), ("torch", False), *([("triton", True)] if find_spec("triton") else [])]


@pytest.mark.parametrize(("library", "is_program"), LIBRARIES)
def test_a_command_freezes_what_it_imports_and_ends_silently(library: str, is_program: bool) -> None:
    program = f"import gc\nfrom lit_models import startup\nstartup.is_program = {is_program}\nstartup.begin()\n"
    program += f"import {library}\nprint(gc.get_freeze_count() > 100_000, gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == ([str(is_program), "True"], "")


def test_training_steps_are_the_same_with_and_without_the_compiler(begun: Run) -> None:
    [postponed] = begun(f"{STEP}torch.manual_seed(0)\nnetwork.reset_parameters()\nprint(step(), step())")
    [plain] = run(f"{STEP}torch.manual_seed(0)\nnetwork.reset_parameters()\nprint(step(), step())")
    assert postponed == plain


@pytest.mark.slow
def test_every_name_of_torchmetrics_is_there(begun: Run) -> None:
    packages = "import torchmetrics\nfor package in (torchmetrics, torchmetrics.functional):\n"
    plain = run(f"{packages}    print(*(name for name in dir(package) if not name.startswith('_')))")
    show = f"{packages}    names = {plain!r}[package is torchmetrics.functional].split()\n"
    assert begun(f"{show}    print(*(name for name in names if getattr(package, name) is not None))") == plain


@pytest.mark.slow
def test_classes_of_an_area_exist_once_and_other_names_not_at_all(begun: Run) -> None:
    lines = begun(
        "import torchmetrics\nfrom torchmetrics.image import PeakSignalNoiseRatio as direct\n"
        "print(issubclass(torchmetrics.PeakSignalNoiseRatio, direct))\n"
        "print(torchmetrics.image.PeakSignalNoiseRatio is direct)\n"
        "from torchmetrics.detection import MeanAveragePrecision\nfrom torchmetrics.text import BERTScore\n"
        "print(issubclass(direct, torchmetrics.Metric))\n"
        "print(hasattr(torchmetrics, 'NoMetric'), hasattr(torchmetrics, '__no__'))"
    )
    assert lines == ["True", "True", "True", "False False"]


def test_a_metric_can_be_plotted(begun: Run) -> None:
    lines = begun(
        "import torch, torchmetrics\nmetric = torchmetrics.MeanMetric()\nmetric.update(torch.ones(2))\n"
        "print('matplotlib' in sys.modules)\nfigure, axes = metric.plot()\nprint(type(figure).__module__)"
    )
    assert lines == ["False", "matplotlib.figure"]


@pytest.mark.slow
def test_a_compiled_network_is_known_as_such(begun: Run) -> None:
    program = """
from lightning.pytorch.utilities.compile import OptimizedModule
print(isinstance(network, OptimizedModule), "torch._dynamo.utils" in sys.modules)
step()
compiled = torch.compile(network, backend="eager")
print(isinstance(compiled, OptimizedModule), isinstance(network, OptimizedModule))
print(torch.equal(compiled(torch.ones(1, 2)), network(torch.ones(1, 2))))
train = torch.compile(step, backend="eager")
train()
step()
"""
    assert begun(f"{STEP}{program}") == ["False False", "True False", "True"]


@pytest.mark.slow
def test_functions_that_are_not_to_be_compiled_work_with_and_without_the_compiler(begun: Run) -> None:
    program = """
import torch, torch._dynamo as dynamo
@dynamo.disable()
def double(x):
    return 2 * x
@dynamo.disable(recursive=False)
def triple(x):
    return 3 * x
@torch.compiler.disable
def four_times(x):
    return 4 * x
print(double(1), triple(1), four_times(1), double.__name__, "torch._dynamo.utils" in sys.modules)
compiled = torch.compile(lambda x: double(x) + triple(x) + four_times(x), backend="eager")
print(compiled(torch.ones(1)).tolist())
dynamo.disable(torch.nn.Linear(1, 1))(torch.ones(1))
"""
    assert begun(program) == ["2 3 4 double False", "[9.0]"]


@pytest.mark.slow
def test_names_that_were_imported_before_the_compiler_follow_it(begun: Run) -> None:
    program = """
import torch
from torch._dynamo import OptimizedModule, graph_break
class Broken(torch.nn.Module):
    def forward(self, x):
        x = x + 1
        graph_break()
        return 2 * x
print(torch._dynamo.explain(Broken())(torch.ones(1)).graph_break_count)
compiled = torch.compile(torch.nn.Linear(1, 1), backend="eager")
print(isinstance(compiled, OptimizedModule), issubclass(type(compiled), OptimizedModule))
"""
    assert begun(program) == ["1", "True True"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement", ["import torch._dynamo.exc", "torch._dynamo.config", "torch._dynamo.utils.counters"]
)
def test_a_part_of_the_compiler_loads_all_of_it_once(begun: Run, statement: str) -> None:
    program = f"""
import torch
before = torch._dynamo
{statement}
import torch._dynamo.utils as part
print(torch._dynamo is sys.modules["torch._dynamo"], torch._dynamo is before, part is torch._dynamo.utils)
print(part.__spec__.name, hasattr(part.__spec__.loader, "get_code"))
"""
    assert begun(program) == ["True False True", "torch._dynamo.utils True"]


@pytest.mark.parametrize("name", ["lightning", "torchmetrics"])
def test_a_program_that_has_imported_them_stays_as_it_is(name: str) -> None:
    [line] = run(
        f"import sys\nfrom lit_models.startup.imports import import_lightning\nsys.modules['{name}'] = sys\n"
        "before = {*sys.modules}\nimport_lightning()\nprint({*sys.modules} - before)"
    )
    assert line == "set()"
