"""`data-check`, and the lines about the data at the beginning of `fit`."""

import time
from pathlib import Path

import pytest

from datamodules import TextDataModule
from datamodules.contents.facts import Contents
from datamodules.spec import DataSpec
from datamodules.words.sources import FileSource
from tests.cli.conftest import Run
from tests.datamodules.image_folders import write_classes

NO_PAGE = ("--report", "none")
FIT = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--kernels", "plain")


@pytest.fixture
def faulty(empty_folder: Path) -> str:
    """A CSV of 70 texts: one text in seven is empty, and the last twenty repeat the first ones."""
    texts = ["" if i % 7 == 0 else f"a film {i} {'good' if i % 2 else 'bad'}" for i in range(50)]
    rows = [f"{text},{'pos' if i % 2 else 'neg'}" for i, text in enumerate([*texts, *texts[:20]])]
    (empty_folder / "my.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return "my.csv"


def test_the_findings_have_file_and_line_and_the_page_is_written(run: Run, faulty: str) -> None:
    words = ("data-check", "--config", "text_rnn", "--data.train_file", faulty, "--data.val_fraction", "0")
    status, out, err = run(*words, "--data.num_words", "30", "--data.max_length", "4")
    assert status == 0, err
    assert " ".join(out.split()) == (
        "data: 70 train texts 2 classes in train: neg (35), pos (35) always answering neg: acc 0.5000 train "
        # 26 words are kept, of which 4 are no numbers: the first 22 numbers
        f"unknown words: {out.split('unknown words: ')[1].split(' %')[0]} % of train "
        "tokens of a training text: median 5, longest 5; 84.3 % are longer than max_length 4 "
        "note: 17 of 70 train texts repeat an earlier one (my.csv:53 = my.csv:3, my.csv:54 = my.csv:4, "
        "my.csv:55 = my.csv:5, my.csv:56 = my.csv:6, my.csv:57 = my.csv:7, …) "
        "note: 11 of 70 train texts have no words (my.csv:2, my.csv:9, my.csv:16, my.csv:23, my.csv:30 and 6 more) "
        "page in data.html"
    )
    html = Path("data.html").read_text()
    typed = ["python", "-m", "lit_models", "data-check", "--config", "text_rnn", "--data.train_file", "my.csv"]
    assert " ".join(f'<span class="word">{word}</span>' for word in typed) in html
    assert "my.csv:53 = my.csv:3" in html
    assert run(*words)[1].endswith("page in data_2.html\n")  # nothing is overwritten
    assert Path("data.html").read_text() == html
    assert not Path("runs").exists()


def test_the_validation_part_is_compared_with_the_training_part(run: Run, faulty: str) -> None:
    status, out, _ = run("data-check", "--config", "text_rnn", "--data.train_file", faulty, *NO_PAGE)
    assert status == 0
    assert "data: 63 train + 7 val texts\n" in out
    assert "of 7 val texts are training texts, too (my.csv:" in " ".join(out.split())
    assert not Path("data.html").exists()


def test_fit_says_what_is_in_the_data_without_reading_them_again(
    run: Run, faulty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, seconds = TextDataModule.contents, []

    def timed(data: TextDataModule, spec: DataSpec) -> Contents:
        with monkeypatch.context() as patch:
            patch.setattr(FileSource, "records", None)  # reading the file would fail
            start = time.perf_counter()
            contents = counted(data, spec)
            seconds.append(time.perf_counter() - start)
        return contents

    monkeypatch.setattr(TextDataModule, "contents", timed)
    status, out, err = run("fit", "--config", "text_rnn", "--data.train_file", faulty, *FIT)
    assert status == 0, err
    first = out.splitlines()[:3]
    assert first[0] == "data: 63 train + 7 val texts"
    assert first[1].startswith("2 classes in train: neg (")
    assert first[2].startswith("always answering ")
    assert "train texts have no words (data-check lists them)\n" in out
    assert [cost < 0.5 for cost in seconds] == [True]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data.text_column", "label"), "text_column and label_column are both 'label'"),
        (
            ("--data.min_freq", "100000"),
            "min_freq 100,000 leaves no words: the most frequent one, 'a', occurs 59 times",
        ),
        (("--data.train_file", "."), ". is a folder, expected a table, or a folder with a folder of .txt files for"),
        (("--data.train_file", "[my.csv,my.csv]"), "my.csv is named twice: leave one out"),
    ],
)
def test_what_is_surely_a_mistake_ends_fit_and_data_check(
    run: Run, faulty: str, flags: tuple[str, ...], message: str
) -> None:
    words = ("--config", "text_rnn", "--data.train_file", faulty, *flags)
    for command in (("data-check",), ("fit", *FIT)):
        status, _, err = run(*command, *words)
        assert (status, err.startswith(f"error: {message}")) == (2, True), err
    assert not Path("runs").exists()


