"""Our words, vocabularies and ids beside those of torchtext 0.18, which runs in an environment of its own.

What torchtext makes of some tricky sentences lies in `torchtext.json`; `make parity-torchtext` lets it answer again,
and compares 5,000 IMDB reviews.
"""

import base64
import csv
import json
import os
import random
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules import TextDataModule
from datamodules.words.tokenizers import VocabTokenizer, build_vocab, split_words
from datamodules.words.vocab_files import read_vocab

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = ROOT / ".venv-torchtext"
PROGRAM, FIXTURE = Path(__file__).with_name("torchtext_reference.py"), Path(__file__).with_name("torchtext.json")
NUM_REVIEWS = 5000

needs_torchtext = pytest.mark.skipif(
    not (ENVIRONMENT / ".installed").is_file(), reason="torchtext has an environment of its own: make parity-torchtext"
)


@pytest.fixture(scope="module")
def fixture() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return content


def torchtext_answers(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the real torchtext says now."""
    path = folder / "request.json"
    path.write_text(json.dumps({"request": request}), encoding="utf-8")
    subprocess.run([ENVIRONMENT / "bin" / "python", PROGRAM, path], check=True)
    answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["answer"]
    return answer


def our_answer(request: dict[str, Any]) -> dict[str, Any]:
    """What `torchtext_reference.py` makes of a request, made by our code."""
    tokens = [split_words(text, "basic_english") for text in request["texts"]]
    vocabularies = []
    for wanted in request["vocabularies"]:
        counts = Counter(word for words in tokens[: wanted["num_texts"]] for word in words)
        words = build_vocab(counts, **wanted["settings"])
        ours = VocabTokenizer(words, unknown_id=words.index(wanted["default"]))
        found = {"words": ours.words, "default_index": ours.unknown_id, "ids": ours.encode_batch(request["texts"])}
        vocabularies.append(found)
    return {"tokens": tokens, "vocabularies": vocabularies}


def first_difference(ours: list[Any], theirs: list[Any]) -> str:
    """Where two lists part, or ""; whole reviews beside each other are more than a person reads."""
    both = zip(ours, theirs, strict=False)
    found = next((f"place {i}: {a!r} and {b!r}" for i, (a, b) in enumerate(both) if a != b), "")
    return found or ("" if len(ours) == len(theirs) else f"{len(ours)} and {len(theirs)} items")


def test_tricky_sentences_have_torchtexts_words_vocabularies_and_ids(fixture: dict[str, Any]) -> None:
    theirs = fixture["answer"]
    assert theirs["torchtext"] == "0.18.0"
    ours = our_answer(fixture["request"])
    assert ours["tokens"] == theirs["tokens"]
    assert ours["vocabularies"] == theirs["vocabularies"]


def test_text_data_learn_torchtexts_vocabulary(fixture: dict[str, Any], tmp_path: Path) -> None:
    wanted = fixture["request"]["vocabularies"]
    settings = {"specials": ["<unk>", "<pad>"], "max_tokens": 12}
    number = next(i for i, vocab in enumerate(wanted) if vocab["settings"] == settings and vocab["default"] == "<unk>")
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        texts = fixture["request"]["texts"][: wanted[number]["num_texts"]]
        table.writerows([("text", "label"), *((text, "xy"[i % 2]) for i, text in enumerate(texts))])
    data = TextDataModule(train_file=str(tmp_path / "t.csv"), tokenizer="basic_english", num_words=12, val_fraction=0)
    spec = data.spec()
    theirs = fixture["answer"]["vocabularies"][number]
    assert data.state_dict()["tokenizer"] == {
        "kind": "vocab",
        "words": theirs["words"],
        "unknown_id": theirs["default_index"],
    }
    assert (spec.vocab_size, spec.padding_id) == (12, theirs["words"].index("<pad>"))
    data.prepare_data()
    data.setup("fit")
    assert data.train_table is not None
    for row, ids in enumerate(theirs["ids"][: len(texts)]):
        batch, _ = data.train_table[torch.tensor([row])]
        assert batch.tolist() == [ids or [1]]  # a batch is at least one token wide


@pytest.mark.parametrize("name", ["vocab.pt", "old.pth", "vocab.pkl", "inner.pt"])
def test_a_vocabulary_that_torchtext_pickled_keeps_ids_and_default_index(
    name: str, fixture: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(base64.b64decode(fixture["answer"]["saved"][name]))
    theirs = fixture["answer"]["vocabularies"][0]
    ours = read_vocab(tmp_path / name)
    assert ours.words == theirs["words"]
    assert ours.unknown_id == theirs["default_index"] != theirs["words"].index("<unk>")
    assert ours.padding_id == theirs["words"].index("<pad>")
    assert ours.encode_batch(fixture["request"]["texts"]) == theirs["ids"]


@pytest.mark.parametrize("name", ["words.pt", "ids.pt", "words.json", "ids.json", "words.txt"])
def test_the_words_of_a_vocabulary_keep_their_ids(name: str, fixture: dict[str, Any], tmp_path: Path) -> None:
    words = fixture["answer"]["vocabularies"][0]["words"]
    by_word = {word: i for i, word in sorted(enumerate(words), key=lambda pair: pair[1])}
    written = {
        "words.json": json.dumps(words),
        "ids.json": json.dumps(by_word, indent=2),
        "words.txt": "\n".join(words) + "\n",
    }
    saved = fixture["answer"]["saved"]
    content = written[name].encode() if name in written else base64.b64decode(saved[name])
    (tmp_path / name).write_bytes(content)
    ours = read_vocab(tmp_path / name)
    assert ours.words == words
    assert ours.unknown_id == words.index("<unk>")


def refusal_of_a_scripted_vocabulary(fixture: dict[str, Any], folder: Path) -> str:
    (folder / "scripted.pt").write_bytes(base64.b64decode(fixture["answer"]["saved"]["scripted.pt"]))
    with pytest.raises(
        ValueError, match=r"scripted.pt contains .*, which does not belong in a vocabulary; it was not run: where"
    ) as caught:
        read_vocab(folder / "scripted.pt")
    return str(caught.value)


def test_a_scripted_vocabulary_is_refused_with_the_command_that_saves_its_words(
    fixture: dict[str, Any], tmp_path: Path
) -> None:
    message = refusal_of_a_scripted_vocabulary(fixture, tmp_path)
    assert "\n" not in message
    assert "json.dump(torch.load('scripted.pt').get_itos(), open('vocab.json', 'w'))" in message


@needs_torchtext
@pytest.mark.slow
def test_the_command_in_the_refusal_saves_the_words(fixture: dict[str, Any], tmp_path: Path) -> None:
    message = refusal_of_a_scripted_vocabulary(fixture, tmp_path)
    command = shlex.split(message.partition(", run ")[2].removesuffix(" and give vocab.json"))
    assert command[:2] == ["python", "-c"]
    python = str(ENVIRONMENT / "bin" / "python")
    subprocess.run([python, *command[1:]], check=True, cwd=tmp_path, capture_output=True)
    ours = read_vocab(tmp_path / "vocab.json")
    assert ours.words == fixture["answer"]["vocabularies"][0]["words"]


@needs_torchtext
@pytest.mark.slow
def test_the_sentences_answer_is_still_torchtexts(fixture: dict[str, Any], tmp_path: Path) -> None:
    assert torchtext_answers(fixture["request"], tmp_path) == fixture["answer"]


def reviews() -> list[str]:
    """Reviews of the archive, drawn by seed from all 50,000."""
    from datamodules.words.reviews import find_source, read_reviews

    folder = Path(os.environ["LIT_MODELS_DATA"])
    source = find_source(folder)
    assert source is not None, f"no IMDB reviews in {folder}"
    return [review.text for review in random.Random(0).sample(read_reviews(source), NUM_REVIEWS)]


@needs_torchtext
@pytest.mark.real_data
@pytest.mark.skipif("LIT_MODELS_DATA" not in os.environ, reason="LIT_MODELS_DATA names no folder with real data")
def test_5000_reviews_have_torchtexts_words_vocabularies_and_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specials = ["<unk>", "<pad>"]
    settings: list[tuple[str, dict[str, Any]]] = [
        ("<unk>", {"specials": specials}),
        ("the", {}),
        ("<unk>", {"specials": specials, "special_first": False}),
        ("<unk>", {"specials": specials, "min_freq": 5}),
        ("<unk>", {"specials": specials, "max_tokens": 20_000}),
        ("film", {"specials": ["<pad>", "the"], "special_first": False, "min_freq": 3, "max_tokens": 5000}),
    ]
    vocabularies: list[dict[str, Any]] = [
        {"num_texts": NUM_REVIEWS // 2, "settings": s, "default": default} for default, s in settings
    ]
    request = {"texts": reviews(), "vocabularies": vocabularies, "save": False}
    theirs, ours = torchtext_answers(request, tmp_path), our_answer(request)
    assert not first_difference(ours["tokens"], theirs["tokens"])
    num_tokens = sum(map(len, theirs["tokens"]))
    lines = [f"{NUM_REVIEWS:,} reviews, {num_tokens:,} tokens: equal to torchtext {theirs['torchtext']}"]
    for wanted, a, b in zip(vocabularies, ours["vocabularies"], theirs["vocabularies"], strict=True):
        assert not first_difference(a["words"], b["words"]), wanted
        assert a["default_index"] == b["default_index"], wanted
        assert not first_difference(a["ids"], b["ids"]), wanted
        unknown = sum(ids.count(b["default_index"]) for ids in b["ids"])
        shown = ", ".join(f"{name} {value}" for name, value in wanted["settings"].items()) or "no settings"
        lines.append(f"{shown}; default {wanted['default']!r}: {len(b['words']):,} words, all ids equal")
        lines[-1] += f", {unknown:,} of them the default index"
    with capsys.disabled():
        print("", *lines, sep="\n")
