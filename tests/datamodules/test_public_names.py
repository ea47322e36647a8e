"""The names that `datamodules` exports, imported when they are first used."""

import subprocess
import sys
from pathlib import Path

import pytest

import datamodules

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there() -> None:
    for name in datamodules.__all__:
        assert getattr(datamodules, name).__name__ == name
    assert set(datamodules.__all__) <= set(dir(datamodules))
    assert sorted(datamodules.__all__) == sorted(set(datamodules.__all__))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'datamodules' has no attribute 'Nothing'$"):
        datamodules.Nothing  # noqa: B018


def test_importing_the_package_its_errors_and_its_descriptions_imports_no_torch() -> None:
    code = (
        "import sys, datamodules\n"
        "from datamodules import DataSpec, HasKind, HasSpec, MissingFileError, UserError\n"
        "import datamodules.storage.locations\n"
        "assert not {'torch', 'lightning', 'numpy', 'pyarrow'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
