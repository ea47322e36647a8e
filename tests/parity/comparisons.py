"""What "the same numbers" means: one comparison for each claim, for the tests that it must pass and those that it must
not."""

from collections.abc import Sequence

import numpy as np

from .keras_runs import Array, Run


def assert_same_outputs(ours: Array, theirs: Array) -> None:
    """Probabilities in float32: sums of some hundred terms in another order, in each of a text's steps, which leaves
    4e-7 on each backend; 1e-5 is what the project promises."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def assert_same_gradients(ours: Sequence[Array], theirs: Sequence[Array]) -> None:
    """In float32, relative to the largest of the array: a small gradient is the rest of large terms that cancel. The
    order of the sums leaves 5e-6 on each backend; 1e-4 is what the project promises."""
    assert [g.shape for g in ours] == [g.shape for g in theirs]
    for our, their in zip(ours, theirs, strict=True):
        largest = np.abs(their).max()
        assert largest > 0
        np.testing.assert_allclose(our, their, rtol=0, atol=1e-4 * largest)


def assert_same_steps(ours: Sequence[Array], theirs: Sequence[Array], *, rtol: float) -> None:
    """Weights that began at zero, so that each is its own change."""
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == their.dtype
        assert np.abs(their).min() > 0
        np.testing.assert_allclose(our, their, rtol=rtol, atol=0)


def assert_same_training(ours: Run, theirs: Run, *, start: Sequence[Array]) -> None:
    """In float64. Each weight within 1e-6 of its own change, where the project promises 1e-3: rounding leaves 5e-9 of
    the smallest changes. It leaves 1e-13 of a loss, for which 1e-9 is room."""
    for our, their, before in zip(ours.weights, theirs.weights, start, strict=True):
        change = np.abs(their - before)
        assert change.max() > 1e-3
        assert (np.abs(our - their) <= 1e-6 * change).all(), "a weight went another way"
    assert len(ours.losses) == len(theirs.losses) == 50
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=0, atol=1e-9)
    assert ours.epochs.keys() == theirs.epochs.keys()
    for name, by_epoch in theirs.epochs.items():
        # metrics are float32, whose sums are off by 1e-6 here; one sample is 2e-3 of an accuracy
        np.testing.assert_allclose(ours.epochs[name], by_epoch, rtol=0, atol=1e-5)