def test_labels_in_two_cases_are_named_with_their_lines(run: Run, empty_folder: Path) -> None:
    (empty_folder / "my.csv").write_text("text,label\ngood,pos\nbad,neg\nfine,Pos\nwell,pos \n")
    both = "'pos' (my.csv:2) and 'Pos' (my.csv:4)"
    for command in (("data-check",), ("fit", *FIT)):
        status, _, err = run(*command, "--config", "text_rnn", "--data.train_file", "my.csv")
        assert status == 2
        assert err.startswith(f"error: labels differ only in case or blanks: {both}; write each label in one way")


def test_a_folder_of_texts_is_checked_and_trained(run: Run, reviews: Path) -> None:
    words = ("--config", "text_rnn", "--data.train_file", str(reviews / "aclImdb" / "train"))
    status, out, err = run("data-check", *words, *NO_PAGE)
    assert status == 0, err
    assert out.startswith("data: 36 train + 4 val texts\n2 classes in train: neg (")
    assert run("fit", *words, *FIT)[0] == 0
    config = Path("runs/text_rnn/version_0/config.yaml").read_text()
    assert f"train_file: {reviews}/aclImdb/train\n" in config


def test_several_files_are_absolute_in_the_config_of_the_run(run: Run, colours: Path, empty_folder: Path) -> None:
    (empty_folder / "more.csv").write_text("text,label\nsky sea,blue\n")
    status, _, err = run("fit", "--config", "text_rnn", "--data.train_file", f"[{colours},more.csv]", *FIT)
    assert status == 0, err
    config = Path("runs/text_rnn/version_0/config.yaml").read_text()
    assert f"    - {colours}\n    - {empty_folder}/more.csv\n" in config


def test_callbacks_and_loggers_of_a_config_are_not_built(run: Run, empty_folder: Path) -> None:
    logger = "{class_path: CSVLogger, init_args: {save_dir: logs}}"
    callback = (
        "{class_path: EarlyStopping, init_args: {monitor: x, mode: none}}"  # this mode is refused when it is built
    )
    (empty_folder / "mine.yaml").write_text(f"trainer: {{logger: {logger}, callbacks: [{callback}]}}\n")
    status, out, err = run("data-check", "--config", "xor_mlp", "--config", "mine.yaml", *NO_PAGE)
    assert (status, out.splitlines()[0]) == (0, "data: 4 train rows"), err
    assert [path.name for path in empty_folder.iterdir()] == ["mine.yaml"]


def test_images_that_cannot_be_used_are_all_listed(run: Run, empty_folder: Path) -> None:
    write_classes(empty_folder / "pets", images=10)
    (empty_folder / "pets" / "cat" / "damaged.png").write_bytes(b"")
    status, out, _ = run("data-check", "--data.root", "pets", "--data", "ImageFolderDataModule")
    assert status == 2
    assert "mistake: pets/cat/damaged.png cannot be read as an image" in out
    assert out.endswith("page in data.html\n")


def test_the_data_of_a_stranger_are_counted_as_far_as_possible(run: Run, empty_folder: Path) -> None:
    (empty_folder / "plain.py").write_text(
        "import lightning as L\nimport torch\nfrom torch.utils.data import DataLoader, TensorDataset\n\n\n"
        "class Plain(L.LightningDataModule):\n"
        "    def setup(self, stage):\n"
        "        self.samples = TensorDataset(torch.arange(6.0)[:, None] % 4, torch.arange(6) % 2)\n\n"
        "    def train_dataloader(self):\n"
        "        return DataLoader(self.samples, batch_size=4)\n"
    )
    status, out, err = run("data-check", "--data", "plain.Plain", *NO_PAGE)
    assert status == 0, err
    assert out.splitlines() == [
        "data: 6 train samples",
        "2 classes in train: 0 (3), 1 (3)",
        "always answering 0: acc 0.5000 train",
        "note: 2 of 6 train samples repeat an earlier one (train[4] = train[0], train[5]",
        "  = train[1])",
    ]


@pytest.mark.parametrize("config", ["digits_cnn", "xor_mlp"])
def test_data_of_the_package_have_no_mistakes(run: Run, config: str) -> None:
    status, out, err = run("data-check", "--config", config, *NO_PAGE)
    assert (status, "note:" in out) == (0, False), err


def test_wrong_flags_are_one_line(run: Run, empty_folder: Path) -> None:
    expected = "error: data-check needs data: use --config, or --data (`list` shows them)\n"
    assert run("data-check") == (2, "", expected)
    (empty_folder / "mine.html").write_text("mine")
    words = ("data-check", "--config", "xor_mlp", "--output")
    assert run(*words, "mine.html")[2].startswith("error: mine.html exists already and is not overwritten")
    assert run(*words, "none/x.html")[2].startswith("error: no folder none for x.html")
    assert run("data-check", "--config", "xor_mlp", "--data.num_bit", "3")[0] == 2
    assert run("data-check", "--config", "xor_mlp", "--report", "pdf")[0] == 2
