"""The page for people who port: its tables are what was measured, its code runs, and each mistake is one."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lit_models.cnn import CNN
from lit_models.keras.weights import to_keras_weights
from lit_models.rnn import RNN
from scripts import porting, porting_page
from scripts.porting_imports import (
    loaded,
    with_biases_added,
    with_gates_as_they_come,
    with_reshaped_kernels,
    without_reordering,
    without_transposing,
)
from scripts.porting_page import TABLES, write_page
from scripts.porting_runs import MEASURES, count, moved
from scripts.porting_summary import DIFFERENCES, Difference, from_keras
from scripts.porting_tables import less, mean, numbers
from scripts.porting_training import (
    CNN_WAYS,
    LSTM_WAYS,
    RNN_WAYS,
    accuracy,
    nudge,
    pad_behind,
    reviews,
    sorted_by_class,
    start,
    train,
)

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "porting.md"
TEXT = PAGE.read_text()
RESULTS = porting.read(porting.RESULTS)
PRELUDE, *BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


class TestPage:
    def test_its_tables_are_those_of_the_results(self, tmp_path: Path) -> None:
        copy = tmp_path / "porting.md"
        copy.write_text(porting_page.BLOCK.sub(r"\1gone\n\3", TEXT))
        assert write_page(RESULTS, copy).read_text() == TEXT
        assert "gone" not in copy.read_text()

    def test_another_number_changes_it(self, tmp_path: Path) -> None:
        copy = tmp_path / "porting.md"
        copy.write_text(TEXT)
        changed = json.loads(json.dumps(RESULTS))
        for run in changed["mnist"].values():
            run["import"]["flatten"] += 0.1
        assert f"{mean(RESULTS, 'mnist/import/flatten') + 0.1:.4f}" in write_page(changed, copy).read_text()

    def test_a_marker_without_a_table_is_named(self, tmp_path: Path) -> None:
        copy = tmp_path / "porting.md"
        copy.write_text(TEXT.replace("table: xor", "table: nor"))
        with pytest.raises(ValueError, match="there is no table 'nor'"):
            write_page(RESULTS, copy)

    def test_a_table_without_a_marker_is_named(self, tmp_path: Path) -> None:
        copy = tmp_path / "porting.md"
        copy.write_text(re.sub(r"<!-- table: xor -->\n.*?<!-- end of table -->", "", TEXT, flags=re.DOTALL))
        with pytest.raises(ValueError, match="no marker for table 'xor'"):
            write_page(RESULTS, copy)

    def test_paired_runs_are_those_of_the_same_seed(self) -> None:
        results = {"a": {"0": {"x": 1.0}, "2": {"x": 5.0}}, "b": {"0": {"x": 0.5}, "1": {"x": 0.0}, "2": {"x": 1.0}}}
        assert less(results, "a/x", "b/x") == [0.5, 4.0]
        assert less(results, "b/x", "a/x") == [-0.5, -4.0]

    @pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d.title)
    def test_a_difference_leads_to_its_section_and_to_code_that_is_there(self, difference: Difference) -> None:
        assert f"\n### {difference.title}\n" in TEXT
        anchor = re.sub(r"[^\w -]", "", difference.title).lower().replace(" ", "-")  # as a heading's link is made
        assert f"[{difference.title}](#{anchor})" in TEXT
        assert difference.name in (ROOT / difference.file).read_text()
        assert f"](../{difference.file}), `{difference.name}` |" in TEXT

    @pytest.mark.parametrize(("wrong", "said"), [(0.8, "→ 0.8000"), (0.86, "→ 0.8600, within chance")])
    def test_a_cost_that_chance_explains_is_called_so(self, wrong: float, said: str) -> None:
        """A moved start changes 0.9 to 0.85: a difference of 0.04 is within that, of 0.1 is not."""
        runs = {"keras": {"test": 0.9}, "other": {"test": wrong}}
        results = {"simple": {"0": runs}, "nudged": {"0": {"simple": {"test": 0.85}}}}
        assert from_keras("simple", "other")(results) == f"IMDB test accuracy 0.9000 {said}"

    def test_every_section_has_its_line_at_the_top(self) -> None:
        assert re.findall(r"^### (.+)$", TEXT, flags=re.MULTILINE) == [d.title for d in DIFFERENCES]

    @pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
    def test_its_code_runs(self, block: str) -> None:
        exec(PRELUDE + block, {})  # with the imports that the page names, and nothing else

    def test_keras_and_the_right_import_agree(self) -> None:
        """Probabilities in float32, through up to 200 steps; 1e-5 is what the project promises."""
        for measure in ("mnist", "simple", "gates"):
            assert max(numbers(RESULTS, f"{measure}/import/keras/largest_difference")) < 1e-5
            differences = np.subtract(
                numbers(RESULTS, f"{measure}/import/keras/acc"), numbers(RESULTS, f"{measure}/import/right")
            )
            assert np.abs(differences).max() < 1e-3  # 1e-5 of a probability may move a sample or two

    def test_every_measurement_is_there_for_three_seeds(self) -> None:
        assert set(RESULTS) == set(MEASURES) == set(porting.MEASURES)
        assert all(set(by_seed) == {"0", "1", "2"} for by_seed in RESULTS.values())


def outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return cast(Tensor, network.eval()(inputs))


def noisy(network: nn.Module) -> nn.Module:
    """With biases that are not zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "bias" in name and weight.requires_grad:
                weight.normal_(std=0.3)
            if "embedding" in name:
                weight.normal_()
    return network


