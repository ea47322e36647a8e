"""The imports of a command: what is postponed is there when a program asks for it."""

import subprocess
import sys

import pytest


def run(program: str) -> list[str]:
    """The lines that a program prints in a new process, in which a warning is an error."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


BEGIN = "import sys\nfrom lit_models.startup import begin\nbegin()\n"
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
    assert not {"torch._dynamo.utils", "torchvision", "transformers", "scipy.signal", "matplotlib"} & {*names.split()}
    assert "lightning.pytorch.trainer" in names.split()


def test_training_steps_are_the_same_with_and_without_the_compiler() -> None:
    [postponed] = run(f"{BEGIN}{STEP}torch.manual_seed(0)\nnetwork.reset_parameters()\nprint(step(), step())")
    [plain] = run(f"{STEP}torch.manual_seed(0)\nnetwork.reset_parameters()\nprint(step(), step())")
    assert postponed == plain


def test_every_name_of_torchmetrics_is_there() -> None:
    packages = "import torchmetrics\nfor package in (torchmetrics, torchmetrics.functional):\n"
    plain = run(f"{packages}    print(*(name for name in dir(package) if not name.startswith('_')))")
    show = f"{packages}    names = {plain!r}[package is torchmetrics.functional].split()\n"
    assert run(f"{BEGIN}{show}    print(*(name for name in names if getattr(package, name) is not None))") == plain


def test_classes_of_an_area_exist_once_and_other_names_not_at_all() -> None:
    lines = run(
        f"{BEGIN}import torchmetrics\nfrom torchmetrics.image import PeakSignalNoiseRatio as direct\n"
        "print(issubclass(torchmetrics.PeakSignalNoiseRatio, direct))\n"
        "print(torchmetrics.image.PeakSignalNoiseRatio is direct)\n"
        "from torchmetrics.detection import MeanAveragePrecision\nfrom torchmetrics.text import BERTScore\n"
        "print(issubclass(direct, torchmetrics.Metric))\n"
        "print(hasattr(torchmetrics, 'NoMetric'), hasattr(torchmetrics, '__no__'))"
    )
    assert lines == ["True", "True", "True", "False False"]


def test_a_metric_can_be_plotted() -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib, which is optional")
    lines = run(
        f"{BEGIN}import torch, torchmetrics\nmetric = torchmetrics.MeanMetric()\nmetric.update(torch.ones(2))\n"
        "print('matplotlib' in sys.modules)\nfigure, axes = metric.plot()\nprint(type(figure).__module__)"
    )
    assert lines == ["False", "matplotlib.figure"]


def test_a_compiled_network_is_known_as_such() -> None:
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
    assert run(f"{BEGIN}{STEP}{program}") == ["False False", "True False", "True"]


def test_functions_that_are_not_to_be_compiled_work_with_and_without_the_compiler() -> None:
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
    assert run(BEGIN + program) == ["2 3 4 double False", "[9.0]"]


def test_names_that_were_imported_before_the_compiler_follow_it() -> None:
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
    assert run(BEGIN + program) == ["1", "True True"]


@pytest.mark.parametrize("statement", ["import torch._dynamo.utils", "torch._dynamo.config"])
def test_a_part_of_the_compiler_loads_all_of_it_once(statement: str) -> None:
    program = f"""
import torch
before = torch._dynamo
{statement}
import torch._dynamo.utils as part
print(torch._dynamo is sys.modules["torch._dynamo"], torch._dynamo is before, part is torch._dynamo.utils)
print(part.__spec__.name, hasattr(part.__spec__.loader, "get_code"))
"""
    assert run(BEGIN + program) == ["True False True", "torch._dynamo.utils True"]


@pytest.mark.parametrize("name", ["lightning", "torchmetrics"])
def test_a_program_that_has_imported_them_stays_as_it_is(name: str) -> None:
    [line] = run(
        f"import sys\nfrom lit_models.startup.imports import import_lightning\nsys.modules['{name}'] = sys\n"
        "before = {*sys.modules}\nimport_lightning()\nprint({*sys.modules} - before)"
    )
    assert line == "set()"
