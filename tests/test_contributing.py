"""The examples of CONTRIBUTING.md run as written, in a folder outside the package; its map names every file."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import datamodules
import lit_models
from lit_models.testing import check_data, check_model
from tests.programs import Programs

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCK = re.compile(r"^`([\w/]+\.(?:py|yaml))`(?:, in `(\w+)`)?[^\n]*:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = {name: text for name, _, text in BLOCK.findall(TEXT) if "/" not in name}
"""The examples for a folder of one's own, by file name."""
ADDITIONS = [(name, table, text) for name, table, text in BLOCK.findall(TEXT) if "/" in name]
"""The examples for the package: the file, the table in it that gets the text, or "" for a whole file, and the text."""


def test_the_examples_are_these_files() -> None:
    names = ["my_data.py", "my_data.yaml", "my_model.py", "my_model.yaml", "my_subclass.py"]
    assert sorted(FILES) == [*names, "test_my_data.py", "test_my_model.py"]
    assert [(name, table) for name, table, _ in ADDITIONS] == [
        ("lit_models/tasks/metrics.py", "REGRESSION"),
        ("tests/tasks/test_metrics.py", ""),
        ("datamodules/storage/table_files.py", "READERS"),
        ("tests/datamodules/storage/test_table_files.py", "WRITERS"),
        ("lit_models/cli/commands/weights.py", ""),
        ("tests/cli/commands/test_weights.py", ""),
    ]


AFFECTED = (
    *("tests/tasks/test_metrics.py", "tests/datamodules/storage/test_table_files.py"),
    *("tests/datamodules/test_table.py", "tests/datamodules/test_public_names.py", "tests/testing/test_data.py"),
    *("tests/cli/commands/test_weights.py", "tests/cli/commands/test_list.py", "tests/cli/test_front_door.py"),
    *("tests/cli/test_pairs.py", "tests/cli/test_registry.py", "tests/cli/test_schema.py", "tests/test_models.py"),
    *("tests/test_contributing.py::test_the_map_names_every_room", "tests/test_tree.py"),
)
"""The tests that look at the tables of metrics, formats, commands, models and data."""


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a copy of the package."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def add(folder: Path, name: str, table: str, text: str) -> None:
    """Adds an example to a copy of the package: to a table, or at the end of a file, which may be new."""
    path = folder / name
    if table:
        lines = path.read_text().splitlines(keepends=True)
        (place,) = (i for i, line in enumerate(lines) if re.match(rf"(if )?{table}(:.*= {{)?\b", line))
        path.write_text("".join([*lines[: place + 1], text, *lines[place + 1 :]]))
    else:
        path.write_text(f"{path.read_text()}\n\n{text}" if path.exists() else text)


