"""The examples of CONTRIBUTING.md, as they stand there: a folder of a user's own, outside the package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = dict(re.findall(r"^`(my_\w+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))


def test_the_examples_are_four_files() -> None:
    assert sorted(FILES) == ["my_data.py", "my_data.yaml", "my_model.py", "my_model.yaml"]


@pytest.mark.parametrize(
    ("config", "accuracy"),
    [
        ("my_model.yaml", 0.9),  # 1,797 digits: logistic regression already reaches 0.95
        ("my_data.yaml", 0.8),  # 3 deviations apart: the best rule has 0.933, Phi(1.5); 3 epochs come near it
    ],
)
def test_an_example_trains_in_a_folder_of_its_own(tmp_path: Path, config: str, accuracy: float) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    # By the function that the installed script calls, which unlike `-m` does not look in the current folder by itself.
    script = "import sys; sys.path.remove(''); from lit_models.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "fit", "--config", config, "--trainer.accelerator", "cpu"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    import json

    (results,) = tmp_path.glob("runs/*/*/results.json")
    metrics = re.findall(r'"test/acc": ([\d.]+)', json.dumps(json.loads(results.read_text())))
    assert [value for value in metrics if float(value) >= accuracy] == metrics != []


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
