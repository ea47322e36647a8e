"""a JSON schema of the configs, for completion in an editor"""

import json
from contextlib import suppress
from pathlib import Path

from datamodules.errors import UserError
from lit_models import startup
from lit_models.cli.flags import FlagParser


def parser() -> FlagParser:
    """The flags of the command."""
    flags = FlagParser(__name__, "[options]", examples=("schema --output schema.json",))
    flags.add_argument("--output", metavar="FILE", help="the file; standard output unless given")
    return flags


def main(words: list[str]) -> int:
    """Writes the schema; returns the exit status, 0.

    Raises:
        UserError: a wrong flag, or a file that cannot be written, or that is not a schema of this program.
    """
    settings, _ = parser().read(words)
    startup.begin()
    from lit_models.cli.schema import TITLE, config_schema

    text = json.dumps(config_schema(), indent=1, ensure_ascii=False)
    if settings.output in (None, "-"):
        print(text)
        return 0
    path = Path(settings.output).expanduser()
    if path.exists() and not _has_title(path, TITLE):
        raise UserError(f"{path} exists, and is not a schema of this program: name another --output")
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    print(f"schema in {path}; name it in the first lines of a config: # yaml-language-server: $schema={path}")
    return 0


def _has_title(path: Path, title: str) -> bool:
    """Whether a file is a schema with a title."""
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        return bool(json.loads(path.read_text(encoding="utf-8")).get("title") == title)
    return False
