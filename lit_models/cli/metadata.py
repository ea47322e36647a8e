"""What the program says of itself: its version and the libraries that it needs."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

NAME = "lit-models"
PROJECT_FILE = Path(__file__).parents[2] / "pyproject.toml"


def version() -> str:
    """Version of this program: the checkout's where it runs from one, otherwise the installed one's."""
    return str(checkout()["version"]) if checkout() else metadata.version(NAME)


def requirements() -> list[str]:
    """The core dependencies as they are declared, such as "torch>=2.10"."""
    if checkout():
        return list(checkout()["dependencies"])
    return [text for text in metadata.requires(NAME) or [] if "extra ==" not in text]


@cache
def checkout() -> dict[str, Any]:
    """The `[project]` table of the checkout that this file lies in; empty in an installed copy."""
    if not PROJECT_FILE.is_file():
        return {}
    project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8")).get("project", {})
    return project if project.get("name") == NAME else {}
