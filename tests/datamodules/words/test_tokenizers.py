"""Words and pieces to ids: Keras' and torchtext's rules, and the tokenizers of checkpoints."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from datamodules.errors import MissingFileError, UserError
from datamodules.words.tokenizers import (
    CheckpointTokenizer,
    VocabTokenizer,
    WordTokenizer,
    build_vocab,
    by_rank,
    learn_words,
    split_words,
    tokenizer_from_dict,
)

SENTENCES = ["I love using transformers!", "", "the plot was very dull, slow and zzz. " * 20]


def keras_words(text: str) -> list[str]:
    """Reference: `keras.preprocessing.text.text_to_word_sequence` as its documentation states it."""
    for character in '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n':
        text = text.replace(character, " ")
    return [word for word in text.lower().split(" ") if word]


@pytest.mark.parametrize(
    "text",
    ["It's GOOD, isn't it?<br /><br />No_way", "a\x85b\xa0c\u2003d", "tab\tnew\nline\rcarriage", "", "  ", "Ünïcödé…"],
)
def test_keras_form_equals_keras_rule(text: str) -> None:
    assert split_words(text, "keras") == keras_words(text)


def test_keras_form_splits_at_spaces_only() -> None:
    assert split_words("a\xa0b c\rd", "keras") == ["a\xa0b", "c\rd"]


def test_basic_english_sets_punctuation_apart() -> None:
    # torchtext's own example, then each of its replacements: quotes go, semicolons and colons are spaces.
    example = split_words("You can now install TorchText using pip!", "basic_english")
    assert example == ["you", "can", "now", "install", "torchtext", "using", "pip", "!"]
    assert split_words('It\'s "A".<br />(b),c;d:e?f\xa0g', "basic_english") == [
        *("it", "'", "s", "a", ".", "(", "b", ")", ",", "c", "d", "e", "?", "f", "g")
    ]


def test_ranks_go_by_frequency_then_first_appearance() -> None:
    assert by_rank(Counter("bacabda")) == ["a", "b", "c", "d"]


def test_ids_are_rank_plus_three() -> None:
    tokenizer = WordTokenizer(["the", "film"])
    assert tokenizer.encode("The film, the end") == [1, 4, 5, 4, 2]
    assert tokenizer.vocab_size == 6
    assert tokenizer.decode([0, 0, 1, 4, 5, 2, 3, 99]) == "the film <unknown> <unknown> <unknown>"


def test_words_are_cut_at_the_front() -> None:
    assert WordTokenizer(["a", "b", "c"]).encode_batch(["a b c"], max_length=2) == [[5, 6]]


def test_words_survive_a_checkpoint(tmp_path: Path) -> None:
    tokenizer = WordTokenizer(["don", "'", "t"], form="basic_english")
    torch.save(tokenizer.to_dict(), tmp_path / "state.pt")
    again = tokenizer_from_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.encode_batch(["Don't!"]) == tokenizer.encode_batch(["Don't!"]) == [[1, 4, 5, 6, 2]]


def test_unknown_form_is_refused() -> None:
    with pytest.raises(UserError, match=r"words cannot be split in the form 'french': expected keras or basic_english"):
        WordTokenizer([], form="french")  # type: ignore[arg-type]


def test_vocabulary_goes_by_frequency_then_alphabet_with_its_specials() -> None:
    # b 3, a and c 2 each, d 1; tests/parity/test_torchtext.py has torchtext's own answers.
    counts = Counter("cdbcabba")
    assert build_vocab(counts) == ["b", "a", "c", "d"]
    assert build_vocab(counts, specials=["<unk>", "c"]) == ["<unk>", "c", "b", "a", "d"]
    assert build_vocab(counts, specials=["<unk>"], special_first=False, min_freq=2) == ["b", "a", "c", "<unk>"]
    assert build_vocab(counts, specials=["<unk>"], max_tokens=3) == ["<unk>", "b", "a"]
    assert build_vocab(counts, specials=["b"], max_tokens=3) == ["b", "a"]


def test_specials_that_fill_the_vocabulary_are_refused() -> None:
    with pytest.raises(UserError, match=r"max_tokens must be more than the 2 specials, got 2"):
        build_vocab(Counter("a"), specials=["<unk>", "<pad>"], max_tokens=2)


def test_the_id_of_a_word_is_its_place_in_the_vocabulary() -> None:
    tokenizer = VocabTokenizer(["film", "<pad>", "the", "<unk>", "!"])
    assert tokenizer.encode("The film, the end!") == [2, 0, 3, 2, 3, 4]
    assert tokenizer.encode_batch(["The film!", ""], max_length=2) == [[0, 4], []]
    assert (tokenizer.padding_id, tokenizer.unknown_id, tokenizer.vocab_size) == (1, 3, 5)
    assert tokenizer.decode([1, 1, 2, 3, 0, 4]) == "the <unk> film !"


def test_padding_has_an_id_of_its_own_where_the_vocabulary_has_none() -> None:
    tokenizer = VocabTokenizer(["<unk>", "film"])
    assert (tokenizer.padding_id, tokenizer.vocab_size) == (2, 3)
    assert tokenizer.decode([2, 1, 0]) == "film <unk>"


def test_a_vocabulary_survives_a_checkpoint(tmp_path: Path) -> None:
    tokenizer = VocabTokenizer(["film", "no_film", "<unk>"], unknown_id=1)
    torch.save(tokenizer.to_dict(), tmp_path / "state.pt")
    again = tokenizer_from_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert isinstance(again, VocabTokenizer)
    assert vars(again) == vars(tokenizer)
    assert again.encode_batch(["film zzz"]) == [[0, 1]]


def test_learned_words_have_the_ids_of_their_form() -> None:
    counts = Counter("cdbcabba")  # b 3, c and a 2 each, c first; d 1
    keras = learn_words(counts, form="keras", num_words=6)
    assert (type(keras), keras.words) == (WordTokenizer, ["b", "c"])  # the ids 0 to 3 are no words
    assert learn_words(counts, form="keras", num_words=9, min_freq=2).words == ["b", "c", "a"]
    english = learn_words(counts, form="basic_english", num_words=5)
    assert (type(english), english.words) == (VocabTokenizer, ["<unk>", "<pad>", "b", "a", "c"])
    assert learn_words(counts, form="basic_english", num_words=9, min_freq=3).words == ["<unk>", "<pad>", "b"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"words": ["<unk>", "a", "a"]}, "the word 'a' has the ids 1 and 2, expected one"),
        ({"words": ["a"]}, "unknown words have no id: expected a word '<unk>' or a default index"),
        ({"words": ["a"], "unknown_id": 1}, "the default index must be the id of a word, 0 to 0, got 1"),
        ({"words": ["a"], "unknown_id": -1}, "the default index must be the id of a word, 0 to 0, got -1"),
    ],
)
def test_a_vocabulary_without_sense_is_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        VocabTokenizer(**args)


@pytest.mark.parametrize("max_length", [None, 7])
@pytest.mark.parametrize("fixture", ["bert_checkpoint", "gpt2_checkpoint"])
def test_pieces_equal_those_of_transformers(
    fixture: str, max_length: int | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(fixture)
    theirs = AutoTokenizer.from_pretrained(folder)
    expected = theirs(SENTENCES, truncation=True, max_length=max_length or 64)["input_ids"]  # 64 is the folder's limit
    ours = CheckpointTokenizer.from_checkpoint(str(folder))
    assert ours.encode_batch(SENTENCES, max_length=max_length) == expected
    torch.save(ours.to_dict(), tmp_path / "state.pt")
    again = tokenizer_from_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.encode_batch(SENTENCES, max_length=max_length) == expected
    assert again.to_dict() == ours.to_dict()
    assert ours.vocab_size == len(theirs)
    assert ours.max_length(512) == 64
    assert ours.decode(expected[0]) == theirs.decode(expected[0], skip_special_tokens=True)


def test_gpt2_pads_with_its_end_of_text(gpt2_checkpoint: Path) -> None:
    ours, theirs = (
        CheckpointTokenizer.from_checkpoint(str(gpt2_checkpoint)),
        AutoTokenizer.from_pretrained(gpt2_checkpoint),
    )
    assert theirs.pad_token is None
    assert (ours.padding_id, ours.pad_front) == (theirs.eos_token_id, False)


@pytest.mark.parametrize("name", ["./none", "/none/at/all", "some/long/path", " ", "not a name"])
def test_a_missing_folder_is_refused(name: str) -> None:
    with pytest.raises(MissingFileError, match=r"put config.json") as caught:
        CheckpointTokenizer.from_checkpoint(name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no tokenizer that can be used") as caught:
        CheckpointTokenizer.from_checkpoint(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_damaged_states_are_refused() -> None:
    with pytest.raises(UserError, match=r"the tokenizer of x is damaged"):
        CheckpointTokenizer("x", json="{", padding_id=0, padding_side="right", longest=1, vocab_size=1)
    with pytest.raises(UserError, match=r"this version does not know such a tokenizer"):
        tokenizer_from_dict({"kind": "words", "surprise": 1})
    with pytest.raises(UserError, match=r"this version does not know such a tokenizer"):
        tokenizer_from_dict({"kind": "other"})
