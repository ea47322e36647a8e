"""`list`: models, data, the pairs that fit, and the configs, on one screen."""

from collections.abc import Iterable

from lit_models import catalog

WIDTH = 120


def main() -> int:
    """Prints the list; returns the exit status, 0."""
    print("\n".join(lines()))
    return 0


def lines() -> list[str]:
    """The screen, a line each, at most `WIDTH` characters wide."""
    data, shipped = catalog.data(), catalog.configs()
    overlays = ", ".join(c.name for c in shipped if "/" in c.name)
    return [
        "models (--model NAME)",
        *table((m.name, m.summary) for m in catalog.models()),
        "",
        "data (--data NAME), and what one sample is",
        *table((d.name, f"{', '.join(d.kinds):8}  {d.summary}") for d in data),
        "",
        "each model trains on",
        *table((m.name, ", ".join(d.name for d in data if d.kinds & m.kinds)) for m in catalog.models()),
        "",
        "configs (--config NAME)",
        *table((c.name, c.header) for c in shipped if "/" not in c.name),
        *(["", f"on top of a config, with a second --config: {overlays}"] if overlays else []),
    ]


def table(rows: Iterable[tuple[str, str]], *, indent: str = "  ", width: int = WIDTH) -> list[str]:
    """Two columns; the second ends at a clause where the line would be wider than `width`."""
    rows = list(rows)
    first = len(indent) + max((len(name) for name, _ in rows), default=0) + 2
    return [f"{indent + name:{first}}{shorten(text, width - first)}".rstrip() for name, text in rows]


def shorten(text: str, width: int) -> str:
    """`text`, or its beginning up to the last clause that fits."""
    if len(text) <= width:
        return text
    for separators in ((". ", ": ", "; "), (", ",)):
        if (end := max(text.rfind(s, 0, width) for s in separators)) > 0:
            return text[:end]
    return f"{text[: width - 1].rstrip()}…"
