"""The folders for data and for the cache."""

from pathlib import Path

import pytest

from datamodules.storage.locations import data_cache, default_data_dir, resolve_data_dir


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIT_MODELS_CACHE", str(tmp_path / "c"))
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    assert data_cache() == tmp_path / "c"
    assert default_data_dir() == tmp_path / "c" / "data"
    monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path / "d"))
    assert default_data_dir() == tmp_path / "d"
    monkeypatch.delenv("LIT_MODELS_CACHE")
    assert data_cache().name == "lit-models"
    assert not (tmp_path / "c").exists()


def test_a_folder_that_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path / "d"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolve_data_dir(None) == resolve_data_dir("") == tmp_path / "d"
    assert resolve_data_dir("/elsewhere") == Path("/elsewhere")
    assert resolve_data_dir("~/images") == tmp_path / "home" / "images"
