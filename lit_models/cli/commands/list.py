"""models, data, the pairs that fit, and the configs"""

from lit_models.cli import registry
from lit_models.cli.flags import FlagParser
from lit_models.cli.help import table


def parser() -> FlagParser:
    """The command has no flags."""
    return FlagParser(__name__)


def main(words: list[str]) -> int:
    """Prints the list; returns the exit status, 0."""
    parser().read(words)
    print("\n".join(lines()))
    return 0


def lines() -> list[str]:
    """The lines of the list, within the width of the screen."""
    data, shipped = registry.data(), registry.configs()
    overlays = ", ".join(c.name for c in shipped if "/" in c.name)
    return [
        "models (--model NAME)",
        *table(((m.name, m.summary) for m in registry.models()), shorten=True),
        "",
        "data (--data NAME), and what one sample is",
        *table(((d.name, f"{', '.join(d.kinds):8}  {d.summary}") for d in data), shorten=True),
        "",
        "each model trains on",
        *table((m.name, ", ".join(d.name for d in data if d.kinds & m.kinds)) for m in registry.models()),
        "",
        "configs (--config NAME)",
        *table(((c.name, c.header) for c in shipped if "/" not in c.name), shorten=True),
        *(["", "on top of a config, with a second --config", *table([(overlays, "")])] if overlays else []),
    ]
