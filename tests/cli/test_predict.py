"""Predict: sentences, files and images in; label and probability on the screen and in a file, in input order."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from .conftest import WORDS, Run

AWKWARD = 'apple, "rose"\nand brick'  # a comma, quotes and a new line
SENTENCES = ["sea whale", "leaf", "brick fire apple cherry rose brick fire", "moss, lime"]
DOCUMENTS = ["I love using transformers!", "This library is difficult to understand."]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of each of the digits, XOR and the colours, whose CSV is gone again."""
    from lit_models.__main__ import main

    folder = tmp_path_factory.mktemp("trained")
    rows = [f"{w.split()[i % 5]} {w.split()[(i + 1) % 5]},{name}" for i in range(30) for name, w in WORDS.items()]
    table = folder / "colours.csv"
    table.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    here = ["--trainer.logger", "false", "--trainer.accelerator", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIT_MODELS_CACHE", str(folder / "cache"))
        fits = (
            ["digits_cnn", "--config", "smoke"],
            ["xor_mlp", "--trainer.max_epochs", "1", "--data.passes", "10"],
            ["text_rnn", "--data.train_file", str(table), "--trainer.max_epochs", "15", "--model.lr", "0.01"],
        )
        for fit in fits:
            assert main(["fit", "--config", *fit, *here]) == 0
    table.unlink()
    shutil.rmtree(folder / "cache")
    return folder / "runs"


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Any:
    """A copy of a checkpoint, apart from its run folder."""

    def copy(name: str) -> str:
        shutil.copy(trained / name / "version_0" / "checkpoints" / "last.ckpt", tmp_path / f"{name}.ckpt")
        return str(tmp_path / f"{name}.ckpt")

    return copy


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


OUT = ("--output", "out.csv")


def written() -> list[dict[str, str]]:
    """The rows of the file, which is then removed."""
    rows = read_csv(Path("out.csv"))
    Path("out.csv").unlink()
    return rows


def test_sentences_give_a_line_each_and_a_csv_in_input_order(run: Run, checkpoint: Any) -> None:
    status, out, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.inputs", *SENTENCES)
    assert (status, err) == (0, "")
    *lines, last = out.splitlines()
    assert last == "4 predictions in out.csv"
    rows = written()
    assert [row["input"] for row in rows] == SENTENCES  # by length they were predicted in another order
    assert [row["label"] for row in rows] == ["blue", "green", "red", "green"]
    assert list(rows[0]) == ["input", "label", "probability", "p(blue)", "p(green)", "p(red)"]
    for row, line in zip(rows, lines, strict=True):
        each = [float(row[f"p({name})"]) for name in ("blue", "green", "red")]
        assert sum(each) == pytest.approx(1, abs=1e-6)  # float32, eight digits written
        assert float(row["probability"]) == max(each) == float(row[f"p({row['label']})"])
        label, shown, text = line.split(maxsplit=2)
        assert (label, text) == (row["label"], row["input"])
        assert float(shown) == pytest.approx(max(each), abs=5e-5)  # printed with 4 places


def test_a_sentences_probabilities_do_not_depend_on_the_others(run: Run, checkpoint: Any) -> None:
    path = checkpoint("text_rnn")
    run("predict", "--ckpt_path", path, *OUT, "--data.inputs", *SENTENCES)
    together = written()
    for i, sentence in enumerate(SENTENCES):
        run("predict", "--ckpt_path", path, *OUT, "--data.inputs", sentence)
        (alone,) = written()
        for name in ("p(blue)", "p(green)", "p(red)"):
            assert float(alone[name]) == pytest.approx(float(together[i][name]), abs=1e-6)  # float32 sums


def test_many_samples_in_batches_by_length_come_back_in_input_order(run: Run, checkpoint: Any) -> None:
    apart = [" ".join(words.split()[i % 5] for i in range(n)) for n in range(1, 30) for words in WORDS.values()]
    status, out, _ = run(
        *("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.batch_size", "7", "--data.inputs", *apart)
    )
    assert status == 0
    rows = written()
    assert [row["input"] for row in rows] == apart
    red, blue, green = ([row["label"] for row in rows[i::3]] for i in range(3))
    for labels, name in ((red, "red"), (blue, "blue"), (green, "green")):
        assert labels.count(name) > len(labels) / 2, name  # words of one colour only; chance mixes a third
    assert "… and 67 more" in out  # 87, of which 20 are shown
    assert sum(line.startswith(("red", "blue", "green")) for line in out.splitlines()) == 20


def test_text_files_and_tables_are_read(run: Run, checkpoint: Any, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("sea whale\n\nleaf frog\n", encoding="utf-8")
    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "review"], [1, AWKWARD], [2, "jeans"]])
    objects = [{"review": AWKWARD}, {"review": "blätter, 草 🍀"}]
    (tmp_path / "objects.jsonl").write_text("".join(f"{json.dumps(o)}\n" for o in objects), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("lines.txt", "table.csv", "objects.jsonl")]
    status, out, err = run(
        *("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.text_column", "review"),
        *("--data.inputs", *files, "grass"),
    )
    assert status == 0, err
    texts = ["sea whale", "leaf frog", AWKWARD, "jeans", AWKWARD, "blätter, 草 🍀", "grass"]
    rows = written()
    assert [row["input"] for row in rows] == texts
    assert {len(row) for row in rows} == {6}
    assert rows[2]["label"] == rows[4]["label"] == "red"
    assert 'apple, "rose" and brick' in out  # on one line of the screen


