"""Tokenizers that convert text to token ids and back: by words, or as a checkpoint's tokenizer does.

Sources: Keras' `Tokenizer` and `keras.datasets.imdb` (rule, ranks and ids of "keras"); torchtext 0.18, `get_tokenizer`
and `build_vocab_from_iterator` (rule and vocabulary of "basic_english"); Hugging Face tokenizers (checkpoints).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

from datamodules.errors import UserError
from datamodules.storage.hub import checkpoint_folder

WordForm = Literal["keras", "basic_english"]
UNKNOWN_WORD, PADDING_WORD = "<unk>", "<pad>"
START_ID, UNKNOWN_ID, FIRST_WORD_ID = 1, 2, 4

_KERAS_FILTER = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', " "))
_BASIC_ENGLISH = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"'", " '  "),
        (r'"', ""),
        (r"\.", " . "),
        (r"<br \/>", " "),
        (r",", " , "),
        (r"\(", " ( "),
        (r"\)", " ) "),
        (r"!", " ! "),
        (r"\?", " ? "),
        (r";", " "),
        (r":", " "),
        (r"\s+", " "),
    )
]


class Tokenizer(Protocol):
    """Converts text to token ids, and says on which side they are padded and cut."""

    padding_id: int
    pad_front: bool
    keep_last: bool

    @property
    def unknown_id(self) -> int | None:
        """The id of unknown words; None if there is none."""
        ...

    @property
    def vocab_size(self) -> int:
        """The number of token ids, including padding."""
        ...

    def encode_batch(self, texts: Sequence[str], *, max_length: int | None = None) -> list[list[int]]:
        """The ids of each text, at most `max_length` of them."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The tokenizer as plain values, for `tokenizer_from_dict`."""
        ...


def split_words(text: str, form: WordForm) -> list[str]:
    """The words of a text.

    "keras" replaces each character of Keras' filter by a space and splits at spaces only, so other white space stays in
    the words. "basic_english" separates punctuation from words and splits at any white space.
    """
    text = text.lower()
    if form == "keras":
        return [word for word in text.translate(_KERAS_FILTER).split(" ") if word]
    for pattern, replacement in _BASIC_ENGLISH:
        text = pattern.sub(replacement, text)
    return text.split()


def replacements(form: WordForm) -> list[tuple[str, str]]:
    """What `split_words` replaces in a text of lower case, as pairs of a regular expression and the new text. The words
    are then what spaces separate."""
    if form == "keras":
        return [(f"[{re.escape(''.join(map(chr, _KERAS_FILTER)))}]", " ")]
    return [(pattern.pattern, replacement) for pattern, replacement in _BASIC_ENGLISH]


def by_rank(counts: Counter[str]) -> list[str]:
    """Words by decreasing frequency, and equally frequent words in the order in which they were counted first."""
    return sorted(counts, key=lambda word: -counts[word])


def build_vocab(
    counts: Counter[str],
    *,
    specials: Sequence[str] = (),
    special_first: bool = True,
    min_freq: int = 1,
    max_tokens: int | None = None,
) -> list[str]:
    """The words by id as in torchtext's `build_vocab_from_iterator`: by decreasing frequency, and equally frequent
    words by alphabet.

    Args:
        counts: how often each word occurs in the texts.
        specials: words that are always in the vocabulary, each once.
        special_first: the specials have the first ids; otherwise the last ones.
        min_freq: words that occur fewer times are left out.
        max_tokens: maximum number of words, specials included; all words if None. As in torchtext, a special that is
            also among the most frequent words of the texts counts twice, so the vocabulary is one word smaller.

    Raises:
        UserError: `max_tokens` is not larger than the number of specials.
    """
    if max_tokens is not None and len(specials) >= max_tokens:
        raise UserError(f"max_tokens must be more than the {len(specials)} specials, got {max_tokens}")
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    frequent = ordered if max_tokens is None else ordered[: max_tokens - len(specials)]
    words = [word for word in frequent if counts[word] >= min_freq and word not in specials]
    return [*specials, *words] if special_first else [*words, *specials]


