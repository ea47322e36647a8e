"""The lines of Python for an exported text model give the ids of the tokenizer."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.preprocessing import Preprocessing
from datamodules.words.described import of_texts
from datamodules.words.tokenizers import Tokenizer, VocabTokenizer, WordTokenizer

TEXTS = [
    "A wonderful film, isn't it?",
    "",
    "tab\tand\nline [brackets] ^caret \\ -dash- 'quotes' \"double\" <br /> (end).",
    "no-break\u00a0space \u2003 ÉTÉ İstanbul Ωmega 😀 it's;it's:it's",
    " ".join(["word"] * 20),
]
WORDS = ["a", "film", "it", "isn't", "'", "t", "isn", "tab", "été", "space", "word", "😀", "(", ".", "brackets", "dash"]


def encoded(preprocessing: Preprocessing, folder: Path) -> Any:
    """What the lines compute for `TEXTS`."""
    for name, content in preprocessing.files.items():
        (folder / name).write_text(content, encoding="utf-8")
    code = preprocessing.code.replace('["A wonderful film", "A bad one"]', repr(TEXTS))
    values: dict[str, Any] = {"np": np}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec("\n".join([*preprocessing.imports, code]), values)
    finally:
        os.chdir(before)
    return values["inputs"]


@pytest.mark.parametrize(
    "tokenizer",
    [WordTokenizer(WORDS), WordTokenizer(WORDS, form="basic_english"), VocabTokenizer(["<unk>", "<pad>", *WORDS])],
    ids=["keras", "words in basic English", "torchtext"],
)
@pytest.mark.parametrize("fixed", [False, True])
def test_the_lines_give_the_ids_of_the_tokenizer(tokenizer: Tokenizer, fixed: bool, tmp_path: Path) -> None:
    rows = tokenizer.encode_batch(TEXTS, max_length=12)
    width = 12 if fixed else max(map(len, rows))
    expected = [[tokenizer.padding_id] * (width - len(row)) + row for row in rows]
    found = encoded(of_texts(tokenizer, max_length=12, fixed=fixed), tmp_path)
    assert found.dtype == np.int64
    assert found.tolist() == expected
