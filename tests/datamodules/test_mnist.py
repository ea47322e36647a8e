"""Images: splits of files and of the built-in digits, augmentation, and prediction of the user's images."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from datamodules.base import split_validation
from datamodules.errors import MissingFileError, UserError
from datamodules.mnist import CLASSES, ImageTable, MNISTDataModule
from datamodules.spec import DataSpec
from datamodules.storage.idx import ADDRESSES, SHA256, SHAPES

RAW = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
SIZES = {"train": 12, "t10k": 5}


def small(_: Path) -> list[dict[str, Any]]:
    """Settings that `tests/testing/test_data.py` checks."""
    return [{"dataset": "digits", "num_val": 100, "batch_size": 128}]


def idx(values: np.ndarray) -> bytes:
    """The IDX format: two zeros, 8 for uint8, the number of dimensions, each size in 4 bytes big-endian, the values."""
    sizes = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def write_raw(folder: Path, *, last_label: int = 9) -> dict[str, np.ndarray]:
    """Twelve training and five test images of noise, as the published files have them."""
    folder.mkdir(parents=True)
    random, arrays = np.random.default_rng(0), {}
    for split, n in SIZES.items():
        labels = np.arange(n, dtype=np.uint8) % 10
        labels[-1] = last_label
        arrays[f"{split}-images-idx3-ubyte"] = random.integers(256, size=(n, 28, 28), dtype=np.uint8)
        arrays[f"{split}-labels-idx1-ubyte"] = labels
    for name, values in arrays.items():
        (folder / name).write_bytes(idx(values))
    return arrays


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets twelve training and five test images pass for whole files."""
    for split, n in SIZES.items():
        monkeypatch.setitem(SHAPES, f"{split}-images-idx3-ubyte", (n, 28, 28))
        monkeypatch.setitem(SHAPES, f"{split}-labels-idx1-ubyte", (n,))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RAW.values():
        monkeypatch.setitem(ADDRESSES, name, ("https://localhost:9/",))  # no server listens at 9


def table_of(found: Any) -> ImageTable:
    assert isinstance(found, ImageTable)
    return found


def digits(**settings: Any) -> MNISTDataModule:
    data = MNISTDataModule(dataset="digits", **settings)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "kmnist"])
@pytest.mark.usefixtures("few", "no_network")
def test_the_splits_are_the_files(tmp_path: Path, dataset: Any) -> None:
    arrays = write_raw(tmp_path / RAW[dataset] / "raw")
    data = MNISTDataModule(dataset=dataset, data_dir=str(tmp_path), batch_size=5)
    data.prepare_data()
    data.setup("fit")
    assert data.val_table is None
    assert data.predict_table is data.test_table
    for table, split in ((data.train_table, "train"), (data.test_table, "t10k")):
        n = SIZES[split]
        images, labels = table_of(table)[torch.arange(n)]
        pixels = arrays[f"{split}-images-idx3-ubyte"].astype(np.float32)[:, None] / np.float32(255)
        np.testing.assert_array_equal(images.numpy(), pixels)  # the same division of the same float32 numbers
        np.testing.assert_array_equal(labels.numpy(), arrays[f"{split}-labels-idx1-ubyte"])
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert [len(target) for _, target in data.train_dataloader()] == [5, 5, 2]
    for name, values in arrays.items():
        assert data.checksums()[name] == hashlib.sha256(idx(values)).hexdigest()


def test_the_files_have_60000_and_10000_images() -> None:
    assert list(SHAPES.values()) == [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]


def note_of(capsys: pytest.CaptureFixture[str]) -> str:
    return "".join(line for line in capsys.readouterr().err.splitlines() if line.startswith("note: "))


@pytest.mark.usefixtures("few")
def test_files_that_are_not_the_published_ones_are_used_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    contents = {name: hashlib.sha256(idx(values)).hexdigest() for name, values in write_raw(raw).items()}
    MNISTDataModule(data_dir=str(tmp_path)).setup("fit")
    are_not = f"{', '.join(contents)} are not the published MNIST; results.json has the checksums"
    assert note_of(capsys) == f"note: {raw}: {are_not}"
    for name, checksum in contents.items():
        monkeypatch.setitem(SHA256, name, checksum)
    MNISTDataModule(data_dir=str(tmp_path)).setup("fit")
    assert note_of(capsys) == ""
    images = raw / "t10k-images-idx3-ubyte"
    flipped = bytearray(images.read_bytes())
    flipped[1000] ^= 1
    images.write_bytes(flipped)
    data = MNISTDataModule(data_dir=str(tmp_path))
    data.setup("fit")
    expected = f"note: {raw}: {images.name} is not the published MNIST; results.json has the checksums"
    assert note_of(capsys) == expected
    assert data.checksums()[images.name] == hashlib.sha256(flipped).hexdigest()


