"""Pictures, and the words that moved the answer, against predictions by hand."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from lit_models import LitRNN, LitTask
from lit_models.runs import showing
from lit_models.runs.showing import Source, limits, pictures_of, weights_of, without


def model(**settings: Any) -> LitTask:
    torch.manual_seed(0)
    return cast(LitTask, LitRNN(vocab_size=20, num_classes=3, hidden_size=8, **settings).eval())


class ByHand(Source):
    """Predicts without a Trainer."""

    def predict(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return self.module.predictions(self.module(inputs)).double()


def source(module: LitTask) -> Source:
    return ByHand(cast(Any, None), module, cast(Any, None), numbered=True, can_compute=True)


def test_the_weight_of_a_word_is_what_the_probability_loses_without_it() -> None:
    module, row = model(), torch.tensor([0, 0, 5, 6, 7])
    found = weights_of(row, [2, 3, 4], 1, 64, source(module))
    with torch.no_grad():
        whole = module.predictions(module(row[None]))[0, 1]
        for weight, rest in zip(found, ([0, 0, 0, 6, 7], [0, 0, 0, 5, 7], [0, 0, 0, 5, 6]), strict=True):
            less = module.predictions(module(torch.tensor([rest])))[0, 1]
            assert weight == pytest.approx(float(whole - less), abs=2e-6)  # rounded to six places, in float32


def test_words_of_a_long_text_share_their_weight_with_their_neighbours() -> None:
    module, row = model(), torch.arange(1, 11)
    found = weights_of(row, list(range(10)), 0, 4, source(module))
    assert found[0] == found[1] == found[2]  # ten words in four parts of three
    assert len(set(found)) == 4
    rest = torch.tensor([[0, 0, 0, *range(4, 11)]])
    with torch.no_grad():
        lost = module.predictions(module(row[None]))[0, 0] - module.predictions(module(rest))[0, 0]
    assert found[0] == pytest.approx(float(lost) / 3, abs=2e-6)


@pytest.mark.parametrize(
    ("row", "rest"), [([0, 4, 5, 6], [0, 0, 4, 6]), ([4, 5, 6, 0], [4, 6, 0, 0]), ([3, 5, 4, 6], [0, 3, 4, 6])]
)
def test_padding_stays_on_its_side(row: list[int], rest: list[int]) -> None:
    place = row.index(5)
    assert without(torch.tensor(row), [place], model()).tolist() == rest


def test_a_large_network_explains_fewer_words() -> None:
    assert limits(nn.Linear(10, 10), 100, 12) == (12, 64)
    # 1e7 weights on 256 tokens are 5.12e9 operations for a prediction, so 1e12 allow 195: more than 12 * 16.
    assert limits(nn.Linear(10_000, 1_000, bias=False), 256, 12) == (12, 16)
    # 1e8 weights allow 19, and 48 are the fewest: 16 for each of three texts.
    with torch.device("meta"):
        large = nn.Linear(10_000, 10_000, bias=False)
    assert limits(large, 256, 12) == (3, 16)
    assert limits(nn.Embedding(1_000_000, 100, device="meta"), 256, 12) == (12, 64)  # an embedding only looks up


def test_pictures_are_bytes_and_small() -> None:
    grey = torch.tensor([[[[0.0, 1.0], [0.5, 0.25]]]])
    assert pictures_of(grey).tolist() == [[[0, 255], [128, 64]]]
    colour = pictures_of(torch.rand(2, 3, 300, 150))
    assert colour.shape == (2, 128, 64, 3)
    assert pictures_of(torch.tensor([[[[-1.0, 3.0]]]])).tolist() == [[[0, 255]]]  # scaled, as -1 is no brightness


def test_the_mode_and_the_random_numbers_are_the_same_afterwards() -> None:
    module = model().train()
    before = torch.get_rng_state()
    with showing.undisturbed(module):
        modes = [module.training]
        torch.rand(3)
    assert [*modes, module.training] == [False, True]
    assert torch.equal(torch.get_rng_state(), before)