@pytest.mark.slow
@pytest.mark.long
def test_each_addition_to_the_package_is_what_it_says_and_passes_its_test(tmp_path: Path) -> None:
    """In a copy of the package: a metric, a table format, a command, a model and data, with nothing else changed."""
    for place in ("lit_models", "datamodules", "tests", "configs", "requirements"):
        shutil.copytree(ROOT / place, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "CONTRIBUTING.md", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    model, data = "from lit_models.mine import LitMine", "from datamodules.mine import CloudsDataModule"
    assert all(f"`{line} as {line.rpartition(' ')[2]}`" in TEXT for line in (model, data))
    small = '''"""Two clouds."""\n\n\ndef small(folder):\n    return [{"num_samples": 20}]\n'''
    for addition in [
        *ADDITIONS,
        ("lit_models/mine.py", "", FILES["my_model.py"]),
        ("lit_models/__init__.py", "TYPE_CHECKING", f"    {model} as LitMine\n"),
        ("tests/test_mine.py", "", '"""LitMine."""\n\nSMALL = [{"num_features": 4, "num_classes": 3}]\n'),
        ("datamodules/mine.py", "", FILES["my_data.py"]),
        ("datamodules/__init__.py", "TYPE_CHECKING", f"    {data} as CloudsDataModule\n"),
        ("tests/datamodules/test_mine.py", "", small),
    ]:
        add(tmp_path, *addition)
    schema = "python -m lit_models schema --output configs/schema.json"
    assert TEXT.count(f"`{schema}`") == 4  # of a model, of data, of a metric, and under "Code"
    done = run_in(tmp_path, *schema.split()[1:])
    assert done.returncode == 0, done.stderr
    done = run_in(tmp_path, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "not slow", *AFFECTED)
    assert done.returncode == 0, done.stdout
    contracts = ("test_our_models_keep_the_contract[LitMine-", "test_our_data_keep_the_contract[CloudsDataModule]")
    formats = (
        "test_every_format_gives_the_same_rows[lower-.psv]",
        "test_smape_is",
        "test_weights.py::test_a_tensor_is",
    )
    assert not [name for name in (*contracts, *formats) if not re.search(rf"{re.escape(name)}.* PASSED", done.stdout)]


@pytest.mark.parametrize(
    ("words", "accuracy"),
    [
        (["--config", "my_model.yaml"], 0.9),  # 1,797 digits: logistic regression already reaches 0.95
        (["--config", "my_model.yaml", "--model", "my_subclass.LitMine"], 0.9),
        (["--config", "my_data.yaml"], 0.8),  # 3 deviations apart: the best rule has 0.933, Phi(1.5)
    ],
)
def test_an_example_trains_in_a_folder_of_its_own(
    tmp_path: Path, programs: Programs, words: list[str], accuracy: float
) -> None:
    """By a script as the installed one, which unlike `-m` does not look in the current folder by itself."""
    (folder := tmp_path / "work").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    script = "import sys\ndel sys.path[0]\nfrom lit_models.__main__ import main\nsys.exit(main())\n"
    (tmp_path / "lit-models").write_text(script)
    done = programs.run("../lit-models", "fit", *words, "--trainer.accelerator", "cpu", folder=folder)
    assert done.status == 0, done.err
    (results,) = folder.glob("runs/*/*/results.json")
    metrics = re.findall(r'"test/acc": ([\d.]+)', json.dumps(json.loads(results.read_text())))
    assert [value for value in metrics if float(value) >= accuracy] == metrics != []


def load(folder: Path, name: str) -> ModuleType:
    """An example as a module."""
    (folder / f"{name}.py").write_text(FILES[f"{name}.py"])
    spec = spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["test_my_model", "test_my_data"])
def test_the_tests_of_the_examples_pass(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    load(tmp_path, name.removeprefix("test_"))
    checks = vars(load(tmp_path, name))
    (check,) = (checks[function] for function in checks if function.startswith("test_"))
    check()
    sys.modules.pop(name.removeprefix("test_"))


@pytest.mark.parametrize("name", ["my_model", "my_subclass"])
def test_the_models_keep_the_contract(tmp_path: Path, name: str) -> None:
    report = check_model(load(tmp_path, name).LitMine, settings={"num_features": 4, "num_classes": 3})
    of_tokens = {f"padding_is_ignored [{kind}]" for kind in ("features", "images")}
    assert report.skipped.keys() == of_tokens


def test_the_data_keep_the_contract(tmp_path: Path) -> None:
    data = check_data(load(tmp_path, "my_data").CloudsDataModule, settings={"num_samples": 20, "batch_size": 3})
    assert data.passed
    assert not data.skipped


def test_the_readme_shows_the_same_model() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(FILES[name] in readme for name in ("my_model.py", "my_model.yaml"))


def test_the_map_names_every_room() -> None:
    """The files of architectures and of datasets by their pattern, so that a new one needs no line."""
    rows = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    patterns = {"lit_models": lit_models.MODELS, "datamodules": datamodules.DATA}
    for folder, table in patterns.items():
        assert f"`{folder}/*.py`" in rows
        for path in (ROOT / folder).iterdir():
            if path.suffix == ".py" and f"{folder}.{path.stem}" not in (f"{folder}.__init__", *table.values()):
                assert f"{path.name}`" in rows, path
            elif path.is_dir() and any(path.glob("*.py")):
                assert f"`{folder}/{path.name}/`" in rows, path
