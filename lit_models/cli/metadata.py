"""Metadata of the program: its version and the libraries that it needs."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

NAME = "lit-models"
PROJECT_FILE = Path(__file__).parents[2] / "pyproject.toml"


def version() -> str:
    """Version of this program: that of the checkout if it runs from one, otherwise that of the installed package."""
    return str(checkout()["version"]) if checkout() else metadata.version(NAME)


def requirements() -> list[str]:
    """The declared core dependencies, such as "torch>=2.10"."""
    if checkout():
        return list(checkout()["dependencies"])
    return [text for text in metadata.requires(NAME) or [] if "extra ==" not in text]


@cache
def checkout() -> dict[str, Any]:
    """The `[project]` table in pyproject.toml of the checkout; empty in an installed copy."""
    if not PROJECT_FILE.is_file():
        return {}
    project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8")).get("project", {})
    return project if project.get("name") == NAME else {}