def test_blank_lines_of_a_text_file_are_left_out_with_a_note_that_says_which(
    run: Run, checkpoint: Any, empty_folder: Path
) -> None:
    (empty_folder / "lines.txt").write_text("sea whale\n\nleaf frog\n  \n\n\n\n\nbrick\n", encoding="utf-8")
    (empty_folder / "one.txt").write_text("moss\n\n", encoding="utf-8")
    (empty_folder / "none.txt").write_text("ice\n", encoding="utf-8")
    files = ("lines.txt", "none.txt", "one.txt")
    status, _, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.inputs", *files)
    assert status == 0
    assert err.splitlines() == [
        "note: lines.txt: 6 blank lines left out (lines 2, 4, 5, 6, 7 and 1 more)",
        "note: one.txt: 1 blank line left out (line 2)",
    ]
    rows = written()
    assert [row["input"] for row in rows] == ["sea whale", "leaf frog", "brick", "ice", "moss"]


def test_json_lines_hold_the_same_as_the_csv(run: Run, checkpoint: Any) -> None:
    common = ("predict", "--ckpt_path", checkpoint("text_rnn"), "--data.inputs", *SENTENCES, AWKWARD, "größer 草")
    assert run(*common, *OUT)[0] == 0
    assert run(*common, "--output", "out.jsonl")[0] == 0
    rows = written()
    text = Path("out.jsonl").read_text(encoding="utf-8")
    objects = [json.loads(line) for line in text.splitlines()]
    assert "größer 草" in text
    for row, made in zip(rows, objects, strict=True):
        assert (made["input"], made["label"]) == (row["input"], row["label"])
        assert list(made["probabilities"]) == ["blue", "green", "red"]
        for name, value in made["probabilities"].items():
            assert value == pytest.approx(float(row[f"p({name})"]), rel=1e-7)  # eight digits are written in the CSV
        assert made["probability"] == max(made["probabilities"].values())


