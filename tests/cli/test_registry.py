"""The registry is read from source text; these tests hold it against the classes and files themselves."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from lit_models.cli import configs, help, registry


def test_models_are_what_the_classes_say() -> None:
    from lit_models.tasks.keras_graph import LitKeras
    from lit_models.tasks.task import LitClassifier, LitTask

    for entry in registry.models():
        made = getattr(importlib.import_module(entry.module), entry.name)
        assert made.accepts == entry.kinds
        assert made.__doc__.splitlines()[0] == entry.summary
    others = {LitClassifier, LitKeras}  # LitKeras has no layers of its own: a Keras file says which
    imported = {c for c in _subclasses(LitTask) - others if c.__module__.startswith("lit_models.")}
    assert {(c.__module__, c.__name__) for c in imported} == {(e.module, e.name) for e in registry.models()}
    assert {e.name for e in registry.models()} >= {"LitBERT", "LitCNN", "LitMLP", "LitRNN", "LitTransformer"}


def test_data_are_what_the_classes_say() -> None:
    import datamodules
    from datamodules.base import DataModule

    for module in pkgutil.walk_packages(datamodules.__path__, "datamodules."):
        importlib.import_module(module.name)
    for entry in registry.data():
        made = getattr(importlib.import_module(entry.module), entry.name)
        assert frozenset({made.kind}) == entry.kinds
        assert made.__doc__.splitlines()[0] == entry.summary
    imported = {c for c in _subclasses(DataModule) if c.__module__.startswith("datamodules.")}
    assert {(c.__module__, c.__name__) for c in imported} == {(e.module, e.name) for e in registry.data()}
    assert {e.name for e in registry.data()} >= {"IMDBDataModule", "MNISTDataModule", "TextDataModule", "XORDataModule"}


def test_every_kind_of_data_has_a_model_and_every_model_has_data() -> None:
    given = {kind for entry in registry.data() for kind in entry.kinds}
    assert given == {kind for entry in registry.models() for kind in entry.kinds}
    assert {"LitCNN", "LitMLP"} <= set(registry.models_for("images")) <= set(registry.model_names()) - {"LitRNN"}
    assert {"LitBERT", "LitRNN", "LitTransformer"} <= set(registry.models_for("tokens")) - {"LitCNN", "LitMLP"}
    assert "LitMLP" in registry.models_for("features")
    assert registry.models_for("sounds") == []


def test_modules_are_those_of_the_entries() -> None:
    assert set(registry.modules()) == {entry.module for entry in (*registry.models(), *registry.data())}


def test_a_class_with_a_plain_assignment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = '''
class LitMine:
    """Mine.

    More.
    """

    accepts = frozenset({"images", "tokens"})

class LitNot:
    x = 1
'''
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "mine.py").write_text(source)
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    monkeypatch.setattr("lit_models.MODELS", {"LitMine": "rooms.mine"})
    registry.models.cache_clear()
    try:
        (entry,) = registry.models()
    finally:
        registry.models.cache_clear()
    assert entry == registry.Entry("LitMine", "rooms.mine", "Mine.", frozenset({"images", "tokens"}))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with configs inside it, as an installed wheel has; the current folder is an empty one."""
    folder = tmp_path / "site" / "lit_models" / "configs"
    (folder / "overlays").mkdir(parents=True)
    (folder / "xor_mlp.yaml").write_text("# XOR, solved.\n# More.\nmodel: LitMLP\n")
    (folder / "mnist_cnn.yaml").write_text("model: LitCNN\n")
    (folder / "overlays" / "gpu.yaml").write_text("#   One GPU.\ntrainer: {}\n")
    monkeypatch.setattr(registry, "ROOT", tmp_path / "site")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return folder


def test_configs_are_sorted_with_overlays_last(shipped: Path) -> None:
    assert [(c.name, c.header) for c in registry.configs()] == [
        ("mnist_cnn", ""),
        ("xor_mlp", "XOR, solved."),
        ("overlays/gpu", "One GPU."),
    ]


@pytest.mark.parametrize("name", ["xor_mlp", "xor_mlp.yaml"])
def test_a_shipped_config_is_found_by_name(shipped: Path, name: str) -> None:
    assert configs.find_config(name) == shipped / "xor_mlp.yaml"


@pytest.mark.parametrize("name", ["gpu", "gpu.yaml", "overlays/gpu", "overlays/gpu.yaml"])
def test_an_overlay_is_found_by_name(shipped: Path, name: str) -> None:
    assert configs.find_config(name) == shipped / "overlays" / "gpu.yaml"


def test_a_file_of_the_users_goes_before_a_shipped_one(shipped: Path) -> None:
    Path("xor_mlp.yaml").write_text("mine: 1\n")
    assert configs.find_config("xor_mlp.yaml") == Path("xor_mlp.yaml")
    Path("mnist_cnn").mkdir()  # a folder is no config
    assert configs.find_config("mnist_cnn") == shipped / "mnist_cnn.yaml"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("xor_mpl", ", did you mean xor_mlp?"),
        ("configs/xor_mlp.yaml", ", did you mean xor_mlp?"),
        ("overlays/gpus", ", did you mean overlays/gpu?"),
        ("zzzzzzzz", "; see `list`"),
    ],
)
def test_a_missing_config_is_one_line_with_the_nearest(shipped: Path, name: str, hint: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        configs.find_config(name)
    assert str(caught.value) == f"no config file {name!r}, and the program has no config of that name{hint}"


def test_the_checkouts_configs_are_beside_the_package() -> None:
    assert registry.config_dir() == Path(__file__).parents[2] / "configs"
    names = [c.name for c in registry.configs()]
    assert {"xor_mlp", "mnist_cnn", "digits_cnn"} <= set(names)
    bare = [name.removeprefix("overlays/") for name in names]
    assert len(set(bare)) == len(bare), "an overlay's short name must not hide behind a config's"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("A short text.", 13, "A short text"),
        ("One clause; another, longer; a third", 30, "One clause; another, longer"),
        ("One, two, three", 12, "One, two"),
        ("Onetwothree", 8, "Onetwot…"),
    ],
)
def test_a_long_text_ends_at_a_clause(text: str, width: int, expected: str) -> None:
    assert help.shortened(text, width) == expected


def _subclasses(base: type) -> set[type]:
    children: list[type] = base.__subclasses__()
    return {*children, *(c for child in children for c in _subclasses(child))}