@pytest.mark.usefixtures("few")
def test_a_copy_that_an_old_torchvision_saved_is_not_used_in_place_of_the_files(tmp_path: Path) -> None:
    arrays = write_raw(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3)), tmp_path / "MNIST" / "processed" / name)
    data = MNISTDataModule(data_dir=str(tmp_path))
    data.setup("fit")
    _, labels = table_of(data.train_table)[torch.arange(12)]
    assert labels.tolist() == arrays["train-labels-idx1-ubyte"].tolist()


@pytest.mark.usefixtures("few")
def test_the_error_of_a_damaged_file_reaches_the_user(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_raw(raw, last_label=10)
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte is damaged: it has the label 10, expected 0 to 9"):
        MNISTDataModule(data_dir=str(tmp_path)).setup("fit")


@pytest.mark.usefixtures("few")
def test_with_images_to_predict_a_test_says_where_to_put_the_files(tmp_path: Path) -> None:
    data = MNISTDataModule(data_dir=str(tmp_path), inputs="a.png")
    data.prepare_data()  # downloads nothing
    with pytest.raises(MissingFileError, match=r"^MNIST is missing: put train-images-idx3-ubyte, .* into "):
        data.setup("test")


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "kmnist"])
@pytest.mark.usefixtures("no_network")
def test_missing_files_without_a_network_say_where_to_put_them(tmp_path: Path, dataset: Any) -> None:
    data = MNISTDataModule(dataset=dataset, data_dir=str(tmp_path))
    with pytest.raises(MissingFileError) as caught:
        data.prepare_data()
    name = RAW[dataset]
    assert str(caught.value).startswith(
        f"{name} is missing: cannot download https://localhost:9/train-images-idx3-ubyte.gz (no network? "
    )
    assert str(caught.value).endswith(
        f"): put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte into "
        f"{tmp_path / name / 'raw'}, or set LIT_MODELS_DATA to a folder that contains {name}/raw"
    )


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path))
    assert MNISTDataModule().data_dir == tmp_path
    assert MNISTDataModule(data_dir="/elsewhere").data_dir == Path("/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert MNISTDataModule(data_dir="~/images").data_dir == tmp_path / "home" / "images"


@pytest.mark.usefixtures("no_network")
def test_digits_are_1437_and_360_all_of_scikit_learns_each_once() -> None:
    data = digits()
    train, test = table_of(data.train_table), table_of(data.test_table)
    assert (len(train), len(test)) == (1437, 360)
    raw = load_digits()
    images, labels = torch.from_numpy(enlarged(raw.images)), torch.from_numpy(raw.target)
    parts = split_validation(1797, num_val=360, seed=0)  # no image is in both
    for table, places in zip((train, test), parts, strict=True):
        assert torch.equal(table.target, labels[places])
        # float32 may round a number next to a half the other way
        assert (table.inputs.int() - images[places].int()).abs().max() <= 1


def enlarged(images: np.ndarray) -> np.ndarray:
    """8 x 8 images of 0 to 16 as 28 x 28 bytes, bilinear with pixels' centres aligned, in float64."""
    at = (np.arange(28) + 0.5) * 8 / 28 - 0.5
    low = np.clip(np.floor(at).astype(int), 0, 7)
    part = np.clip(at - low, 0, 1)
    weights = np.zeros((28, 8))
    for row, (place, share) in enumerate(zip(low, part, strict=True)):
        weights[row, place] += 1 - share
        weights[row, min(place + 1, 7)] += share
    large: np.ndarray = np.einsum("ai,nij,bj->nab", weights, images / 16, weights) * 255
    return large.round().astype(np.uint8)


def test_the_digits_test_split_is_the_same_for_every_seed() -> None:
    one, other = digits(seed=0, num_val=100), digits(seed=1, num_val=200)
    assert torch.equal(table_of(one.test_table).inputs, table_of(other.test_table).inputs)
    assert one.checksums() == other.checksums()
    assert re.fullmatch("[0-9a-f]{64}", one.checksums()["digits"])


def test_the_validation_part_is_drawn_from_the_training_part_by_the_seed() -> None:
    whole = table_of(digits().train_table)
    parts = []
    for seed in (1, 2):
        data = digits(num_val=437, seed=seed)
        assert data.has_validation
        places = split_validation(1437, num_val=437, seed=seed)
        for table, indices in zip((data.train_table, data.val_table), places, strict=True):
            assert torch.equal(table_of(table).inputs, whole.inputs[indices])
            assert torch.equal(table_of(table).target, whole.target[indices])
        parts.append(places[1].tolist())
    assert parts[0] != parts[1]
    assert not digits().has_validation


def test_a_validation_part_that_leaves_nothing_is_refused() -> None:
    wanted = r"^a validation part of 1437 samples leaves none of 1437 for training: make it smaller$"
    with pytest.raises(UserError, match=wanted):
        digits(num_val=1437)


def test_a_negative_validation_part_is_refused() -> None:
    with pytest.raises(UserError, match=r"^num_val must be at least 0, got -1$"):
        MNISTDataModule(num_val=-1)


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "kmnist", "digits"])
def test_the_model_is_told_one_channel_28_pixels_and_ten_names(dataset: Any) -> None:
    spec = MNISTDataModule(dataset=dataset).spec()
    assert replace(spec, class_names=None) == DataSpec(
        num_features=28 * 28, num_channels=1, image_size=28, num_classes=10
    )
    assert len(set(spec.class_names or [])) == 10