def test_predictions_leave_nothing_behind_and_overwrite_nothing(run: Run, trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained / "xor_mlp" / "version_0", tmp_path / "xor" / "version_0")
    path = str(folder / "checkpoints" / "last.ckpt")
    before = sorted(tmp_path.rglob("*"))
    for _ in range(2):
        status, out, err = run("predict", "--ckpt_path", path, "--data.inputs", "1,0")
        assert (status, err, len(out.splitlines())) == (0, "", 2)
        assert out.endswith("\n1 prediction; --output FILE.csv or FILE.jsonl writes them with all their numbers\n")
    assert sorted(tmp_path.rglob("*")) == before
    assert run("predict", "--ckpt_path", path, *OUT)[0] == 0
    first = Path("out.csv").read_bytes()
    line = "error: out.csv exists already and is not overwritten; give --output another name\n"
    assert run("predict", "--ckpt_path", path, *OUT, "--data.inputs", "1,0")[1:] == ("", line)
    assert Path("out.csv").read_bytes() == first
    assert list(Path().iterdir()) == [Path("out.csv")]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("csv", "output: expected a file .csv, .jsonl or .pt, or - for standard output, got 'csv'"),
        ("no/out.csv", "no folder no for out.csv; create it, or give --output another path"),
        ("taken/out.csv", "no folder taken for out.csv; create it, or give --output another path"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_at_once(
    run: Run, checkpoint: Any, output: str, message: str
) -> None:
    Path("taken").touch()
    assert run("predict", "--ckpt_path", checkpoint("xor_mlp"), "--output", output) == (2, "", f"error: {message}\n")


def test_standard_output_has_json_lines_and_nothing_else(run: Run, checkpoint: Any) -> None:
    words = ("--output", "-", "--model.lr", "0.5", "--data.inputs", *SENTENCES)  # the other rate is noted
    status, out, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), *words)
    assert status == 0
    assert [json.loads(line)["input"] for line in out.splitlines()] == SENTENCES
    assert err == "note: model.lr is 0.5, and was 0.01 when the checkpoint was made\n"
    assert run("predict", "--ckpt_path", checkpoint("text_rnn"), "--data.inputs", "leaf")[1].startswith("green ")


def test_probabilities_can_be_written_as_a_tensor(run: Run, checkpoint: Any) -> None:
    status, out, err = run("predict", "--ckpt_path", checkpoint("xor_mlp"), "--output", "out.pt")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "predictions: float64 (4, 2)"
    assert torch.load("out.pt", weights_only=True).shape == (4, 2)


def test_the_most_probable_classes_are_in_order(run: Run, checkpoint: Any) -> None:
    common = ("predict", "--ckpt_path", checkpoint("text_rnn"), "--data.inputs", *SENTENCES)
    assert run(*common, *OUT)[0] == 0
    every = written()
    status, out, _ = run(*common, *OUT, "--top_k", "2")
    assert status == 0
    rows = written()
    assert run(*common, "--output", "out.jsonl", "--top_k", "2")[0] == 0
    objects = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(rows[0]) == ["input", "label", "probability", "label_2", "probability_2"]
    for whole, row, made, line in zip(every, rows, objects, out.splitlines(), strict=False):
        best = sorted(("red", "green", "blue"), key=lambda name: -float(whole[f"p({name})"]))[:2]
        assert [row["label"], row["label_2"]] == best == list(made["probabilities"])
        assert [row["probability"], row["probability_2"]] == [whole[f"p({name})"] for name in best]
        assert line.split()[0:4:2] == best
    wide = ("--output", "-", "--top_k", "9")
    assert [len(json.loads(x)["probabilities"]) for x in run(*common, *wide)[1].splitlines()] == [3] * 4
    assert run(*common, "--top_k", "0")[2] == "error: top_k must be at least 1, got 0\n"


LINES = b"sea whale\n\n{not json\nleaf\n"
OBJECTS = b'{"text": "sea whale", "id": 1}\n{"id": 2}\n[]\n{"text": 3}\n{"text": "brick"}\n'


