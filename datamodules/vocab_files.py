"""A vocabulary that somebody saved: the words by id out of JSON, text, or what torchtext and torch pickled.

Source: torchtext 0.9 to 0.18, `torchtext.vocab.Vocab`; what it pickles is version, default index, words and nothing.
"""

import json
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from datamodules.records import open_lines
from datamodules.tokenizers import VocabTokenizer

TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # begins a file of torch.save that is no zip archive


def read_vocab(path: Path) -> VocabTokenizer:
    """The vocabulary in a file, with the ids that its words have there. Nothing in the file is run.

    Args:
        path: `.json`, a list of words or a mapping of words to ids; `.txt`, a word a line; `.pt`, `.pth`, `.pkl` or
            `.pickle`, such a list or mapping or torchtext's `Vocab`, saved by `torch.save` or `pickle.dump`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no vocabulary, or a mistake in it.
    """
    readers: dict[str, Callable[[Path], Any]] = {".json": _read_json, ".txt": _read_lines}
    readers |= dict.fromkeys((".pt", ".pth", ".pkl", ".pickle"), _read_pickle)
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: expected a vocabulary {', '.join(readers)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    found, default_index = readers[path.suffix.lower()](path), None
    if isinstance(found, _Vocab):
        found, default_index = _torchtext_words(path, found)
    try:
        return VocabTokenizer(_words_by_id(found), unknown_id=default_index)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _words_by_id(found: Any) -> list[str]:
    """The words of a list, or of a mapping of words to ids.

    Raises:
        ValueError: it is neither; an id that is no number, stands twice or is left out.
    """
    if not isinstance(found, (list, dict)):
        raise ValueError(f"a {type(found).__name__}, expected a list of words, or a mapping of words to ids")
    if not found:
        raise ValueError("no words in it")
    for word in found:
        if not isinstance(word, str):
            raise ValueError(f"{str(word)[:60]!r} is a {type(word).__name__}, expected a word")
    if isinstance(found, list):
        return found
    by_id: dict[int, str] = {}
    for word, place in found.items():
        if not isinstance(place, int) or isinstance(place, bool):
            raise ValueError(f"the id of {word!r} is {str(place)[:60]!r}, expected a whole number")
        if by_id.setdefault(place, word) != word:
            raise ValueError(f"the id {place} is that of {by_id[place]!r} and of {word!r}, expected one word an id")
    if (missing := next((i for i in range(len(by_id)) if i not in by_id), None)) is not None:
        raise ValueError(f"no word has the id {missing}, expected the ids 0 to {len(by_id) - 1} for {len(by_id)} words")
    return [by_id[i] for i in range(len(by_id))]


def _read_json(path: Path) -> Any:
    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            doubled = Counter(word for word, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"{path}: the word {doubled!r} stands twice, expected once")
        return found

    text = "".join(line for _, line in open_lines(path))
    try:
        return json.loads(text, object_pairs_hook=mapping)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON ({str(error).splitlines()[0]})") from error


def _read_lines(path: Path) -> list[str]:
    words = []
    for number, line in open_lines(path):
        words.append(line.rstrip("\r\n"))
        if not words[-1]:
            raise ValueError(f"{path}:{number}: an empty line, expected one word a line")
    return words


class _Vocab:
    """Stands for torchtext's two classes of that name, the module and what is inside it, and keeps their content."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Forbidden(Exception):
    """A pickle asks for something that no vocabulary has."""


class _VocabUnpickler(pickle.Unpickler):
    """Reads plain values and torchtext's vocabulary. Of the names that a pickle may ask for, it knows those in a
    vocabulary, and answers with containers that do nothing but hold values."""

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
        """What torch writes beside the pickle: the class of a module with its source, which is left alone; tensors."""
        match pid:
            case ("module", type() as found, *_):
                return found
        raise _Forbidden("what lies beside the pickle")


def _read_pickle(path: Path) -> Any:
    command = f"import json, torch, torchtext; json.dump(torch.load({path.name!r}).get_itos(), open('vocab.json', 'w'))"
    remedy = f'where it was made, run python -c "{command}" and give vocab.json'
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                return _load(file)
            with zipfile.ZipFile(file) as archive:
                inside = next(name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
                with archive.open(inside) as content:
                    return _load(content)
    except _Forbidden as error:
        raise ValueError(f"{path} holds {error}, which no vocabulary has, and was not run; {remedy}") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise ValueError(f"{path}: no vocabulary that can be read here; {remedy}") from error


def _load(file: IO[bytes]) -> Any:
    """The object of a pickle, or of a file of `torch.save`, where it comes fourth when that is no zip archive."""
    found = _VocabUnpickler(file).load()
    if found == TORCH_MAGIC:
        for _ in range(3):  # version, machine, object
            found = _VocabUnpickler(file).load()
    return found


def _torchtext_words(path: Path, vocab: _Vocab) -> tuple[Any, int | None]:
    """Words by id and the default index of torchtext's vocabulary."""
    inner = vocab.state.get("vocab") if isinstance(vocab.state, dict) else vocab
    match inner.state if isinstance(inner, _Vocab) else None:
        case (str(), [], list() as words, []):
            return words, None
        case (str(), [int() as default_index], list() as words, []):
            return words, default_index
    raise ValueError(f"{path}: a vocabulary of torchtext in a form that is not known")
