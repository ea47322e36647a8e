"""Data that say nothing of their shape, and models of another one: both shapes, and the flags that mend it."""

import pytest

from .conftest import Stranger


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("pictures.py")


PAIR = ("--model", "LitCNN", "--data", "pictures.Pictures", "--trainer.max_epochs", "3")
MENDED = ("--model.num_channels", "3", "--model.image_size", "32")


def test_images_of_another_shape_are_one_line_with_the_flags_that_mend_it(stranger: Stranger) -> None:
    shapes = "the data give images (B, 3, 32, 32), and the model expects images (B, 1, 28, 28)"
    assert stranger.refused("fit", *PAIR) == f"error: {shapes}: set {' '.join(MENDED)}"
    done = stranger.runs("fit", *PAIR, *MENDED, "--model.metrics", "[f1, recall_per_class]")
    assert (done.status, done.err) == (0, "")
    metrics = stranger.results("LitCNN-Pictures", version=1)["metrics"]
    names = {"loss", "acc", "f1", *(f"recall/{i}" for i in range(10))}  # LitCNN's own number of classes is 10
    assert set(metrics) == {f"{split}/{name}" for split in ("train", "val", "test") for name in names}
    assert f"val/f1 {metrics['val/f1']:.4f}" in done.out
    best = "runs/LitCNN-Pictures/version_1/checkpoints/best.ckpt"
    stranger.succeeds("validate", "--ckpt_path", best)
    stranger.succeeds("test", "--ckpt_path", best)
    out = stranger.succeeds("predict", "--ckpt_path", best)
    assert out.splitlines()[-1].startswith("13 predictions; ")


def test_too_few_classes_are_one_line_with_the_flag_that_mends_it(stranger: Stranger) -> None:
    line = stranger.refused("fit", *PAIR, *MENDED, "--model.num_classes", "2")
    expected = "the data's target is class 2, and the model has the classes 0 to 1: set --model.num_classes 3 or more"
    assert line == f"error: {expected}"
    stranger.succeeds("fit", *PAIR, *MENDED, "--model.num_classes", "3")


def test_other_networks_name_both_shapes_too(stranger: Stranger) -> None:
    line = stranger.refused("fit", "--model", "LitMLP", "--data", "pictures.Pictures")
    mend = "set --model.num_features 3072"
    assert line == f"error: the data give float32 (B, 3, 32, 32), and the model expects 784 numbers a sample: {mend}"
    # Its classes do not fit either, but no flag would mend the shape, so that is said.
    line = stranger.refused("fit", "--model", "LitRNN", "--data", "pictures.Pictures")
    assert line == "error: the data give float32 (B, 3, 32, 32), and the model expects token ids, int64 (B, T)"
