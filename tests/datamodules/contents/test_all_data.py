"""Each data module says what is in it: all samples of all parts, and classes by name."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from datamodules import DATA
from datamodules.base import DataModule
from datamodules.spec import DataSpec, HasContents


def built(name: str, folder: Path) -> list[DataModule]:
    """The data module with its small settings, without those that only predict."""
    package, _, module = DATA[name].rpartition(".")
    settings: list[dict[str, Any]] = import_module(f"tests.{package}.test_{module}").small(folder)
    data = getattr(import_module(DATA[name]), name)
    return [data(**each) for each in settings if "inputs" not in each]


@pytest.mark.parametrize("name", sorted(DATA))
def test_all_samples_are_counted(name: str, tmp_path: Path) -> None:
    modules = built(name, tmp_path)
    assert modules
    for data in modules:
        assert isinstance(data, HasContents)
        contents = data.inspect()
        data.set_up_all()
        sizes = {part: len(table) for part, table in data.tables().items()}
        assert {part.name: part.rows for part in contents.parts} == sizes
        spec = data.spec()
        assert contents.task == spec.task
        assert list(contents.names) == (spec.target_names or spec.class_names)
        known = [part.counts is not None for part in contents.parts]
        assert all(known) == (spec.task != "regression")
        before = data.contents(spec)
        assert [(part.name, part.rows) for part in before.parts] == list(sizes.items())
        assert before.guess == contents.guess


def test_without_a_set_up_part_there_is_nothing_to_count(tmp_path: Path) -> None:
    (data,) = built("XORDataModule", tmp_path)[:1]
    assert data.contents(DataSpec()).parts == ()
