"""Finds the setting that a wrong name means, on any level: `--lr` means `--model.lr`, and `--model.batch_size` means
`--data.batch_size`."""

import difflib
from collections.abc import Iterable

SYNONYMS = {
    "checkpoint": "ckpt_path",
    "ckpt": "ckpt_path",
    "cpus": "devices",
    "epochs": "max_epochs",
    "gpus": "devices",
    "learning_rate": "lr",
    "name": "experiment",
    "seed": "seed_everything",
    "steps": "max_steps",
    "workers": "num_workers",
}
"""Usual names of settings in other programs."""
SURE, CLOSE = 0.75, 0.6
"""How similar two names are, 0 to 1: enough for another section, and enough for the same one."""


def setting_meant(name: str, names: Iterable[str]) -> str | None:
    """The setting in `names` that a dotted name means; None if none is close. A setting in the section of `name` is
    preferred, and then one of the same name in another section."""
    section, _, last = name.replace(".init_args.", ".").rpartition(".")
    wanted = SYNONYMS.get(last, last)
    known = [(each.rpartition(".")[0], each.rpartition(".")[2], each) for each in sorted(set(names))]
    own = {end: each for place, end, each in known if place == section}
    others = {end: each for place, end, each in reversed(known) if place != section}
    for places, cutoff in ((own, SURE), (others, 1.0), (own, CLOSE), (others, SURE)):
        close = [wanted] * (wanted in places) or difflib.get_close_matches(wanted, places, n=1, cutoff=cutoff)
        if close:
            return places[close[0]]
    return None


def hint(name: str, names: Iterable[str], *, prefix: str = "") -> str:
    """The text `, did you mean X?`; empty if no setting is close."""
    meant = setting_meant(name, names)
    return f", did you mean {prefix}{meant}?" if meant else ""