class TestImports:
    @pytest.mark.parametrize("wrong", [without_reordering, with_reshaped_kernels])
    def test_a_wrong_import_of_the_cnn_computes_something_else(self, wrong: Callable[..., nn.Module]) -> None:
        network = noisy(CNN())
        images = torch.rand(8, 1, 28, 28)
        weights = to_keras_weights(network)
        wanted = outputs(network, images)
        assert torch.equal(outputs(loaded(CNN(), weights), images), wanted)
        assert (outputs(wrong(weights), images) - wanted).abs().max() > 0.1 * wanted.abs().max()

    @pytest.mark.parametrize(
        ("cell", "wrong"),
        [("simple", without_transposing), ("gru", with_gates_as_they_come), ("gru", with_biases_added)],
    )
    def test_a_wrong_import_of_an_rnn_computes_something_else(self, cell: str, wrong: Callable[..., nn.Module]) -> None:
        network = noisy(RNN(10_000, cell=cell))
        ids = torch.randint(10_000, (8, 20))
        weights = to_keras_weights(network)
        wanted = outputs(network, ids)
        assert torch.equal(outputs(loaded(RNN(10_000, cell=cell), weights), ids), wanted)
        assert (outputs(wrong(weights), ids) - wanted).abs().max() > 0.01 * wanted.abs().max()


def texts() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(4, 10_000, (256, 5), generator=generator), torch.arange(256) % 2


def trained(cell: str, way: Any, steps: int = 2) -> Tensor:
    network = start(cell, seed=0)
    images = (torch.arange(128 * 784).reshape(128, 28, 28) * 37 % 256).to(torch.uint8), torch.arange(128) % 10
    data, samples = ("mnist", images) if cell == "cnn" else ("imdb", texts())
    train(network, way, samples, data=data, seed=0, steps=steps)
    return torch.cat([w.detach().flatten() for w in network.parameters()])