@pytest.mark.parametrize(
    ("content", "texts", "problems"),
    [
        (LINES, ["sea whale", "{not json", "leaf"], []),
        (b'leaf\n{"text": "sea"}\n', ["leaf"], ["line 2: a JSON object, and the first line is plain text"]),
        (b"sea \xe9\nbrick\nx\0y\n", ["brick"], ["line 1: not UTF-8", "line 3: a NUL byte, expected UTF-8 text"]),
        (
            OBJECTS,
            ["sea whale", "brick"],
            [
                "line 2: no 'text' among 'id'; --data.text_column names another one",
                "line 3: not a JSON object, as the first line is",
                "line 4: the column 'text' is of type int, expected text",
            ],
        ),
    ],
    ids=["lines", "JSON after a line", "not UTF-8", "JSON Lines"],
)
def test_standard_input_is_a_text_a_line_or_json_lines(
    run: Run,
    checkpoint: Any,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    texts: list[str],
    problems: list[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    status, _, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.inputs", "moss", "-")
    assert [row["input"] for row in written()] == ["moss", *texts]
    lines = [f"skipped: standard input, {problem}" for problem in problems]
    lines += ["note: standard input: 1 blank line left out (line 2)"] if content == LINES else []
    s = "s" if len(problems) > 1 else ""
    lines += [f"{len(problems)} input{s} could not be read, so the exit status is 3"] if problems else []
    assert (status, err.splitlines()) == (3 if problems else 0, lines)


def test_paths_of_images_and_rows_come_from_standard_input(
    run: Run, checkpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (28, 28), 7).save("a b.png")
    for name, content, inputs in (("digits_cnn", "a b.png\nc.png\n", ["a b.png"]), ("xor_mlp", "0,1\nx\n", ["0,1"])):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        status, _, err = run("predict", "--ckpt_path", checkpoint(name), *OUT, "--data.inputs", "-")
        assert (status, err.count("skipped: ")) == (3, 1)
        assert [row["input"] for row in written()] == inputs


def test_what_cannot_be_read_is_named_and_the_rest_is_done(run: Run, checkpoint: Any) -> None:
    Path("good").mkdir()
    for i in range(15):
        Path(f"good/{i:02}.png").write_bytes(b"no image")
    Image.new("L", (28, 28), 7).save("good/whole.png")
    status, _, err = run("predict", "--ckpt_path", checkpoint("digits_cnn"), *OUT, "--data.inputs", "good", "no.png")
    assert (status, [row["input"] for row in written()]) == (3, ["good/whole.png"])
    lines = err.splitlines()
    assert [line[:20] for line in lines[:10]] == [f"skipped: good/{i:02}.png" for i in range(10)]
    assert lines[10:] == ["skipped: 6 more", "16 inputs could not be read, so the exit status is 3"]


def test_a_file_with_a_mistake_is_left_out_as_a_whole(run: Run, checkpoint: Any) -> None:
    Path("a.csv").write_text("text\nsea\nice,sky\n")
    Path("b.csv").write_text("text\nleaf\n")
    status, _, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.inputs", "[ab].csv", "brick")
    assert (status, [row["input"] for row in written()]) == (3, ["leaf", "brick"])
    assert err.startswith("skipped: a.csv:3: 2 fields, expected 1 (text)")


PIPE = "; if it is a text, pipe it in: echo TEXT | … --inputs -"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("whole.png", "whole.png is an image, expected sentences, or files .csv, .csv.gz, .json, "),
        ("data.bin", "data.bin is a file .bin, expected sentences, or files .csv, "),
        ("plain", "plain is a file without a suffix, expected sentences, or files "),
        ("folder", "no text file in folder: expected sentences, or files "),
        ("link.csv", "link.csv is a link to a file that does not exist"),
        ("none.png", f"none.png: no such file{PIPE}"),
        ("none/of/them", f"none/of/them: no such file{PIPE}"),
        ("~/none", f"~/none: no such file{PIPE}"),
        ("none*.csv", f"no file matches none*.csv{PIPE}"),
        ("/dev/null", "/dev/null is a pipe or a device, expected a file; - reads standard input"),
        ("caf\udce9", "'caf\\udce9': the text is not UTF-8 (byte 0xE9)"),
    ],
)
def test_what_names_a_file_is_never_a_text(run: Run, checkpoint: Any, word: str, message: str) -> None:
    Image.new("L", (28, 28), 7).save("whole.png")
    for name in ("data.bin", "plain"):
        Path(name).touch()
    Path("folder").mkdir()
    Path("link.csv").symlink_to("nowhere.csv")
    status, out, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), "--data.inputs", word)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"error: {message}")


def test_texts_that_only_resemble_paths_are_texts(run: Run, checkpoint: Any) -> None:
    texts = ["What a film?", "a good / bad film", "see notes.txt", "wow.great", "[sic]", "5 *", "A film 😀", "[1, 2]"]
    status, _, err = run("predict", "--ckpt_path", checkpoint("text_rnn"), *OUT, "--data.inputs", *texts)
    assert (status, err) == (0, "")
    assert [row["input"] for row in written()] == texts