class WordTokenizer:
    """Converts words to ids as Keras does: 0 is padding, 1 starts every text, 2 is any unknown word, and the word of
    rank r (from 1, by frequency) has the id r + 3. Batches are padded and cut at the front.

    Args:
        words: the known words by rank.
        form: rule for splitting texts (see `split_words`).

    Raises:
        UserError: the form does not exist.
    """

    padding_id = 0
    pad_front = True
    keep_last = True
    unknown_id = UNKNOWN_ID

    def __init__(self, words: Sequence[str], *, form: WordForm = "keras") -> None:
        if form not in get_args(WordForm):
            raise UserError(f"words cannot be split in the form {form!r}: expected {' or '.join(get_args(WordForm))}")
        self.words = list(words)
        self.form: WordForm = form
        self.ids = {word: FIRST_WORD_ID + place for place, word in enumerate(self.words)}

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id."""
        return FIRST_WORD_ID + len(self.words)

    def split(self, text: str) -> list[str]:
        return split_words(text, self.form)

    def encode(self, text: str) -> list[int]:
        """The start id and the ids of all words."""
        find = self.ids.get
        return [START_ID, *(find(word, UNKNOWN_ID) for word in self.split(text))]

    def encode_batch(self, texts: Sequence[str], *, max_length: int | None = None) -> list[list[int]]:
        """The ids of each text, of which the last `max_length` are kept."""
        every = map(self.encode, texts)
        return list(every) if max_length is None else [ids[-max_length:] for ids in every]

    def decode(self, ids: Iterable[int]) -> str:
        """The words, with spaces between them; "<unknown>" for an unknown word."""
        kept = (i for i in ids if i not in (self.padding_id, START_ID))
        return " ".join(self._word(i) for i in kept)

    def _word(self, token: int) -> str:
        known = FIRST_WORD_ID <= token < self.vocab_size
        return self.words[token - FIRST_WORD_ID] if known else "<unknown>"

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "words", "form": self.form, "words": self.words}


class VocabTokenizer:
    """Converts words to ids as torchtext does. Texts are split in the form "basic_english". The id of a word is its
    position in the vocabulary, from 0, and no other ids are added to a text. "<pad>" is the padding; a vocabulary
    without "<pad>" gets one more id for it, after the words. Batches are padded and cut at the front.

    Args:
        words: the vocabulary by id, each word once.
        unknown_id: the id of every unknown word (torchtext's default index), 0 or more and below the number of words;
            the position of "<unk>" if None.

    Raises:
        UserError: a word occurs twice, or unknown words have no id.
    """

    pad_front = True
    keep_last = True

    def __init__(self, words: Sequence[str], *, unknown_id: int | None = None) -> None:
        self.words = list(words)
        self.ids: dict[str, int] = {}
        for place, word in enumerate(self.words):
            if self.ids.setdefault(word, place) != place:
                raise UserError(f"the word {word!r} has the ids {self.ids[word]} and {place}, expected one")
        unknown = self.ids.get(UNKNOWN_WORD) if unknown_id is None else unknown_id
        if unknown is None:
            raise UserError(f"unknown words have no id: expected a word {UNKNOWN_WORD!r} or a default index")
        if not 0 <= unknown < len(self.words):
            raise UserError(f"the default index must be the id of a word, 0 to {len(self.words) - 1}, got {unknown}")
        self.unknown_id, self.padding_id = unknown, self.ids.get(PADDING_WORD, len(self.words))

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id."""
        return max(len(self.words), self.padding_id + 1)

    def encode(self, text: str) -> list[int]:
        """The ids of all words."""
        find, unknown = self.ids.get, self.unknown_id
        return [find(word, unknown) for word in split_words(text, "basic_english")]

    def encode_batch(self, texts: Sequence[str], *, max_length: int | None = None) -> list[list[int]]:
        """The ids of each text, of which the last `max_length` are kept."""
        every = map(self.encode, texts)
        return list(every) if max_length is None else [ids[-max_length:] for ids in every]

    def decode(self, ids: Iterable[int]) -> str:
        """The words, with spaces between them, without padding."""
        return " ".join(self.words[i] for i in ids if i != self.padding_id)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "vocab", "words": self.words, "unknown_id": self.unknown_id}


def learn_words(
    counts: Counter[str], *, form: WordForm, num_words: int, min_freq: int = 1
) -> WordTokenizer | VocabTokenizer:
    """Builds the tokenizer of counted words: with Keras' ids for the form "keras", and with torchtext's ids for
    "basic_english" ("<unk>" is 0, "<pad>" is 1).

    Args:
        counts: how often each word occurs in the texts.
        form: rule by which the texts were split.
        num_words: maximum number of ids.
        min_freq: words that occur fewer times are unknown.
    """
    if form == "basic_english":
        specials = (UNKNOWN_WORD, PADDING_WORD)
        return VocabTokenizer(build_vocab(counts, specials=specials, min_freq=min_freq, max_tokens=num_words))
    frequent = [word for word in by_rank(counts) if counts[word] >= min_freq]
    return WordTokenizer(frequent[: num_words - FIRST_WORD_ID], form=form)


