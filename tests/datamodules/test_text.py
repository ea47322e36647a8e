"""A user's own texts: formats, mistakes with their lines, words and pieces, and predicting without a training file."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from datamodules import DataSpec, TextDataModule
from datamodules.errors import MissingFileError, UserError
from datamodules.storage.table_files import suffixes

ROWS = [("good, film", "pos"), ("bad\nplot", "neg"), ("the good the best", "pos"), ("dull", "neg"), ("good", "pos")]


def small(folder: Path) -> list[dict[str, Any]]:
    """Settings that `tests/testing/test_data.py` checks."""
    words = ["good", "bad", "plot", "film", "dull", "the", "best"]
    rows = [{"text": " ".join(words[i % 3 : i % 7 + 1]), "label": ["a", "b"][: i % 3]} for i in range(21)]
    classes = [row | {"label": "pos" if i % 2 else "neg"} for i, row in enumerate(rows)]
    for name, content in (("labels", rows), ("classes", classes)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    files = {name: str(folder / f"{name}.jsonl") for name in ("labels", "classes")}
    return [
        {"train_file": files["classes"], "test_file": files["classes"], "val_fraction": 0.3, "batch_size": 4},
        {"train_file": files["labels"], "label_separator": ";", "val_fraction": 0.3, "batch_size": 4},
    ]


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
    rows = (f'{label},"{text}"\n' for text, label in ROWS)
    return write(tmp_path / "train.csv", "label,text\n" + "".join(rows))


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> bool:
    return "\n" not in str(caught.value)


def test_ids_are_ranks_and_the_model_is_told_the_sizes(train_file: str) -> None:
    data = ready("fit", train_file=train_file, val_fraction=0)
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
    assert data.spec() == DataSpec(
        task="classification",
        num_classes=2,
        class_names=["neg", "pos"],
        vocab_size=11,
        padding_id=0,
        max_length=256,
        mask_padding=True,
        tokenizer="words",
    )
    assert list(data.checksums()) == [train_file]


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
    spec = data.spec()
    assert (spec.vocab_size, spec.padding_id, spec.tokenizer) == (6, 1, "basic_english")


def test_rarer_words_than_min_freq_are_unknown(train_file: str) -> None:
    # good 3, the 2, every other word 1
    for tokenizer, words in (("words", ["good", "the"]), ("basic_english", ["<unk>", "<pad>", "good", "the"])):
        for min_freq, kept in ((3, words[:-1]), (2, words)):  # each is counted anew, and not read from the cache
            data = TextDataModule(train_file=train_file, tokenizer=tokenizer, min_freq=min_freq)
            data.spec()
            assert data.state_dict()["tokenizer"]["words"] == kept


def test_a_vocabulary_file_decides_the_ids(train_file: str, tmp_path: Path) -> None:
    path = write(tmp_path / "v.json", '["<unk>", "film", ",", "good", "<pad>", "the"]')
    data = ready("fit", train_file=train_file, val_fraction=0, vocab_file=path)
    assert data.train_table is not None
    assert data.train_table[torch.arange(3)][0].tolist() == [[4, 3, 2, 1], [4, 4, 0, 0], [5, 3, 5, 0]]
    spec = data.spec()
    assert (spec.vocab_size, spec.padding_id, spec.class_names) == (6, 4, ["neg", "pos"])
    assert list(data.checksums()) == [path, train_file]


def test_a_vocabulary_file_and_classes_predict_without_a_training_file(tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", "<unk>\nfilm\n")
    data = ready("predict", vocab_file=path, class_names=["a", "b"], inputs=["film zzz", "film"])
    assert data.predict_table is not None
    assert data.predict_table[torch.arange(2)][0].tolist() == [[1, 0], [2, 1]]  # 2 is behind the words: it pads
    assert data.spec().vocab_size == 3
    with pytest.raises(
        UserError,
        match=r"the classes are unknown: give --data.train_file with a file .csv, .*, or --data.class_names$",
    ):
        TextDataModule(vocab_file=path).spec()


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
    assert data.spec() == trained.spec()
    write(Path(path), "<unk>\n<pad>\ngood\n")
    with pytest.raises(UserError, match=r"v.txt is not the vocabulary that the checkpoint was trained with: leave it"):
        TextDataModule(vocab_file=path).load_state_dict(trained.state_dict())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gone.json", MissingFileError, "gone.json: no such file"),
        ("v.csv", UserError, "v.csv: expected a vocabulary .json, .txt, .pt, .pth, .pkl, .pickle"),
        ("v.json", UserError, "v.json: not JSON (Expecting value"),
    ],
)
def test_a_vocabulary_file_that_cannot_be_read_is_one_line(
    name: str, error: type[Exception], message: str, train_file: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name != "gone.json":
        write(path, "nothing")
    with pytest.raises(error, match=re.escape(message)) as caught:
        TextDataModule(train_file=train_file, vocab_file=str(path)).spec()
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
    spec = data.spec()
    assert (spec.tokenizer, spec.padding_id, spec.vocab_size) == (folder, theirs.pad_token_id, len(theirs))
    assert TextDataModule(class_names=["a", "b"], tokenizer=folder).spec().max_length == 64  # the folder's limit


def test_two_classes_and_a_checkpoint_predict_without_any_file(bert_checkpoint: Path) -> None:
    sentences = ["I love using transformers!", "This movie was terrible."]
    data = ready("predict", class_names=["0", "1"], tokenizer=str(bert_checkpoint), inputs=sentences)
    assert data.spec().num_classes == 2
    assert data.predict_table is not None
    ids, target = data.predict_table[torch.arange(2)]
    theirs = AutoTokenizer.from_pretrained(bert_checkpoint)
    assert torch.equal(ids, theirs(sentences, padding=True, return_tensors="pt")["input_ids"])
    assert target.tolist() == [-1, -1]
    assert list(data.predict_names()) == sentences


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
    assert replace(data.spec(), tokenizer=None) == replace(trained.spec(), tokenizer=None)
    predicted = TextDataModule(inputs="the zzz film", tokenizer=data.tokenizer)
    predicted.load_state_dict(trained.state_dict())
    predicted.setup("predict")
    assert predicted.predict_table is not None
    one = torch.tensor([0])
    assert torch.equal(predicted.predict_table[one][0], data.test_table[one][0])
    assert data.test_table[one][1].tolist() == [1]
    data.setup("predict")
    assert list(data.predict_names()) == ["the zzz film"]


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
    assert list(data.predict_names()) == [
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
        ("missing.txt", MissingFileError, "missing.txt: no such file"),
        ("missing.csv", MissingFileError, "missing.csv: no such file"),
        (
            ["", " "],
            UserError,
            r"^inputs contain no text: give sentences, or files \.csv, .* or \.txt$",
        ),
        ("bad \udce9", UserError, r"^'bad \\udce9': the text is not UTF-8 \(byte 0xE9\)"),
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
    assert ready("fit", train_file=path, val_fraction=0).spec().class_names == ["2", "9", "10"]
    path = write(tmp_path / "m.csv", "text,label\nt,b\nt,a10\nt,a9\n")
    data = ready("fit", train_file=path, val_fraction=0)
    assert data.spec().class_names == ["a10", "a9", "b"]
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


def test_the_users_separator_and_encoding_are_used_for_training_and_prediction(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("text:label\ngrün:-1\nrot:1\n".encode("cp1250"))
    settings: dict[str, Any] = {"delimiter": ":", "encoding": "cp1250", "val_fraction": 0}
    data = ready("fit", train_file=str(tmp_path / "t.csv"), **settings)
    assert data.spec().class_names == ["-1", "1"]
    assert data.train_table is not None
    assert data.train_table[torch.arange(2)][1].tolist() == [0, 1]
    data = ready("predict", train_file=str(tmp_path / "t.csv"), inputs=str(tmp_path / "t.csv"), **settings)
    assert list(data.predict_names()) == ["grün", "rot"]


MISTAKES: list[tuple[str, str, str]] = [
    ("f.csv", "text,label\na,b\na,\n", "f.csv:3: the label is empty, expected a class name or a number"),
    ("f.csv", "text,label\na,0\na,-100\n", "f.csv:3: the label is -100, which marks rows without a class: remove them"),
    ("f.csv", "text,label\na,0\na,0\n", "f.csv: every label is '0', expected at least two classes"),
    ("f.csv", "texts,label\na,b\n", "f.csv:1: no column 'text' among 'texts', 'label', did you mean 'texts'?"),
    ("f.jsonl", '{"text": 5, "label": 0}', "f.jsonl:1: the column 'text' is of type int, expected text"),
    ("f.jsonl", '{"text": null, "label": 0}', "f.jsonl:1: the column 'text' is empty, expected text"),
    ("f.jsonl", '{"text": "a\\ud800", "label": 0}', "f.jsonl:1: the text is not UTF-8 (lone surrogate U+D800)"),
    ("f.xlsx", "x", f"f.xlsx: expected a file {suffixes()}"),
    (
        "f.csv",
        "text,label\n" + "".join(f"a,x{i}\n" for i in range(21)),
        "f.csv: 21 different labels in 21 rows; this column does not look like labels: name the right column with --d",
    ),
    (
        "f.csv",
        "text,label\n" + "".join(f"a,x{i}\na,x{i}\n" for i in range(1001)),
        "f.csv:2002: more than 1,000 different labels; this column does not look like labels: name the right column",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), MISTAKES)
def test_a_mistake_in_a_file_is_one_line_with_its_place(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        TextDataModule(train_file=path).spec()
    assert one_line(caught)


def test_a_label_that_is_missing_in_a_parquet_file_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0.0, None]}), tmp_path / "f.parquet")
    with pytest.raises(UserError, match=r"f.parquet:2: the label is empty"):
        TextDataModule(train_file=str(tmp_path / "f.parquet")).spec()


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_label_that_training_does_not_know_is_refused(split: str, train_file: str, tmp_path: Path) -> None:
    other = write(tmp_path / "other.csv", "text,label\na,pos\na,neutral\n")
    with pytest.raises(UserError, match=r"other.csv:3: the label 'neutral' is not among the 2 classes neg, pos"):
        ready("fit", train_file=train_file, **{f"{split}_file": other})


def test_a_label_outside_class_names_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "text,label\na,0\na,2\n")
    with pytest.raises(UserError, match=r"f.csv:3: the label '2' is not among the 2 classes a, b"):
        ready("fit", train_file=path, class_names=["a", "b"])


def test_missing_files_are_named(train_file: str) -> None:
    with pytest.raises(MissingFileError, match=r"gone.csv: no such file"):
        TextDataModule(train_file="gone.csv").spec()
    with pytest.raises(MissingFileError, match=r"gone.csv: no such file"):
        ready("fit", train_file=train_file, test_file="gone.csv")


def test_nothing_to_learn_from_says_what_to_give(bert_checkpoint: Path) -> None:
    with pytest.raises(
        UserError, match=r"the words are unknown: give --data.train_file with a file .csv, .*, or --ckpt_path$"
    ):
        TextDataModule().spec()
    spec = TextDataModule(tokenizer=str(bert_checkpoint)).spec()
    assert spec.vocab_size is not None
    assert (spec.num_classes, spec.class_names) == (None, None)  # the model decides
    with pytest.raises(UserError, match=r"^there is nothing to train on: give --data.train_file with a file .csv, "):
        ready("fit", tokenizer=str(bert_checkpoint))
    known: dict[str, Any] = {"tokenizer": str(bert_checkpoint), "class_names": ["a", "b"]}
    with pytest.raises(UserError, match=r"^there is nothing to train on: give --data.train_file with a file .csv, "):
        ready("fit", **known)
    with pytest.raises(UserError, match=r"^there is nothing to predict: give --inputs"):
        ready("predict", **known)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"num_words": 4}, "num_words must be at least 5, got 4"),
        ({"min_freq": 0}, "min_freq must be at least 1, got 0"),
        (
            {"min_freq": 2, "tokenizer": "bert"},
            "min_freq is for words, but the checkpoint 'bert' has its own pieces: leave it out",
        ),
        (
            {"vocab_file": "v.json", "tokenizer": "bert"},
            "give either vocab_file, or the checkpoint 'bert' as tokenizer",
        ),
        (
            {"vocab_file": "v.json", "num_words": 10_000},
            "num_words and min_freq are for words that are learned, but vocab_file has them",
        ),
        (
            {"vocab_file": "v.json", "min_freq": 2},
            "num_words and min_freq are for words that are learned, but vocab_file has them",
        ),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"val_fraction": float("nan")}, "val_fraction is a fraction, 0 or more and below 1, got nan"),
        ({"class_names": ["a", "a"]}, "class_names must be two or more different names, got"),
        ({"label_separator": ""}, "label_separator must not be empty: give a text such as ';', or leave it out"),
        ({"dataset": "x", "train_file": "y"}, "give either dataset, or train_file, val_file and test_file"),
    ],
)
def test_settings_out_of_range_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TextDataModule(**args)


def test_a_validation_part_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "text,label\na,x\nb,y\n")
    with pytest.raises(
        UserError, match=r"^a validation part of 2 samples leaves none of 2 for training: make it smaller$"
    ):
        ready("fit", train_file=path, val_fraction=0.9)


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


def test_the_same_column_for_text_and_label_is_refused(train_file: str) -> None:
    with pytest.raises(UserError, match=r"^text_column and label_column are both 'label': name the column with the"):
        TextDataModule(train_file=train_file, text_column="label")


@pytest.mark.parametrize("tokenizer", ["words", "basic_english"])
def test_settings_and_files_that_leave_no_words_are_refused(tokenizer: str, tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", "text,label\nfine film,x\nfilm,y\n")
    with pytest.raises(UserError) as error:
        ready("fit", train_file=file, min_freq=100000, tokenizer=tokenizer)
    often = "the most frequent one, 'film', occurs 2 times"
    assert str(error.value) == f"min_freq 100,000 leaves no words: {often}; lower it"
    file = write(tmp_path / "e.csv", "text,label\n,x\n ,y\n")
    with pytest.raises(UserError, match=r"e\.csv: no text has a word; --data.text_column names another column$"):
        ready("fit", train_file=file, tokenizer=tokenizer)


def test_labels_in_two_cases_are_refused_unless_class_names_list_them(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", "text,label\n" + "a,pos\nb,neg\nc,Pos\nd,pos \n" * 3)
    with pytest.raises(UserError) as error:
        ready("fit", train_file=file)
    assert str(error.value) == (
        f"labels differ only in case or blanks: 'pos' ({file}:2) and 'Pos' ({file}:4); write each label in one way, or "
        "list them in --data.class_names"
    )
    assert ready("fit", train_file=file, class_names=["neg", "pos", "Pos"]).spec().num_classes == 3


def test_a_folder_for_each_class_and_several_files_are_training_texts(tmp_path: Path) -> None:
    for label in ("neg", "pos"):
        (tmp_path / "films" / label).mkdir(parents=True)
        for i in range(3):
            write(tmp_path / "films" / label / f"{i}.txt", f"{label} film {i}")
    folder = str(tmp_path / "films")
    data = ready("fit", train_file=folder, test_file=folder, val_fraction=0)
    assert (len(data.train_table or ()), data.spec().class_names) == (6, ["neg", "pos"])
    more = write(tmp_path / "more.csv", "text,label\ngood,pos\n")
    data = ready("fit", train_file=[folder, more], val_fraction=0)
    assert data.train_table is not None
    assert data.train_table[torch.arange(7)][1].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert list(data.checksums()) == [folder, more]
    with pytest.raises(UserError, match=f"^{more} is named twice: leave one out$"):
        TextDataModule(train_file=[more, more])


def test_a_folder_without_texts_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder, expected a table, or a folder with a"):
        ready("fit", train_file=str(tmp_path))