def test_rows_of_xor_are_named_by_their_numbers(run: Run, checkpoint: Any) -> None:
    status, _, err = run("predict", "--ckpt_path", checkpoint("xor_mlp"), *OUT)
    assert (status, err) == (0, "")
    every = written()
    assert [row["input"] for row in every] == ["0,0", "0,1", "1,0", "1,1"]
    assert run("predict", "--ckpt_path", checkpoint("xor_mlp"), *OUT, "--data.inputs", "1,1", "0,0", "0.5,-2")[0] == 0
    rows = written()
    assert [row["input"] for row in rows] == ["1,1", "0,0", "0.5,-2"]
    assert [rows[0]["p(1)"], rows[1]["p(1)"]] == [every[3]["p(1)"], every[0]["p(1)"]]


def test_the_test_split_is_predicted_when_no_input_is_given(run: Run, checkpoint: Any) -> None:
    status, _, err = run("predict", "--ckpt_path", checkpoint("digits_cnn"), *OUT)
    assert status == 0, err
    assert [row["input"] for row in written()] == [f"test[{i}]" for i in range(360)]


def test_images_folders_and_inverted_pictures_are_predicted(run: Run, checkpoint: Any, tmp_path: Path) -> None:
    from datamodules import MNISTDataModule

    data = MNISTDataModule(dataset="digits")
    data.setup("test")
    assert data.test_table is not None
    pixels = (data.test_table[torch.arange(4)][0] * 255).round().to(torch.uint8)[:, 0]
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for i, name in enumerate(("b.png", "a.png", "more/c.bmp")):
        Image.fromarray(pixels[i].numpy()).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    dark = tmp_path / "dark.jpg"
    Image.fromarray(255 - pixels[3].numpy()).resize((280, 280)).save(dark, quality=100)
    path = checkpoint("digits_cnn")
    assert run("predict", "--ckpt_path", path, *OUT)[0] == 0
    split = written()
    status, _, err = run("predict", "--ckpt_path", path, *OUT, "--data.inputs", str(dark), str(folder))
    assert status == 0, err
    rows = written()
    assert [row["input"] for row in rows] == [
        str(p) for p in (dark, folder / "a.png", folder / "b.png", folder / "more/c.bmp")
    ]
    columns = [f"p({i})" for i in range(10)]
    for row, place in zip(rows[1:], (1, 0, 2), strict=True):  # lossless: the same picture as in the split
        for name in columns:
            assert float(row[name]) == pytest.approx(float(split[place][name]), abs=1e-6)  # float32, other batches
    for name in columns:  # enlarged, inverted and compressed: almost the same picture
        assert float(rows[0][name]) == pytest.approx(float(split[3][name]), abs=0.05)


def test_the_documents_bert_program_is_one_command(run: Run, bert_checkpoint: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    status, out, err = run(
        *("predict", "--config", "text_bert", "--model.checkpoint", str(bert_checkpoint), *OUT),
        *("--data.inputs", *DOCUMENTS),
    )
    assert (status, err) == (0, "")
    assert "warning" not in out
    tokenizer: Any = AutoTokenizer.from_pretrained(bert_checkpoint)
    theirs = AutoModelForSequenceClassification.from_pretrained(bert_checkpoint).eval()
    with torch.no_grad():
        expected = theirs(**tokenizer(DOCUMENTS, padding=True, truncation=True, return_tensors="pt")).logits.softmax(1)
    rows = written()
    assert [row["input"] for row in rows] == DOCUMENTS
    ours = torch.tensor([[float(row["p(LABEL_0)"]), float(row["p(LABEL_1)"])] for row in rows])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)  # float32; eight digits are written
    for row, scores in zip(rows, expected, strict=True):
        assert row["label"] == f"LABEL_{int(scores.argmax())}"  # as the checkpoint's own config names them


