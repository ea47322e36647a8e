"""Reads saved vocabularies: JSON, text, or a pickle of torchtext or torch.

Source: torchtext 0.9 to 0.18, `torchtext.vocab.Vocab`. It pickles its version, default index, words, and an empty list.
"""

import io
import json
import pickle
import reprlib
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.errors import UserError
from datamodules.storage.limits import JSON_FACTOR, Budget
from datamodules.storage.lines import numbered_lines, require_file
from datamodules.storage.members import read_member
from datamodules.storage.pickles import Bounds, TooLarge, check_pickle
from datamodules.words.tokenizers import VocabTokenizer

TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # first number in a file of torch.save that is not a zip archive
BOUNDS = Bounds(shared=16, copies=16, mappings=1000, tuples=1000)  # torchtext's files need less
WORD_BYTES = 150  # memory for a word in a list and in a mapping, without its characters


def read_vocab(path: Path) -> VocabTokenizer:
    """The vocabulary in a file, with the ids of the file. No code in the file is run.

    Args:
        path: `.json`, a list of words or a mapping of words to ids; `.txt`, one word per line; `.pt`, `.pth`, `.pkl`
            or `.pickle`, such a list or mapping or torchtext's `Vocab`, saved by `torch.save` or `pickle.dump`.

    Raises:
        MissingFileError: no such file.
        UserError: the file is not a vocabulary, or contains a mistake.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: expected a vocabulary {', '.join(READERS)}")
    require_file(path)
    content, default_index = reader(path), None
    if isinstance(content, _Vocab):
        content, default_index = _torchtext_words(path, content)
    try:
        return VocabTokenizer(_words_by_id(content), unknown_id=default_index)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _words_by_id(content: Any) -> list[str]:
    """The words of a list, or of a mapping of words to ids.

    Raises:
        UserError: the content is neither of them, or an id is not a number, occurs twice or is missing.
    """
    if not isinstance(content, (list, dict)):
        raise UserError(f"expected a list of words, or a mapping of words to ids, got {type(content).__name__}")
    if not content:
        raise UserError("it contains no words")
    for word in content:
        if not isinstance(word, str):
            raise UserError(f"{_shown(word)} is of type {type(word).__name__}, expected a word")
    if isinstance(content, list):
        return content
    by_id: dict[int, str] = {}
    for word, number in content.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise UserError(f"the id of {word!r} is {_shown(number)}, expected a whole number")
        if 0 <= number < len(content) and by_id.setdefault(number, word) != word:
            raise UserError(f"the words {by_id[number]!r} and {word!r} have the same id {number}, expected one each")
    if (missing := next((i for i in range(len(content)) if i not in by_id), None)) is not None:
        last = len(content) - 1
        raise UserError(f"no word has the id {missing}, expected the ids 0 to {last} for {last + 1} words")
    return [by_id[i] for i in range(len(by_id))]


def _shown(value: Any) -> str:
    """The beginning of a value, which may be huge, for a message."""
    try:
        return repr(value if isinstance(value, str) else reprlib.repr(value))[:60]
    except ValueError:  # Python refuses to print integers with very many digits
        return f"a huge {type(value).__name__}"


def _read_json(path: Path) -> Any:
    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            doubled = Counter(word for word, _ in pairs).most_common(1)[0][0]
            raise UserError(f"{path}: the word {doubled!r} occurs twice, expected once")
        return content

    Budget(path).spend(path.stat().st_size * JSON_FACTOR)
    text = "".join(line for _, line in numbered_lines(path))
    try:
        return json.loads(text, object_pairs_hook=mapping)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({str(error).splitlines()[0]})") from error


def _read_lines(path: Path) -> list[str]:
    words = []
    budget = Budget(path)
    for number, line in numbered_lines(path):
        budget.spend(4 * len(line) + WORD_BYTES)
        words.append(line.rstrip("\r\n"))
        if not words[-1]:
            raise UserError(f"{path}:{number}: an empty line, expected one word per line")
    return words


class _Vocab:
    """Holds the content of torchtext's two classes of that name, a module and an object in it."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Forbidden(Exception):
    """A pickle contains something that does not belong in a vocabulary."""


class _VocabUnpickler(pickle.Unpickler):
    """Reads plain values and torchtext's vocabulary. It accepts only the names that occur in a vocabulary, and replaces
    them by containers that hold values and run no code."""

    def find_class(self, module: str, name: str, /) -> Any:
        match module, name:
            case ("torchtext.vocab.vocab" | "torchtext._torchtext", "Vocab"):
                return _Vocab
            case "collections", "OrderedDict":
                return OrderedDict
            case ("builtins" | "__builtin__", "set"):
                return set
        raise _Forbidden(f"{module}.{name}")

    def persistent_load(self, pid: Any, /) -> Any:
        """Handles objects that torch stores outside the pickle: accepts the class of a module, and refuses a tensor."""
        match pid:
            case ("module", type() as module, *_):
                return module
        raise _Forbidden("an object outside the pickle")


def _read_pickle(path: Path) -> Any:
    command = f"import json, torch, torchtext; json.dump(torch.load({path.name!r}).get_itos(), open('vocab.json', 'w'))"
    remedy = f'where the file was made, run python -c "{command}" and give vocab.json'
    try:
        budget = Budget(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inside = next(name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
                return _load(read_member(archive, inside, budget), budget)
        budget.spend(budget.size)
        return _load(path.read_bytes(), budget)
    except UserError:
        raise
    except (_Forbidden, TooLarge) as error:
        problem = f"{path} contains {error}, which does not belong in a vocabulary; it was not run"
        raise UserError(f"{problem}: {remedy}") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(f"{path}: this vocabulary cannot be read here: {remedy}") from error


def _load(content: bytes, budget: Budget) -> Any:
    """The object in a pickle. In an old file of `torch.save`, which is not a zip archive, it is the fourth one."""
    loaded, start = None, 0
    for number in range(4):  # the magic number, the version, the machine, the object
        end = check_pickle(content, start, budget, BOUNDS)
        loaded = _VocabUnpickler(io.BytesIO(content[start:end])).load()
        if number == 0 and loaded != TORCH_MAGIC:
            break
        start = end
    return loaded


def _torchtext_words(path: Path, vocab: _Vocab) -> tuple[Any, int | None]:
    """The words by id and the default index of torchtext's vocabulary."""
    inner = vocab.state.get("vocab") if isinstance(vocab.state, dict) else vocab
    match inner.state if isinstance(inner, _Vocab) else None:
        case (str(), [], list() as words, []):
            return words, None
        case (str(), [int() as default_index], list() as words, []) if abs(default_index) < 2**31:
            return words, default_index
    raise UserError(f"{path}: a vocabulary of torchtext in an unknown form: expected torchtext 0.9 to 0.18")


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _read_json,
    ".txt": _read_lines,
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle"), _read_pickle),
}
"""The readers by suffix, in lower case. Each returns a list, a mapping or a `_Vocab`."""