class CheckpointTokenizer:
    """The tokenizer of a Hugging Face checkpoint. Texts are cut at the end.

    A tokenizer without a padding token (GPT-2) pads with its end-of-text token.

    Args:
        name: name of the checkpoint; the model compares it with its own.
        json: the whole tokenizer, as the library `tokenizers` writes it.
        padding_id: the id of the padding token.
        padding_side: "left" or "right".
        longest: maximum number of tokens that the checkpoint can read, including special tokens.
        vocab_size: number of token ids.

    Raises:
        UserError: `json` is not a tokenizer.
    """

    keep_last = False

    def __init__(
        self, name: str, *, json: str, padding_id: int, padding_side: str, longest: int, vocab_size: int
    ) -> None:
        from tokenizers import Tokenizer as Backend

        try:
            self._backend = Backend.from_str(json)
        except Exception as error:  # the library raises nothing more specific
            raise UserError(f"the tokenizer of {name} is damaged: {str(error).splitlines()[0]}") from error
        self._backend.no_truncation()
        self._backend.no_padding()
        self.name, self.padding_id, self.padding_side = name, padding_id, padding_side
        self.longest, self._vocab_size = longest, vocab_size
        self.unknown_id = self._backend.token_to_id("[UNK]")
        self.pad_front = padding_side == "left"

    @classmethod
    def from_checkpoint(cls, name: str) -> "CheckpointTokenizer":
        """The tokenizer of a checkpoint, by its name on the hub or its folder. No code of the checkpoint is run.

        Raises:
            MissingFileError: no such folder; no such name on the hub, or no network.
            UserError: the checkpoint has no tokenizer that can be used.
        """
        tokenizer = _load(name, checkpoint_folder(name))
        backend = getattr(tokenizer, "backend_tokenizer", None)
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if backend is None or padding is None:
            lacks = "fast tokenizer (tokenizer.json)" if backend is None else "padding or end-of-text token"
            raise UserError(f"the checkpoint {name!r} has no {lacks}")
        return cls(
            name,
            json=_plain_json(backend),
            padding_id=int(padding),
            padding_side=str(tokenizer.padding_side),
            longest=min(int(tokenizer.model_max_length), 2**31 - 1),  # without a limit, it is a huge number
            vocab_size=len(tokenizer),
        )

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def max_length(self, wanted: int = 512) -> int:
        """`wanted`, but at most the number of tokens that the checkpoint can read."""
        return min(wanted, self.longest)

    def encode_batch(self, texts: Sequence[str], *, max_length: int | None = None) -> list[list[int]]:
        """The ids of each text with its special tokens, at most `max_length` (512 if None)."""
        self._backend.enable_truncation(self.max_length(max_length or 512))
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts))]

    def decode(self, ids: Iterable[int]) -> str:
        """The text, without special tokens."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "checkpoint",
            "name": self.name,
            "json": _plain_json(self._backend),
            "padding_id": self.padding_id,
            "padding_side": self.padding_side,
            "longest": self.longest,
            "vocab_size": self.vocab_size,
        }


def tokenizer_from_dict(state: dict[str, Any]) -> WordTokenizer | VocabTokenizer | CheckpointTokenizer:
    """Builds a tokenizer from the values of `to_dict`. Neither the hub nor a folder is needed.

    Raises:
        UserError: the values are not those of a tokenizer.
    """
    fields = {key: value for key, value in state.items() if key != "kind"}
    try:
        match state.get("kind"):
            case "words":
                return WordTokenizer(**fields)
            case "vocab":
                return VocabTokenizer(**fields)
            case _:
                return CheckpointTokenizer(**fields)
    except TypeError as error:
        raise UserError(f"this version does not know such a tokenizer: {error}") from error


def _load(name: str, folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # damaged files raise many types of errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"the checkpoint {name!r} has no tokenizer that can be used: {reason}") from error


def _plain_json(backend: Any) -> str:
    """The JSON of the tokenizer, without the settings for truncation and padding of its last use."""
    backend.no_truncation()
    backend.no_padding()
    return cast(str, backend.to_str())
