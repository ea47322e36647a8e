"""Reads YAML as plain data: without tags and repeated keys, and with limits of size, depth and expansion.

An alias such as `*a` repeats a part of the text, so 655 bytes can expand to gigabytes. The expanded size is therefore
computed from the tree of nodes, before any object is built.
"""

from typing import Any

import yaml

MAX_BYTES = 2**20
"""Maximum characters of a config, which take about 5 s to read. The largest config of the program has 1 kB."""
MAX_NODES = 2000
"""Maximum number of keys and values after aliases are expanded. The parser's time for a list grows with the square of
its length: 1,200 numbers take some seconds."""
MAX_DEPTH = 64
"""Maximum depth of nested mappings and lists."""
MAX_DIGITS = 400
"""Maximum characters of a number; the largest float has 309 digits."""
PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")


def load(text: str) -> Any:
    """The content of a YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML, has a tag of an object, a repeated key or a value that cannot be read, or
        is too large, too deep or expands too far. It is a MarkedYAMLError if the place is known.
    """
    if len(text) > MAX_BYTES:
        raise yaml.YAMLError(f"more than {MAX_BYTES:,} characters, which no config needs")
    try:
        return yaml.load(text, Loader=StrictLoader)  # noqa: S506  (a SafeLoader)
    except RecursionError as error:
        raise yaml.YAMLError("a part of it contains itself") from error


def has_aliases(text: str) -> bool:
    """Whether a text has YAML aliases, or is not YAML."""
    try:
        return any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return True


class StrictLoader(yaml.SafeLoader):
    """Reads YAML 1.1 within the limits of this module, and refuses repeated keys.

    Values are strings, numbers, true, false, null, lists and mappings. A date is read as a string.
    """

    yaml_constructors = {  # noqa: RUF012  (PyYAML's own form)
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in PLAIN
    }
    yaml_implicit_resolvers = {  # noqa: RUF012
        start: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} levels inside each other", problem_mark=mark)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError) as error:  # such as `!!bool x`
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(problem=f"a value is no {kind}", problem_mark=node.start_mark) from error

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_DIGITS:
            problem = f"a number of {len(node.value):,} characters, expected at most {MAX_DIGITS}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_scalar(node)

    def get_single_node(self) -> yaml.Node | None:
        """The tree of the text.

        Raises:
            yaml.MarkedYAMLError: a node contains itself, or the tree expands too far.
        """
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            self._count(node, {})
        return node

    def _count(self, node: yaml.Node, counts: dict[int, int]) -> int:
        """The number of nodes in the tree of `node`, with aliases expanded.

        Args:
            node: root of the tree.
        counts: known numbers by identity of the node; 0 for a node that is being counted.
        """
        known = counts.get(id(node))
        if known is not None:
            if not known:
                raise yaml.MarkedYAMLError(problem="a part of it contains itself", problem_mark=node.start_mark)
            return known
        counts[id(node)], total = 0, 1
        if isinstance(node, yaml.CollectionNode):
            for part in node.value:
                parts = part if isinstance(part, tuple) else (part,)
                total += sum(self._count(one, counts) for one in parts)
                if total > MAX_NODES:
                    problem = f"more than {MAX_NODES:,} keys and values, counted as often as aliases repeat them"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        counts[id(node)] = total
        return total

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