def test_a_head_that_was_never_trained_is_said_plainly(run: Run, bert_checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(bert_checkpoint)
    tokenizer.save_pretrained(tmp_path / "encoder")
    AutoModelForSequenceClassification.from_pretrained(bert_checkpoint).bert.save_pretrained(tmp_path / "encoder")
    status, out, err = run(
        *("predict", "--config", "text_bert", "--model.checkpoint", str(tmp_path / "encoder")),
        *("--data.inputs", *DOCUMENTS),
    )
    assert status == 0, err
    assert out.startswith(
        f"warning: the classification head on {tmp_path / 'encoder'} is untrained, so these numbers mean nothing; "
        "train it (fit) or give --ckpt_path\n"
    )


def test_predicting_with_random_weights_warns_and_a_trained_checkpoint_does_not(run: Run, checkpoint: Any) -> None:
    warning = "warning: LitMLP is untrained, so these numbers mean nothing"
    assert warning in run("predict", "--config", "xor_mlp")[1]
    assert "warning" not in run("predict", "--ckpt_path", checkpoint("xor_mlp"))[1]


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("text_rnn", ["missing.csv"], "missing.csv: no such file"),
        ("text_rnn", ["missing.txt"], "missing.txt: no such file"),
        ("text_rnn", [""], "inputs contain no text: give sentences, or files"),
        ("text_rnn", ["[]"], "inputs contain no text: give sentences, or files"),
        ("text_rnn", ["empty.txt"], "inputs contain no text: give sentences, or files"),
        ("text_rnn", ["empty.csv"], "empty.csv: the file is empty, expected a header with 'text'"),
        ("text_rnn", ["other.csv"], "other.csv:1: no column 'text' among 'label', 'txt', did you mean 'txt'?"),
        ("digits_cnn", ["missing.png"], "no image or folder missing.png"),
        ("digits_cnn", ["empty.txt"], "empty.txt cannot be read as an image"),
        ("digits_cnn", ["cut.png"], "cut.png cannot be read as an image"),
        ("digits_cnn", ["folder"], "no image in folder: expected files .bmp"),
        ("digits_cnn", ["[]"], "inputs contain no image"),
        ("xor_mlp", ["1,0,1"], "a row has 2 numbers with commas, such as 0,1; got '1,0,1'"),
        ("xor_mlp", ["[]"], "inputs contain no row"),
    ],
)
def test_inputs_that_cannot_be_read_are_one_line(
    name: str, inputs: list[str], message: str, run: Run, checkpoint: Any, empty_folder: Path
) -> None:
    (empty_folder / "empty.txt").touch()
    (empty_folder / "empty.csv").touch()
    (empty_folder / "other.csv").write_text("label,txt\n1,a\n")
    (empty_folder / "folder").mkdir()
    Image.new("L", (28, 28), 7).save(empty_folder / "whole.png")
    (empty_folder / "cut.png").write_bytes((empty_folder / "whole.png").read_bytes()[:50])
    status, _, err = run("predict", "--ckpt_path", checkpoint(name), "--data.inputs", *inputs)
    assert status == 2, err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not Path("runs").exists()


def test_a_fine_tuned_checkpoint_needs_neither_its_encoder_nor_its_data_any_more(
    run: Run, bert_checkpoint: Path, colours: Path, tmp_path: Path
) -> None:
    encoder = tmp_path / "moved_away"
    shutil.copytree(bert_checkpoint, encoder)
    status, _, err = run(
        *("fit", "--config", "text_bert", "--config", "smoke", "--model.checkpoint", str(encoder)),
        *("--data.train_file", str(colours)),
    )
    assert status == 0, err
    shutil.rmtree(encoder)
    colours.unlink()
    path = "runs/text_bert/version_0/checkpoints/last.ckpt"
    common = ("predict", "--ckpt_path", path, "--data.inputs", "sky sea ice")
    status, out, err = run(*common)
    assert status == 0, err
    assert out.splitlines()[0].split()[0] in ("red", "green", "blue")
    message = f"leave out num_layers: sizes are for a small model, and '{encoder}' has its own"
    status, _, err = run(*common, "--model.num_layers", "3")
    assert (status, err) == (2, f"error: {message}\n")


def test_predicting_no_sample_is_a_mistake_and_not_an_empty_folder(run: Run, checkpoint: Any) -> None:
    status, _, err = run("predict", "--ckpt_path", checkpoint("xor_mlp"), "--trainer.limit_predict_batches", "0")
    assert status == 2
    assert err.endswith("nothing was predicted: the data have no sample, or trainer.limit_predict_batches is 0\n")
    assert not list(Path().rglob("predictions*"))
