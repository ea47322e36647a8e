"""Describes tokenizers for programs that do not use this package; see `datamodules.preprocessing`."""

import json

from datamodules.preprocessing import Preprocessing
from datamodules.words.tokenizers import (
    START_ID,
    UNKNOWN_ID,
    CheckpointTokenizer,
    Tokenizer,
    VocabTokenizer,
    WordTokenizer,
    replacements,
)

VOCABULARY, TOKENIZER = "vocabulary.json", "tokenizer.json"
TEXTS = 'texts = ["A wonderful film", "A bad one"]'
WORDS_CODE = f"""\
{TEXTS}
with open("{VOCABULARY}", encoding="utf-8") as file:
    vocabulary = json.load(file)


def encode(text):
    text = text.lower()
    for pattern, new in vocabulary["replace"]:
        text = re.sub(pattern, new, text)
    known, unknown = vocabulary["ids"], vocabulary["unknown_id"]
    ids = [known.get(word, unknown) for word in text.split(" ") if word]
    return (vocabulary["first_ids"] + ids)[-vocabulary["max_length"] :]


rows = [encode(text) for text in texts]
width = {{width}}
inputs = np.array([[vocabulary["padding_id"]] * (width - len(row)) + row for row in rows], dtype=np.int64)"""
CHECKPOINT_CODE = f"""\
{TEXTS}
tokenizer = Tokenizer.from_file("{TOKENIZER}")
tokenizer.enable_truncation({{max_length}})
tokenizer.enable_padding(direction="{{side}}", pad_id={{padding_id}})
inputs = np.array([encoding.ids for encoding in tokenizer.encode_batch(texts)], dtype=np.int64)"""


def of_texts(tokenizer: Tokenizer, *, max_length: int, fixed: bool = False) -> Preprocessing:
    """Texts as token ids, int64 `(B, T)`.

    Args:
        tokenizer: converts the texts.
        max_length: number of tokens that are kept.
        fixed: whether every row is `max_length` wide; otherwise a batch is as wide as its longest row.
    """
    if isinstance(tokenizer, CheckpointTokenizer):
        steps = (
            f"A text as the token ids of `{TOKENIZER}` (library `tokenizers`), at most {max_length}. The shorter texts "
            f"of a batch are padded on the {tokenizer.padding_side} with the id {tokenizer.padding_id}."
        )
        settings = {"max_length": max_length, "side": tokenizer.padding_side, "padding_id": tokenizer.padding_id}
        code = CHECKPOINT_CODE.format(**settings)
        content = json.loads(tokenizer.to_dict()["json"])
        return Preprocessing(
            steps, code, ("from tokenizers import Tokenizer",), {TOKENIZER: json.dumps(content, ensure_ascii=False)}
        )
    assert isinstance(tokenizer, WordTokenizer | VocabTokenizer), "every tokenizer is of one of these classes"
    keras = isinstance(tokenizer, WordTokenizer)
    vocabulary = {
        "replace": replacements(tokenizer.form if isinstance(tokenizer, WordTokenizer) else "basic_english"),
        "first_ids": [START_ID] if keras else [],
        "unknown_id": tokenizer.unknown_id if isinstance(tokenizer, VocabTokenizer) else UNKNOWN_ID,
        "padding_id": tokenizer.padding_id,
        "max_length": max_length,
        "ids": tokenizer.ids,
    }
    width = f"the width is always {max_length}" if fixed else "the width is that of the longest text"
    steps = (
        f"A text as the ids of its words in `{VOCABULARY}`: lower case, split after the replacements there, and the "
        f"last {max_length} ids are kept. The texts of a batch are padded at the front with the id "
        f"{tokenizer.padding_id}; {width}."
    )
    code = WORDS_CODE.format(width='vocabulary["max_length"]' if fixed else "max(1, *map(len, rows))")
    files = {VOCABULARY: json.dumps(vocabulary, ensure_ascii=False, indent=0)}
    return Preprocessing(steps, code, ("import json", "import re"), files)