class TestWays:
    @pytest.mark.parametrize(
        ("cell", "name"),
        [
            *(("cnn", name) for name in CNN_WAYS if name != "keras"),
            *(("simple", name) for name in RNN_WAYS if name not in ("keras", "behind", "split")),
            ("lstm", "forget_bias"),
        ],
    )
    def test_a_way_trains_to_other_weights(self, cell: str, name: str) -> None:
        ways = {"cnn": CNN_WAYS, "simple": RNN_WAYS, "lstm": LSTM_WAYS}[cell]
        keras = trained(cell, ways["keras"])
        assert torch.equal(trained(cell, ways["keras"]), keras)
        assert not torch.equal(trained(cell, ways[name]), keras)

    def test_two_biases_move_twice_as_far_at_the_first_step(self) -> None:
        """In float64: the start's rounding is 1e-16, and the way of a step 3e-3."""
        one, two = (
            moved("simple", RNN_WAYS[way], samples=texts(), data="imdb", seed=0, steps=1, only="bias")
            for way in ("keras", "bias")
        )
        assert len(one) == 2 * 32
        torch.testing.assert_close(two, 2 * one, rtol=1e-9, atol=0)

    def test_a_nudged_start_is_a_millionth_away(self) -> None:
        network, same = start("simple", seed=0), start("simple", seed=0)
        nudge(network)
        for weight, before in zip(network.parameters(), same.parameters(), strict=True):
            assert (weight - before).abs().max() <= 6e-6 * before.abs().max()  # six deviations
        assert not torch.equal(next(network.parameters()), next(same.parameters()))

    def test_padding_behind_keeps_the_words(self) -> None:
        ids = torch.tensor([[0, 0, 5, 8, 6], [1, 2, 3, 4, 5]])
        assert pad_behind(ids).tolist() == [[5, 8, 6, 0, 0], [1, 2, 3, 4, 5]]

    def test_sorting_by_class_keeps_the_order_inside_of_one(self) -> None:
        inputs, target = sorted_by_class((torch.arange(4), torch.tensor([1, 0, 1, 0])))
        assert inputs.tolist() == [1, 3, 0, 2]
        assert target.tolist() == [0, 0, 1, 1]

    @pytest.mark.real_data
    def test_the_last_fifth_of_the_files_is_positive(self) -> None:
        keras, filed = reviews(), reviews(by_file=True)
        assert filed.val is not None
        assert keras.val is not None
        assert filed.val[1].tolist() == [1] * 2_500
        both = [torch.cat([parts.train[0], cast(Any, parts.val)[0]]).sum(dim=0) for parts in (keras, filed)]
        assert torch.equal(*both)  # the same reviews


class TwoPixels(nn.Module):
    """An image's first two numbers are its logits."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2]


def test_ways_to_count() -> None:
    """64 samples of the first class with logits (1, 0) are right, and then one of the second class is wrong."""
    images = torch.zeros(65, 28, 28, dtype=torch.uint8)
    images[:, 0, 0] = 255
    target = torch.tensor([0] * 64 + [1])
    found = count(TwoPixels(), (images, target))
    assert accuracy(TwoPixels(), (images, target)) == found["samples"]["acc"] == 64 / 65
    assert found["mean_of_batches"]["acc"] == 0.5  # (1 + 0) / 2
    assert found["last_dropped"]["acc"] == 1.0
    low, high = np.log(1 + np.exp(-1)), np.log(1 + np.e)  # float32 logits: 1e-6
    losses = [found[way]["loss"] for way in ("samples", "mean_of_batches", "last_dropped")]
    np.testing.assert_allclose(losses, [(64 * low + high) / 65, (low + high) / 2, low], atol=1e-6)


class TestRuns:
    def test_what_is_there_is_not_measured_again(self, tmp_path: Path) -> None:
        results = tmp_path / "porting.json"
        results.write_text(json.dumps({"no such measurement": {"0": {}}}))
        porting.measure("no such measurement", 0, results)  # in a process, it would fail

    def test_a_failure_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="failed: nonsense 1"):
            porting.measure("nonsense", 1, tmp_path / "porting.json")

    def test_a_part_of_the_results_writes_no_page(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results = tmp_path / "porting.json"
        results.write_text(json.dumps({"xor": {"0": {}}}))
        monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["porting.py", "--only", "xor", "--seeds", "1", "--results", str(results)])
        porting.main()
        assert "no page written: it needs results of mnist, simple, gates, steps, nudged" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--only", "imdb"], "no measurement imdb; there are mnist, simple, gates, steps, xor, nudged"),
            (["--seeds", "0"], "--seeds must be at least 1"),
            ([], "LIT_MODELS_DATA must name the folder"),
            (["--page", "--results", "nowhere.json"], "the page needs results of mnist, simple"),
        ],
    )
    def test_bad_flags_are_one_line(
        self, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
        monkeypatch.setattr(sys, "argv", ["porting.py", *words])
        with pytest.raises(SystemExit) as stop:
            porting.main()
        assert stop.value.code == 2
        assert said in capsys.readouterr().err

    def test_results_without_a_page_beside_them_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results = tmp_path / "porting.json"
        results.write_text(json.dumps({name: {} for name in porting.MEASURES}))
        monkeypatch.setattr(sys, "argv", ["porting.py", "--page", "--results", str(results)])
        with pytest.raises(SystemExit):
            porting.main()
        assert f"the page needs its text, {results.with_suffix('.md')}" in capsys.readouterr().err


def test_each_table_names_a_measurement_that_is_there() -> None:
    for build in TABLES.values():
        assert build(RESULTS)
