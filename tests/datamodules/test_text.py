"""A user's own texts: formats, mistakes with their lines, words and pieces, and predicting without a training file."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from datamodules import TextDataModule
from datamodules import text_sources as module
from datamodules.records import as_label

ROWS = [("good, film", "pos"), ("bad\nplot", "neg"), ("the good the best", "pos"), ("dull", "neg"), ("good", "pos")]


def as_csv(path: Path, delimiter: str = ",") -> None:
    lines = [delimiter.join(("label", "text")), *(f'{label}{delimiter}"{text}"' for text, label in ROWS)]
    path.write_text("\r\n".join(lines) + "\r\n\r\n", encoding="utf-8-sig")


def as_json_lines(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps({"text": text, "label": label, "more": 1}) for text, label in ROWS))


def as_parquet(path: Path) -> None:
    text, label = zip(*ROWS, strict=True)
    pq.write_table(
        pa.table({"label": pa.array(label).dictionary_encode(), "text": pa.array(text, pa.large_string())}), path
    )


WRITERS: dict[str, Callable[[Path], None]] = {
    "t.csv": as_csv,
    "t.TSV": lambda path: as_csv(path, "\t"),
    "t.jsonl": as_json_lines,
    "t.ndjson": as_json_lines,
    "t.parquet": as_parquet,
}


def ready(stage: str, **args: Any) -> TextDataModule:
    data = TextDataModule(**args)
    data.prepare_data()
    data.setup(stage)
    return data


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.fixture
def train_file(tmp_path: Path) -> str:
    as_csv(tmp_path / "train.csv")
    return str(tmp_path / "train.csv")


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> bool:
    return "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_batches(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    data = ready("fit", train_file=str(tmp_path / name), val_fraction=0)
    assert data.train_table is not None
    assert data.val_table is None
    # good 3, the 2, then by appearance film, bad, best, dull with one each. "bad\nplot": Keras' filter has the newline.
    ids, target = data.train_table[torch.arange(5)]
    good, the, film, bad, plot, best, dull = range(4, 11)
    assert ids.tolist() == [
        [0, 0, 1, good, film],
        [0, 0, 1, bad, plot],
        [1, the, good, the, best],
        [0, 0, 0, 1, dull],
        [0, 0, 0, 1, good],
    ]
    assert target.tolist() == [1, 0, 1, 0, 1]
    assert data.model_args() == {
        "num_classes": 2,
        "class_names": ["neg", "pos"],
        "vocab_size": 11,
        "padding_id": 0,
        "max_length": 256,
        "mask_padding": True,
        "tokenizer": "words",
    }
    assert list(data.checksums()) == [str(tmp_path / name)]


def test_basic_english_learns_torchtexts_ids(train_file: str) -> None:
    data = ready("fit", train_file=train_file, val_fraction=0, tokenizer="basic_english", num_words=6)
    assert data.train_table is not None
    # good 3, the 2, then by alphabet "," bad, best, dull, film, plot with one each; six ids in all.
    ids, _ = data.train_table[torch.arange(5)]
    unknown, padding, good, the, comma, bad = range(6)
    assert ids.tolist() == [
        [padding, good, comma, unknown],
        [padding, padding, bad, unknown],
        [the, good, the, unknown],
        [padding, padding, padding, unknown],
        [padding, padding, padding, good],
    ]
    told = data.model_args()
    assert (told["vocab_size"], told["padding_id"], told["tokenizer"]) == (6, 1, "basic_english")


def test_rarer_words_than_min_freq_are_unknown(train_file: str) -> None:
    # good 3, the 2, every other word 1
    for tokenizer, words in (("words", ["good", "the"]), ("basic_english", ["<unk>", "<pad>", "good", "the"])):
        for min_freq, kept in ((3, words[:-1]), (2, words)):  # each is counted anew, and not read from the cache
            data = TextDataModule(train_file=train_file, tokenizer=tokenizer, min_freq=min_freq)
            data.model_args()
            assert data.state_dict()["tokenizer"]["words"] == kept


def test_a_vocabulary_file_decides_the_ids(train_file: str, tmp_path: Path) -> None:
    path = write(tmp_path / "v.json", '["<unk>", "film", ",", "good", "<pad>", "the"]')
    data = ready("fit", train_file=train_file, val_fraction=0, vocab_file=path)
    assert data.train_table is not None
    assert data.train_table[torch.arange(3)][0].tolist() == [[4, 3, 2, 1], [4, 4, 0, 0], [5, 3, 5, 0]]
    told = data.model_args()
    assert (told["vocab_size"], told["padding_id"]) == (6, 4)
    assert told["class_names"] == ["neg", "pos"]
    assert list(data.checksums()) == [path, train_file]


def test_a_vocabulary_file_and_classes_predict_without_a_training_file(tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", "<unk>\nfilm\n")
    data = ready("predict", vocab_file=path, class_names=["a", "b"], inputs=["film zzz", "film"])
    assert data.predict_table is not None
    assert data.predict_table[torch.arange(2)][0].tolist() == [[1, 0], [2, 1]]  # 2 is behind the words: it pads
    assert data.model_args()["vocab_size"] == 3
    with pytest.raises(ValueError, match=r"the classes are not known: give --data.train_file my.csv"):
        TextDataModule(vocab_file=path).model_args()


def test_a_state_stands_for_the_vocabulary_file(train_file: str, tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", "<unk>\ngood\n<pad>\n")
    trained = ready("fit", train_file=train_file, vocab_file=path)
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    Path(path).unlink()
    data = TextDataModule(vocab_file=path, inputs=["zzz good"])
    data.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    data.setup("predict")
    assert data.predict_table is not None
    assert data.predict_table[torch.tensor([0])][0].tolist() == [[0, 1]]
    assert data.model_args() == trained.model_args()
    write(Path(path), "<unk>\n<pad>\ngood\n")
    with pytest.raises(ValueError, match=r"v.txt is not the vocabulary that the checkpoint was trained with: leave it"):
        TextDataModule(vocab_file=path).load_state_dict(trained.state_dict())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gone.json", FileNotFoundError, "gone.json: no such file"),
        ("v.csv", ValueError, "v.csv: expected a vocabulary .json, .txt, .pt, .pth, .pkl, .pickle"),
        ("v.json", ValueError, "v.json: no JSON (Expecting value"),
    ],
)
def test_a_vocabulary_file_that_cannot_be_read_is_one_line(
    name: str, error: type[Exception], message: str, train_file: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name != "gone.json":
        write(path, "nothing")
    with pytest.raises(error, match=re.escape(message)) as caught:
        TextDataModule(train_file=train_file, vocab_file=str(path)).model_args()
    assert one_line(caught)


def test_texts_of_like_length_share_a_batch(train_file: str) -> None:
    data = ready("fit", train_file=train_file, val_file=train_file, batch_size=2, max_length=3)
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    assert [tuple(ids.shape) for ids, _ in loader] == [(2, 3), (2, 3), (1, 2)]


def test_validation_is_drawn_by_seed(train_file: str) -> None:
    parts = [ready("fit", train_file=train_file, val_fraction=0.4, seed=seed) for seed in (0, 0, 1, 2, 3)]
    shown = []
    for data in parts:
        assert data.train_table is not None
        assert data.val_table is not None
        assert (len(data.train_table), len(data.val_table)) == (3, 2)
        shown.append(str(data.val_table[torch.arange(2)]))
    assert shown[0] == shown[1]
    assert len(set(shown)) > 1


def test_second_start_reads_the_cache(train_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ready("fit", train_file=train_file)
    monkeypatch.setattr(module, "read_records", None)
    ready("fit", train_file=train_file)


@pytest.mark.parametrize("fixture", ["bert_checkpoint", "gpt2_checkpoint"])
def test_pieces_are_padded_and_cut_as_transformers_does(
    fixture: str, train_file: str, request: pytest.FixtureRequest
) -> None:
    folder = str(request.getfixturevalue(fixture))
    theirs = AutoTokenizer.from_pretrained(folder)
    theirs.pad_token = theirs.pad_token or theirs.eos_token
    data = ready("fit", train_file=train_file, val_fraction=0, tokenizer=folder, max_length=5)
    assert data.train_table is not None
    expected = theirs([t for t, _ in ROWS], truncation=True, max_length=5, padding=True, return_tensors="pt")[
        "input_ids"
    ]
    assert torch.equal(data.train_table[torch.arange(5)][0], expected)
    told = data.model_args()
    assert told["tokenizer"] == folder
    assert told["padding_id"] == theirs.pad_token_id
    assert told["vocab_size"] == len(theirs)
    assert (
        TextDataModule(class_names=["a", "b"], tokenizer=folder).model_args()["max_length"] == 64
    )  # the folder's limit


def test_two_classes_and_a_checkpoint_predict_without_any_file(bert_checkpoint: Path) -> None:
    sentences = ["I love using transformers!", "This movie was terrible."]
    data = ready("predict", class_names=["0", "1"], tokenizer=str(bert_checkpoint), inputs=sentences)
    assert data.model_args()["num_classes"] == 2
    assert data.predict_table is not None
    ids, target = data.predict_table[torch.arange(2)]
    theirs = AutoTokenizer.from_pretrained(bert_checkpoint)
    assert torch.equal(ids, theirs(sentences, padding=True, return_tensors="pt")["input_ids"])
    assert target.tolist() == [-1, -1]
    assert data.predict_names() == sentences


@pytest.mark.parametrize("tokenizer", ["words", "basic_english", "checkpoint"])
def test_a_state_predicts_and_tests_without_the_training_file(
    tokenizer: str, train_file: str, tmp_path: Path, bert_checkpoint: Path
) -> None:
    args: dict[str, Any] = {"tokenizer": str(bert_checkpoint) if tokenizer == "checkpoint" else tokenizer}
    trained = ready("fit", train_file=train_file, val_fraction=0, **args)
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    test_file = write(tmp_path / "test.csv", "text,label\nthe zzz film,pos\n")
    data = TextDataModule(
        train_file="gone.csv",
        test_file=test_file,
        tokenizer="gone/from/here" if tokenizer == "checkpoint" else tokenizer,
    )
    data.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    data.setup("test")
    assert data.test_table is not None
    told = data.model_args()
    assert {**told, "tokenizer": ""} == {**trained.model_args(), "tokenizer": ""}
    predicted = TextDataModule(inputs="the zzz film", tokenizer=data.tokenizer)
    predicted.load_state_dict(trained.state_dict())
    predicted.setup("predict")
    assert predicted.predict_table is not None
    one = torch.tensor([0])
    assert torch.equal(predicted.predict_table[one][0], data.test_table[one][0])
    assert data.test_table[one][1].tolist() == [1]
    data.setup("predict")
    assert data.predict_names() == ["the zzz film"]


def test_a_state_that_comes_after_setup_is_used(train_file: str) -> None:
    data = ready("predict", train_file=train_file, inputs="good film")
    words = {"kind": "words", "form": "keras", "words": ["film"]}
    data.load_state_dict({"tokenizer": words, "class_names": ["x", "y"]})
    assert data.predict_table is not None
    assert data.predict_table[torch.tensor([0])][0].tolist() == [[1, 2, 4]]


def test_inputs_are_sentences_and_files(train_file: str, tmp_path: Path) -> None:
    lines = write(tmp_path / "l.txt", "\ufeffone\n\n two \r\n")
    inputs = ["a sentence of notes.txt", lines, train_file, "Good.", "wow.great"]
    data = ready("predict", train_file=train_file, inputs=inputs)
    assert data.predict_names() == [
        "a sentence of notes.txt",
        "one",
        " two ",
        *(t for t, _ in ROWS),
        "Good.",
        "wow.great",
    ]


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ("missing.txt", FileNotFoundError, "missing.txt: no such file"),
        ("missing.csv", FileNotFoundError, "missing.csv: no such file"),
        (["", " "], ValueError, "inputs hold no text: give sentences, or files .txt, .csv, .tsv, .jsonl or .parquet"),
        ("bad \udce9", ValueError, r"inputs: the text is not UTF-8 \(U\+DCE9 alone\)"),
    ],
)
def test_inputs_that_cannot_be_read_are_refused(
    inputs: str | list[str], error: type[Exception], message: str, train_file: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        ready("predict", train_file=train_file, inputs=inputs)
    assert one_line(caught)


def test_integer_labels_sort_by_number_and_names_by_alphabet(tmp_path: Path) -> None:
    rows = "".join(f"t,{label}\n" for label in (10, 9, 2, 10, "2.0", " 9 "))
    path = write(tmp_path / "n.csv", "text,label\n" + rows)
    assert ready("fit", train_file=path, val_fraction=0).model_args()["class_names"] == ["2", "9", "10"]
    path = write(tmp_path / "m.csv", "text,label\nt,b\nt,a10\nt,a9\n")
    data = ready("fit", train_file=path, val_fraction=0)
    assert data.model_args()["class_names"] == ["a10", "a9", "b"]
    assert data.train_table is not None
    assert data.train_table[torch.arange(3)][1].tolist() == [2, 0, 1]


def test_class_names_fix_the_order_and_integers_are_places_in_them(tmp_path: Path, train_file: str) -> None:
    data = ready("fit", train_file=train_file, val_fraction=0, class_names=["pos", "other", "neg"])
    assert data.train_table is not None
    assert data.train_table[torch.arange(5)][1].tolist() == [0, 2, 0, 2, 0]
    path = write(tmp_path / "n.csv", "text,label\na,1\nb,0\n")
    data = ready("fit", train_file=path, val_fraction=0, class_names=["negative", "positive"])
    assert data.train_table is not None
    assert data.train_table[torch.arange(2)][1].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("value", "label"), [("pos ", "pos"), (3, "3"), ("3", "3"), (3.0, "3"), ("-0", "0"), ("007", "007"), (True, "true")]
)
def test_labels_are_names(value: object, label: str) -> None:
    assert as_label(value, "f:1") == label


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "f:1: the label is empty, expected a class name or a whole number"),
        (" ", "f:1: the label is empty"),
        (float("nan"), "f:1: the label is empty"),
        (-100, "f:1: the label is -100; integer labels count from 0"),
        ("-1.0", "f:1: the label is -1.0; integer labels count from 0"),
        (0.5, "f:1: the label 0.5 is a fraction, expected a class name or a whole number"),
        ("1e3", "f:1: the label 1e3 is a fraction"),
        ([1], "f:1: the label is a list, expected a class name or a whole number"),
        ("\ud800", r"f:1: the text is not UTF-8 \(U\+D800 alone\)"),
    ],
)
def test_labels_that_are_no_class_are_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_label(value, "f:1")


MISTAKES: list[tuple[str, str | bytes, str]] = [
    ("f.csv", "", "f.csv: the file is empty, expected a header with 'text' and 'label'"),
    ("f.csv", "text,label\n", "f.csv: no rows, expected at least one with text and label"),
    ("f.csv", "texts,label\na,b\n", "f.csv:1: no column 'text' among 'texts', 'label', did you mean 'texts'?"),
    ("f.csv", "text,label,text\n", "f.csv:1: the column 'text' stands 2 times, expected once"),
    (
        "f.csv",
        "text,label\na,b\na, b, c\n",
        "f.csv:3: 3 fields, expected 2 (text, label); a text with a comma in it needs",
    ),
    ("f.csv", "text,label\na,b\na\n", "f.csv:3: 1 fields, expected 2 (text, label)"),
    (
        "f.csv",
        'text,label\n"a\nb",c\n"open,d\ne,f\n',
        "f.csv:4: a quote that is opened here is not closed up to line 5",
    ),
    (
        "f.csv",
        'text,label\n"a" b,c\n',
        "f.csv:2: ',' expected after '\"' in the row that ends at line 2; a quote inside",
    ),
    (
        "f.csv",
        b"text,label\na,b\ncaf\xe9,b\n",
        "f.csv:3: not UTF-8 (byte 0xe9 at place 4 of the line); save the file as UTF-8",
    ),
    ("f.csv", "text,label\n".encode("utf-16"), "f.csv:1: not UTF-8 (byte 0xff at place 1 of the line)"),
    ("f.csv", "text,label\na\0,b\n", "f.csv:2: a NUL byte, expected UTF-8 text"),
    ("f.csv", "text,label\na,b\na,\n", "f.csv:3: the label is empty"),
    ("f.csv", "text,label\na,0\na,-100\n", "f.csv:3: the label is -100; integer labels count from 0"),
    ("f.csv", "text,label\na,0\na,0\n", "f.csv: every label is '0', expected at least two classes"),
    ("f.tsv", "text\tlabel\na, b\n", "f.tsv:2: 1 fields, expected 2 (text, label)"),
    ("f.jsonl", "\n", "f.jsonl: the file is empty, expected JSON objects with 'text' and 'label'"),
    ("f.jsonl", '{"text": "a", "label": 0}\n{"text": ', "f.jsonl:2: no JSON (Expecting value"),
    ("f.jsonl", "[" * 100_000, "f.jsonl:1: no JSON ("),
    ("f.jsonl", "[1]", "f.jsonl:1: a JSON list, expected an object such as {'text': …}"),
    (
        "f.jsonl",
        '{"text": "a", "lable": 0}',
        "f.jsonl:1: no column 'label' among 'text', 'lable', did you mean 'lable'?",
    ),
    ("f.jsonl", '{"text": 5, "label": 0}', "f.jsonl:1: the column 'text' is a int, expected text"),
    ("f.jsonl", '{"text": null, "label": 0}', "f.jsonl:1: the column 'text' is empty, expected text"),
    ("f.jsonl", '{"text": "a\\ud800", "label": 0}', "f.jsonl:1: the text is not UTF-8 (U+D800 alone)"),
    ("f.jsonl", '{"text": "a", "label": 1.5}', "f.jsonl:1: the label 1.5 is a fraction"),
    ("f.parquet", "no parquet", "f.parquet: no Parquet file that can be read: "),
    ("f.xlsx", "x", "f.xlsx: expected a file .csv, .tsv, .jsonl, .ndjson or .parquet"),
    (
        "f.csv",
        "text,label\n" + "".join(f"a,x{i}\n" for i in range(21)),
        "f.csv: 21 different labels in 21 rows; the column looks like no label; name the right one by --data.label_c",
    ),
    (
        "f.csv",
        "text,label\n" + "".join(f"a,x{i}\na,x{i}\n" for i in range(1001)),
        "f.csv:2002: more than 1,000 different labels; the column looks like no label",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), MISTAKES)
def test_a_mistake_in_a_file_is_one_line_with_its_place(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        TextDataModule(train_file=path).model_args()
    assert one_line(caught)


def test_mistakes_in_parquet_are_named(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0.0, None]}), path)
    with pytest.raises(ValueError, match=r"f.parquet:2: the label is empty"):
        TextDataModule(train_file=str(path)).model_args()
    with pytest.raises(ValueError, match=r"f.parquet: no column 'txt' among 'text', 'label', did you mean 'text'?"):
        TextDataModule(train_file=str(path), text_column="txt").model_args()


def test_a_long_field_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", f"text,label\n{'a ' * 200_000},x\nb,y\n")
    assert TextDataModule(train_file=path).model_args()["num_classes"] == 2


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_label_that_training_does_not_know_is_refused(split: str, train_file: str, tmp_path: Path) -> None:
    other = write(tmp_path / "other.csv", "text,label\na,pos\na,neutral\n")
    with pytest.raises(ValueError, match=r"other.csv:3: the label 'neutral' is not among the 2 classes neg, pos"):
        ready("fit", train_file=train_file, **{f"{split}_file": other})


def test_a_label_outside_class_names_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "text,label\na,0\na,2\n")
    with pytest.raises(ValueError, match=r"f.csv:3: the label '2' is not among the 2 classes a, b"):
        ready("fit", train_file=path, class_names=["a", "b"])


def test_missing_files_are_named(train_file: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone.csv: no such file"):
        TextDataModule(train_file="gone.csv").model_args()
    with pytest.raises(FileNotFoundError, match=r"gone.csv: no such file"):
        ready("fit", train_file=train_file, test_file="gone.csv")


def test_nothing_to_learn_from_says_what_to_give(bert_checkpoint: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the words are those of a training file: give --data.train_file my.csv .* or --ckpt"
    ):
        TextDataModule().model_args()
    told = TextDataModule(tokenizer=str(bert_checkpoint)).model_args()
    assert "vocab_size" in told
    assert not {"num_classes", "class_names"} & told.keys()  # left to the model
    with pytest.raises(ValueError, match=r"nothing to train on: give --data.train_file my.csv"):
        ready("fit", tokenizer=str(bert_checkpoint))
    known: dict[str, Any] = {"tokenizer": str(bert_checkpoint), "class_names": ["a", "b"]}
    with pytest.raises(ValueError, match=r"nothing to train on: give --data.train_file my.csv"):
        ready("fit", **known)
    with pytest.raises(ValueError, match=r"nothing to predict: give --data.inputs"):
        ready("predict", **known)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"num_words": 4}, "num_words must be at least 5, got 4"),
        ({"min_freq": 0}, "min_freq must be at least 1, got 0"),
        ({"min_freq": 2, "tokenizer": "bert"}, "min_freq is for words, and the checkpoint 'bert' has its own pieces"),
        (
            {"vocab_file": "v.json", "tokenizer": "bert"},
            "give either vocab_file, or the checkpoint 'bert' as tokenizer",
        ),
        (
            {"vocab_file": "v.json", "num_words": 10_000},
            "num_words and min_freq are for words that are learnt, and voc",
        ),
        (
            {"vocab_file": "v.json", "min_freq": 2},
            "num_words and min_freq are for words that are learnt, and vocab_fil",
        ),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"val_fraction": float("nan")}, "val_fraction is a fraction of the training file, 0 to below 1, got nan"),
        ({"class_names": ["a", "a"]}, "class_names must be two or more different names"),
        ({"dataset": "x", "train_file": "y"}, "give either dataset, or train_file, val_file and test_file"),
    ],
)
def test_settings_out_of_range_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextDataModule(**args)


def test_a_validation_part_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "text,label\na,x\nb,y\n")
    with pytest.raises(ValueError, match=r"the validation part must leave a training sample: 2 of 2 samples"):
        ready("fit", train_file=path, val_fraction=0.9)


class Split:
    """Stands for a split of the library `datasets`."""

    def __init__(self, text: list[Any], label: list[Any], file: Path, names: list[str] | None = None) -> None:
        self.columns = {"text": text, "label": label}
        self.column_names, self.features = ["text", "label"], {"label": type("Feature", (), {"names": names})()}
        self.cache_files = [{"filename": str(file)}]

    def __len__(self) -> int:
        return len(self.columns["text"])

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {name: column[i] for name, column in self.columns.items()}

    def select_columns(self, columns: list[str]) -> "Split":
        return self

    def iter(self, batch_size: int) -> list[dict[str, Any]]:
        return [self.columns]


def test_a_dataset_of_the_hub_has_its_splits_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hub_answers", lambda dataset: True)
    write(tmp_path / "a", "a")
    write(tmp_path / "b", "b")
    every = {
        "train": Split(["a", "b"], [1, 0], tmp_path / "a", ["no", "yes"]),
        "validation": Split(["b"], [1], tmp_path / "b", ["no", "yes"]),
        "test": Split(["?"], [-1], tmp_path / "b", ["no", "yes"]),
    }
    library = type(sys)("datasets")
    library.load_dataset = lambda name: every  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", library)
    data = ready("fit", dataset="some/set")
    assert data.model_args()["class_names"] == ["no", "yes"]
    assert data.train_table is not None
    assert data.val_table is not None
    assert data.train_table[torch.arange(2)][1].tolist() == [1, 0]
    assert data.val_table[torch.arange(1)][1].tolist() == [1]
    data.setup("test")
    assert data.test_table is None  # its labels are kept secret
    with pytest.raises(ValueError, match=r"some/set\[train\]: no column 'sentence' among 'text', 'label'"):
        ready("fit", dataset="some/set", text_column="sentence")
    del every["train"]
    with pytest.raises(ValueError, match=r"the dataset 'some/set' has no split 'train', only 'validation', 'test'"):
        ready("fit", dataset="some/set")


def test_a_dataset_without_library_or_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        ValueError, match=r"a dataset of the hub needs the package datasets: pip install 'lit-models\[hub\]'"
    ):
        ready("fit", dataset="some/set")

    monkeypatch.undo()
    start = time.perf_counter()
    with pytest.raises(
        FileNotFoundError, match=r"cannot get the dataset 'some/set': no network, or no such name"
    ) as caught:
        ready("fit", dataset="some/set")
    assert one_line(caught)
    assert time.perf_counter() - start < 20


@pytest.mark.filterwarnings("ignore")  # of the library's own
def test_a_folder_is_a_dataset_too(train_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    (tmp_path / "set").mkdir()
    Path(train_file).rename(tmp_path / "set" / "train.csv")
    data = ready("fit", dataset=str(tmp_path / "set"), val_fraction=0)
    assert data.train_table is not None
    assert data.train_table[torch.arange(5)][1].tolist() == [1, 0, 1, 0, 1]
    assert [len(c) for c in data.checksums().values()] == [64]


def test_workers_give_the_same_batches(train_file: str) -> None:
    data = ready("fit", train_file=train_file, batch_size=2, num_workers=1)
    alone = ready("fit", train_file=train_file, batch_size=2)
    for ours, theirs in zip(data.train_dataloader(), alone.train_dataloader(), strict=True):
        assert torch.equal(ours[0], theirs[0])
