"""The public names of a package. They are imported when they are first used, so that `import` alone needs no torch."""

import ast
from pathlib import Path


def public_names(init_file: str) -> dict[str, str]:
    """The names that a package imports in its `if TYPE_CHECKING:` block, and the module of each.

    Editors and type checkers need these lines. At run time, the package reads them as its table of names, so that a
    name and its module are written in one place.

    Args:
        init_file: the package's `__init__.py`.
    """
    tree = ast.parse(Path(init_file).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}
