"""Vocabularies that somebody saved. What torchtext itself writes is read in tests/parity/test_torchtext.py."""

import json
import os
import pickle
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from datamodules.errors import MissingFileError, UserError
from datamodules.words.tokenizers import VocabTokenizer
from datamodules.words.vocab_files import read_vocab


def read(path: Path, content: Any = None) -> VocabTokenizer:
    if isinstance(content, (str, bytes)):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    elif content is not None:
        torch.save(content, path)
    return read_vocab(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.json", '["<unk>", "film", "<pad>", "é"]'),
        ("v.JSON", '\ufeff{"film": 1, "é": 3, "<pad>": 2, "<unk>": 0}'),
        ("v.txt", "<unk>\nfilm\n<pad>\né"),
        ("v.txt", "<unk>\r\nfilm\r\n<pad>\r\né\r\n"),
        ("v.pt", ["<unk>", "film", "<pad>", "é"]),
        ("v.pth", {"film": 1, "é": 3, "<pad>": 2, "<unk>": 0}),
        ("v.pkl", pickle.dumps(["<unk>", "film", "<pad>", "é"], protocol=4)),
        ("v.pickle", pickle.dumps({"film": 1, "é": 3, "<pad>": 2, "<unk>": 0}, protocol=0)),
    ],
)
def test_ids_are_the_places_in_the_file(name: str, content: Any, tmp_path: Path) -> None:
    found = read(tmp_path / name, content)
    assert found.words == ["<unk>", "film", "<pad>", "é"]
    assert (found.unknown_id, found.padding_id, found.vocab_size) == (0, 2, 4)
    assert found.encode("É film, FILM") == [3, 1, 0, 1]


def test_white_space_inside_a_line_is_part_of_the_word(tmp_path: Path) -> None:
    assert read(tmp_path / "v.txt", "<unk>\n a\tb \n\x85\n").words == ["<unk>", " a\tb ", "\x85"]


MISTAKES: list[tuple[str, Any, str]] = [
    ("v.csv", "a", "v.csv: expected a vocabulary .json, .txt, .pt, .pth, .pkl, .pickle"),
    ("v.json", '["a", ', "v.json: not JSON (Expecting value"),
    ("v.json", "[" * 100_000, "v.json: not JSON ("),
    ("v.json", b'["caf\xe9"]', "v.json:1: not UTF-8 (byte 0xe9 at position 6 of the line)"),
    ("v.json", "", "v.json: not JSON (Expecting value"),
    ("v.json", "5", "v.json: expected a list of words, or a mapping of words to ids, got int"),
    ("v.json", "[]", "v.json: it contains no words"),
    ("v.json", "{}", "v.json: it contains no words"),
    ("v.json", '["<unk>", 0]', "v.json: '0' is of type int, expected a word"),
    ("v.json", '["<unk>", null]', "v.json: 'None' is of type NoneType, expected a word"),
    ("v.json", '["<unk>", "a", "b", "a"]', "v.json: the word 'a' has the ids 1 and 3, expected one"),
    ("v.json", '{"<unk>": 0, "a": 1, "a": 1}', "v.json: the word 'a' occurs twice, expected once"),
    ("v.json", '{"<unk>": 0, "a": 2}', "v.json: no word has the id 1, expected the ids 0 to 1 for 2 words"),
    ("v.json", '{"<unk>": 1, "a": 2}', "v.json: no word has the id 0, expected the ids 0 to 1 for 2 words"),
    ("v.json", '{"<unk>": 0, "a": -1}', "v.json: no word has the id 1"),
    ("v.json", '{"<unk>": 0, "a": 0}', "v.json: the words '<unk>' and 'a' have the same id 0, expected one each"),
    ("v.json", '{"<unk>": 0, "a": 1.0}', "v.json: the id of 'a' is '1.0', expected a whole number"),
    ("v.json", '{"<unk>": 0, "a": true}', "v.json: the id of 'a' is 'True', expected a whole number"),
    ("v.json", '{"itos": ["<unk>"]}', "v.json: the id of 'itos' is \"['<unk>']\", expected a whole number"),
    ("v.json", '["a", "b"]', "v.json: unknown words have no id: expected a word '<unk>' or a default index"),
    ("v.txt", "<unk>\n\na\n", "v.txt:2: an empty line, expected one word per line"),
    ("v.txt", "<unk>\na\nb\na\n", "v.txt: the word 'a' has the ids 1 and 3, expected one"),
    ("v.txt", "", "v.txt: it contains no words"),
    (
        "v.pt",
        {"a": torch.zeros(1)},
        "v.pt contains torch._utils._rebuild_tensor_v2, which does not belong in a vocabulary; it was not run: where",
    ),
    (
        "v.pt",
        Counter("aab"),
        "v.pt contains collections.Counter, which does not belong in a vocabulary; it was not run: where the file was ",
    ),
    ("v.pt", {"<unk>": 0, 1: 1}, "v.pt: '1' is of type int, expected a word"),
    (
        "v.pt",
        b"PK\x03\x04",
        'v.pt: this vocabulary cannot be read here: where the file was made, run python -c "import json',
    ),
    ("v.pkl", b"junk", "v.pkl: this vocabulary cannot be read here: where the file was made, run"),
    ("v.pkl", b"", "v.pkl: this vocabulary cannot be read here: where the file was made, run"),
    ("v.pkl", pickle.dumps({1, 2}), "v.pkl: expected a list of words, or a mapping of words to ids, got set"),
]


