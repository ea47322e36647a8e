"""The names that `datamodules` exports, imported when they are first used."""

import subprocess
import sys
from pathlib import Path

import pytest

import datamodules
from datamodules.public_names import public_names

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there() -> None:
    for name in datamodules.__all__:
        assert getattr(datamodules, name).__name__ == name
    assert set(datamodules.__all__) <= set(dir(datamodules))
    assert sorted(datamodules.__all__) == sorted(set(datamodules.__all__))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'datamodules' has no attribute 'Nothing'$"):
        datamodules.Nothing  # noqa: B018


def test_the_imports_for_type_checkers_are_the_table(tmp_path: Path) -> None:
    package = tmp_path / "__init__.py"
    package.write_text(
        "from typing import TYPE_CHECKING\n"
        "import os\n"
        "if os.sep:\n    from c import D\n"
        "if TYPE_CHECKING:\n    from a.b import Mine as Mine, Other\n    from c import Third as Third\n\n    x: int\n"
    )
    assert public_names(str(package)) == {"Mine": "a.b", "Other": "a.b", "Third": "c"}


def test_a_star_import_has_all_names() -> None:
    space: dict[str, object] = {}
    exec("from datamodules import *", space)
    assert datamodules.NAMES.keys() <= space.keys()


def test_importing_the_package_its_errors_and_its_descriptions_imports_no_torch() -> None:
    code = (
        "import sys, datamodules\n"
        "from datamodules import DataSpec, HasKind, HasSpec, MissingFileError, UserError\n"
        "import datamodules.storage.locations\n"
        "assert not {'torch', 'lightning', 'numpy', 'pyarrow'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
