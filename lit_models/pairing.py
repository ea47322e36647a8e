"""Which data fit which model, and what the data tells the model."""

import os
from collections.abc import Iterable
from typing import Any

from jsonargparse import Namespace

from lit_models import catalog
from lit_models.errors import nearest

DATA_DIR_VARIABLE = "LIT_MODELS_DATA"
WISHES = {"mask_padding"}  # what the data asks for, where nothing else is typed
VOCABULARY = {"tokenizer", "num_words", "min_freq", "vocab_file"}


def check_pair(model: type, data: type) -> None:
    """Refuses data that the model cannot read, before anything is read or downloaded. Classes that do not say what
    they accept or give are let through.

    Raises:
        ValueError: names the models that fit.
    """
    kind, accepts = getattr(data, "kind", None), getattr(model, "accepts", None)
    if kind is None or accepts is None or kind in accepts:
        return
    fitting = ", ".join(catalog.models_for(kind))
    reads = " or ".join(sorted(accepts))
    raise ValueError(f"{model.__name__} reads {reads}, but {data.__name__} gives {kind}: models that fit are {fitting}")


def prepare_data_args(config: Namespace, typed: Namespace, flags: Iterable[str]) -> None:
    """Fills the data's arguments that are typed nowhere twice: the seed, the tokenizer of the model's checkpoint, and
    the data folder from the environment, which stands above config files and below flags."""
    data, given = init_args(config, "data"), typed_args(typed, "data")
    if "seed" in data and "seed" not in given:
        data.seed = config.seed_everything
    checkpoint = init_args(config, "model").get("checkpoint")
    if checkpoint and "tokenizer" in data and "tokenizer" not in given:
        data.tokenizer = checkpoint
    folder = os.environ.get(DATA_DIR_VARIABLE)
    if folder and "data_dir" in data and not any(f.split("=")[0].endswith("data_dir") for f in flags):
        data.data_dir = folder


def fill_from_data(config: Namespace, typed: Namespace, told: dict[str, Any]) -> None:
    """Passes what the data decides to the model; a value typed by hand that disagrees is refused.

    Raises:
        ValueError: names the setting, the typed value and the data's.
    """
    model, given = init_args(config, "model"), typed_args(typed, "model")
    for name, value in told.items():
        if name not in model or (name in given and name in WISHES):
            continue
        if name in given and given[name] != value:
            shown = value if len(str(value)) < 60 else f"{str(value)[:56]} …"
            raise ValueError(f"model.{name} is {given[name]!r}, but the data says {shown!r}: leave it out")
        model[name] = value


def init_args(config: Namespace, part: str) -> Namespace:
    """Constructor arguments of "model" or "data"; a class without any has none."""
    if not config[part].get("init_args"):
        config[part].init_args = Namespace()  # type: ignore[no-untyped-call]
    found: Namespace = config[part].init_args
    return found


def as_stored(config: Namespace, typed: Namespace, told: Iterable[str]) -> Namespace:
    """The configuration without what is derived from the data, the seed and the model's checkpoint, so that a change of
    those is followed when it runs again."""
    stored = config.clone()
    derived = {"model": set(told), "data": {"seed"}}
    if init_args(config, "model").get("checkpoint"):
        derived["data"].add("tokenizer")
    for part, names in derived.items():
        for name in names & vars(init_args(stored, part)).keys() - typed_args(typed, part).keys():
            stored[part].init_args.pop(name)
    stored.pop("config", None)
    stored.ckpt_path = None
    return stored


def typed_args(typed: Namespace, part: str) -> dict[str, Any]:
    """Constructor arguments of "model" or "data" that a config or a flag gives."""
    section = typed.get(part)
    arguments = section.get("init_args") if section else None
    return dict(vars(arguments)) if arguments else {}


def dropped_settings(files: list[dict[str, Any]], config: Namespace) -> list[str]:
    """One sentence for each of "model" and "data" whose class another file or a flag has replaced, with the settings
    of the old class that no longer count."""
    notes = []
    for part in ("model", "data"):
        now = config[part].class_path.rsplit(".", 1)[-1]
        for content in files:
            section = content.get(part)
            if not isinstance(section, dict):
                continue
            was = str(section.get("class_path", now)).rsplit(".", 1)[-1]
            lost = [k for k in section.get("init_args") or {} if k not in config[part].get("init_args", {})]
            if was != now and lost:
                notes.append(f"note: {now} instead of {was}, so {was}'s settings do not count: {', '.join(lost)}")
    return notes


def changed_settings(stored: dict[str, Any], config: Namespace) -> list[str]:
    """One sentence for each of the checkpoint's settings that a flag or a config has changed.

    Raises:
        ValueError: the setting is one that the weights depend on: which token is which word.
    """
    notes = []
    for part in ("model", "data"):
        before, now = (stored.get(part) or {}).get("init_args") or {}, vars(init_args(config, part))
        for name in VOCABULARY & before.keys() & now.keys() if part == "data" else ():
            if before[name] != now[name]:
                raise ValueError(f"data.{name} is {now[name]!r}, but the checkpoint was trained with {before[name]!r}")
        notes += [
            f"note: {part}.{name} is {now[name]!r}, and was {before[name]!r} when the checkpoint was made"
            for name in sorted(before.keys() & now.keys() - {"inputs", "data_dir"})
            if before[name] != now[name]
        ]
    return notes


def unknown_class(part: str, name: str, names: list[str]) -> str:
    """The sentence for a class name that is not there."""
    return f"{part}: no class {name!r}{nearest(name, names)} (known: {', '.join(names)}; your own: file.Class)"
