"""The examples of CONTRIBUTING.md run as written, in a folder outside the package; its map names every file."""

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from lit_models.testing import check_data, check_model

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = dict(re.findall(r"^`(my_\w+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))


def test_the_examples_are_five_files() -> None:
    assert sorted(FILES) == ["my_data.py", "my_data.yaml", "my_model.py", "my_model.yaml", "my_subclass.py"]


@pytest.mark.parametrize(
    ("words", "accuracy"),
    [
        (["--config", "my_model.yaml"], 0.9),  # 1,797 digits: logistic regression already reaches 0.95
        (["--config", "my_model.yaml", "--model", "my_subclass.LitMine"], 0.9),
        (["--config", "my_data.yaml"], 0.8),  # 3 deviations apart: the best rule has 0.933, Phi(1.5)
    ],
)
def test_an_example_trains_in_a_folder_of_its_own(tmp_path: Path, words: list[str], accuracy: float) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    # By the function that the installed script calls, which unlike `-m` does not look in the current folder by itself.
    script = "import sys; sys.path.remove(''); from lit_models.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "fit", *words, "--trainer.accelerator", "cpu"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.glob("runs/*/*/results.json")
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
    rows = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    for folder in ("lit_models", "datamodules"):
        for path in (ROOT / folder).iterdir():
            if path.suffix == ".py" and path.name != "__init__.py":
                assert f"{path.name}`" in rows, path
            elif path.is_dir() and any(path.glob("*.py")):
                assert f"`{folder}/{path.name}/`" in rows, path