def test_the_names_are_the_publishers() -> None:
    datasets: list[Any] = list(CLASSES)
    names = {dataset: MNISTDataModule(dataset=dataset).spec().class_names for dataset in datasets}
    assert names["fashion_mnist"] == torchvision.datasets.FashionMNIST.classes
    assert names["kmnist"] == torchvision.datasets.KMNIST.classes
    assert names["mnist"] == names["digits"] == [name[0] for name in torchvision.datasets.MNIST.classes]  # "0 - zero"


def test_setting_up_twice_reads_once() -> None:
    data = digits()
    table = data.train_table
    data.setup("test")
    assert data.train_table is table


def noise_images(n: int) -> Tensor:
    return torch.randint(256, (n, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def augmented(indices: list[int], *, seed: int = 0, augment: bool = True) -> Tensor:
    table = ImageTable(noise_images(20), augment=augment, seed=seed)
    images: Tensor = table[torch.tensor(indices, dtype=torch.int64)][0]
    return images


def test_augmentation_changes_every_image_and_keeps_its_range() -> None:
    plain, changed = augmented([3, 1, 4], augment=False), augmented([3, 1, 4])
    assert changed.shape == plain.shape
    assert ((changed - plain).abs().amax(dim=(1, 2, 3)) > 0.1).all()
    assert 0 <= changed.min() <= changed.max() <= 1
    alike = augmented([5, 5])
    assert not torch.equal(alike[0], alike[1])  # each image of a batch is changed in its own way


def test_augmentation_depends_on_seed_and_batch_alone() -> None:
    first = augmented([3, 1, 4])
    torch.manual_seed(99)
    assert torch.equal(augmented([3, 1, 4]), first)
    assert not torch.equal(augmented([3, 1, 4], seed=1), first)
    assert not torch.equal(augmented([4, 1, 3])[2], first[0])  # the same image in another batch


def test_augmentation_disturbs_no_other_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    augmented([3, 1, 4])
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []  # a GPU's generator, which drops units there, is not seeded anew with every batch


def test_augmentation_of_an_empty_slice_is_empty() -> None:
    assert augmented([]).shape == (0, 1, 28, 28)


def test_training_images_alone_are_augmented() -> None:
    data = digits(augment=True, num_val=100, seed=4)
    tables = [table_of(t) for t in (data.train_table, data.val_table, data.test_table)]
    assert [t.augment for t in tables] == [True, False, False]
    assert tables[0].seed == 4


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("dataset", ["mnist", "digits"])
def test_images_are_predicted_by_name_without_the_dataset(tmp_path: Path, dataset: Any) -> None:
    bar = np.zeros((28, 28), dtype=np.uint8)
    bar[7:21, 9:18] = 255
    Image.fromarray(bar).save(tmp_path / "a.png")
    Image.fromarray(255 - bar).save(tmp_path / "b.png")  # dark on light: inverted when it is read
    data = MNISTDataModule(dataset=dataset, data_dir=str(tmp_path), inputs=str(tmp_path))
    data.prepare_data()
    data.setup("predict")
    assert list(data.predict_names()) == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    ((images, target),) = data.predict_dataloader()
    assert torch.equal(images, torch.from_numpy(np.stack([bar, bar]))[:, None] / 255)
    assert target.tolist() == [-1, -1]


def test_without_inputs_the_test_split_is_predicted_by_place() -> None:
    data = digits()
    assert list(data.predict_names()) == [f"test[{i}]" for i in range(360)]