@pytest.mark.parametrize(("name", "content", "message"), MISTAKES)
def test_a_mistake_in_a_vocabulary_is_one_line(name: str, content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read(tmp_path / name, content)
    assert "\n" not in str(caught.value)


def test_a_missing_vocabulary_is_named() -> None:
    with pytest.raises(MissingFileError, match=r"^gone.json: no such file$"):
        read_vocab(Path("gone.json"))


class Runs:
    """Its pickle runs a command that makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("name", ["zip.pt", "old.pt", "plain.pkl"])
def test_a_pickle_that_runs_something_is_refused_and_not_run(name: str, tmp_path: Path) -> None:
    path, made = tmp_path / name, tmp_path / "made"
    content = ["<unk>", Runs(made)]
    if name == "plain.pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=name == "zip.pt")
    with pytest.raises(
        UserError, match=rf"{name} contains (posix|nt)\.system, which does not belong in a vocabulary; it was not run"
    ):
        read_vocab(path)
    assert not made.exists()
    pickle.loads(pickle.dumps(content))  # the bait works
    assert made.exists()


def test_a_pickle_that_points_outside_itself_is_refused(tmp_path: Path) -> None:
    class Outside(pickle.Pickler):
        def persistent_id(self, obj: Any, /) -> Any:
            return ("storage", "0") if obj == "film" else None

    with (tmp_path / "v.pkl").open("wb") as file:
        Outside(file).dump(["<unk>", "film"])
    with pytest.raises(
        UserError, match=r"v.pkl contains an object outside the pickle, which does not belong in a vocabulary; "
    ):
        read_vocab(tmp_path / "v.pkl")


class Vocab:
    """Pickled under the name of torchtext's own class, with the content that a test gives it."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __getstate__(self) -> Any:
        return self.state


@pytest.fixture
def as_torchtexts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torchtext._torchtext")
    module.Vocab = Vocab  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchtext", ModuleType("torchtext"))
    monkeypatch.setitem(sys.modules, "torchtext._torchtext", module)
    monkeypatch.setattr(Vocab, "__module__", "torchtext._torchtext")


@pytest.mark.usefixtures("as_torchtexts")
@pytest.mark.parametrize(
    ("state", "message"),
    [
        (("0.0.2", [-1], ["a", "b"], []), "v.pkl: the default index must be the id of a word, 0 to 1, got -1"),
        (("0.0.2", [2], ["a", "b"], []), "v.pkl: the default index must be the id of a word, 0 to 1, got 2"),
        (("0.0.2", [], ["a", "b"], []), "v.pkl: unknown words have no id: expected a word '<unk>' or a default index"),
        (("0.0.2", [0], ["a", "a"], []), "v.pkl: the word 'a' has the ids 0 and 1, expected one"),
        (("0.0.2", [0], ["a", 5], []), "v.pkl: '5' is of type int, expected a word"),
        (
            ("0.0.2", [0], ["a"], [1]),
            "v.pkl: a vocabulary of torchtext in an unknown form: expected torchtext 0.9 to 0.18",
        ),
        ({"itos": ["a"]}, "v.pkl: a vocabulary of torchtext in an unknown form: expected torchtext 0.9 to 0.18"),
        ({"vocab": ["a"]}, "v.pkl: a vocabulary of torchtext in an unknown form: expected torchtext 0.9 to 0.18"),
    ],
)
def test_a_pickled_vocabulary_without_sense_is_refused(state: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read(tmp_path / "v.pkl", pickle.dumps(Vocab(state)))


@pytest.mark.usefixtures("as_torchtexts")
def test_a_default_index_stands_above_the_word_unk(tmp_path: Path) -> None:
    saved = pickle.dumps(Vocab(("0.0.2", [1], ["<unk>", "film"], [])))
    assert read(tmp_path / "v.pkl", saved).encode("zzz") == [1]


def test_a_vocabulary_survives_a_checkpoint_as_plain_values(tmp_path: Path) -> None:
    found = read(tmp_path / "v.json", json.dumps(["film", "<unk>"]))
    torch.save(found.to_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == found.to_dict()
