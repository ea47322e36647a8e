"""`list`: everything that there is, on one screen."""

from pathlib import Path

import pytest

from lit_models.cli import registry
from lit_models.cli.commands import list as listing


def test_the_list_names_everything_and_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = listing.lines()
    assert len(lines) <= 48 + 4 * max(0, len(registry.models()) + len(registry.data()) - 11)  # 11 fit a screen
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for name in [*registry.model_names(), *registry.data_names(), *(c.name for c in registry.configs())]:
        assert name in text
    pairs = " ".join(" ".join(lines[lines.index("each model trains on") :]).split())
    for model in registry.models():
        assert f"{model.name} {', '.join(d.name for d in registry.data() if d.kinds & model.kinds)}" in pairs


def test_the_list_without_overlays_has_no_line_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "one.yaml").write_text("# One.\n")
    monkeypatch.setattr(registry, "config_dir", lambda: tmp_path / "configs")
    assert listing.lines()[-1] == "  one  One"
