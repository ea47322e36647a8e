"""Keras files are read as data: whole files, old files, damaged files, and files with links to other places."""

import contextlib
import io
import json
import random
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from datamodules.errors import MissingFileError
from lit_models.keras.comparison import network_outputs
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.reading import CONFIG, WEIGHTS, read_model, read_weights
from lit_models.keras.importing import import_model
from tests.keras.stacks import conv, dense, keras_tests, network_of, sequential, with_noise

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

KERAS2 = Path(__file__).parent / "keras2"
KERNEL = "layers/dense/vars/0"
DAMAGED = "the file is damaged, cut off, or not a Keras model"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, keras_backend: str) -> dict[str, Path]:
    """One small CNN: as `.keras`, as `.h5`, and its weights alone."""
    import keras

    keras.utils.clear_session()  # otherwise the numbers in the layers' names depend on earlier tests
    folder = tmp_path_factory.mktemp("saved")
    model = with_noise(sequential((8, 8, 1), conv(3), ("Flatten", {}), dense(4, "softmax")))
    paths = {suffix: folder / f"cnn{suffix}" for suffix in (".keras", ".h5")}
    for path in paths.values():
        model.save(path)
    paths["weights"] = folder / "cnn.weights.h5"
    model.save_weights(paths["weights"])
    return paths


def changed(path: Path, to: Path, **members: bytes | None) -> Path:
    """A copy of a `.keras` file with other members, or without those that are None."""
    new_members = {{"config": CONFIG, "weights": WEIGHTS}.get(name, name): data for name, data in members.items()}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in ({name: old.read(name) for name in old.namelist()} | new_members).items():
            if content is not None:
                new.writestr(name, content)
    return to


def with_weights(path: Path, to: Path, change: Callable[[h5py.File], None]) -> Path:
    """A copy of a `.keras` file after a change of its HDF5 part."""
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(content, "r+") as file:
        change(file)
    return changed(path, to, weights=content.getvalue())


def refusal(path: Path) -> str:
    """The message about a file, without the name of the file at its beginning."""
    with pytest.raises(KerasFileError) as caught:
        import_model(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize(("file", "name"), [("cnn.h5", "cnn"), ("rnn.keras", "rnn")])
def test_files_of_keras_2_compute_what_keras_2_computed(file: str, name: str) -> None:
    module = network_of(import_model(KERAS2 / file))
    with np.load(KERAS2 / "outputs.npz") as known:
        inputs, theirs = known[f"{name}_inputs"], known[f"{name}_outputs"]
    _, probabilities = network_outputs(module.network, inputs)
    # float32 sums of some ten terms of order 1 in another order
    np.testing.assert_allclose(probabilities[:, -theirs.shape[1] :], theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("top", ["layers", "_layer_checkpoint_dependencies"])  # the latter in Keras 2.12
def test_a_layers_weights_are_found_by_its_class_and_its_place_and_not_by_its_name(top: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for number, group in ((1, "dense"), (2, "dense_1"), (3, "lstm/cell"), (4, "dense_2")):
            file[f"{top}/{group}/vars/0"] = np.full((1, 1), number, dtype=np.float32)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WEIGHTS, content.getvalue())
    layers = [("Dense", "dense_2"), ("Dropout", "x"), ("Dense", "dense"), ("LSTM", "lstm_7"), ("Dense", "dense_1")]
    numbers = [[array.item() for array in arrays] for arrays in read_weights(path, layers)]
    assert numbers == [[1.0], [], [2.0], [3.0], [4.0]]


def test_both_formats_hold_the_same(saved: dict[str, Path]) -> None:
    first, second = (import_model(saved[suffix]) for suffix in (".keras", ".h5"))
    assert (first.adapter, first.settings, first.layers) == (second.adapter, second.settings, second.layers)
    assert (first.dtype, first.notes) == (second.dtype, second.notes)
    for ours, theirs in zip(first.arrays, second.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        import_model(tmp_path / "model.keras")
    assert str(caught.value) == f"no file {tmp_path / 'model.keras'}"
    assert refusal(tmp_path) == "this is a folder; save the model as one file with model.save('model.keras')"


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04\x95pickle", b"<html></html>", b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "model.h5").write_bytes(content)
    assert refusal(path) == "not a Keras file: it is neither a zip archive (.keras) nor HDF5 (.h5)"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused(suffix: str, kept: float, saved: dict[str, Path], tmp_path: Path) -> None:
    content = saved[suffix].read_bytes()
    (path := tmp_path / f"cut{suffix}").write_bytes(content[: int(len(content) * kept)])
    assert refusal(path) == DAMAGED


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_damaged_file_never_raises_another_error(suffix: str, saved: dict[str, Path], tmp_path: Path) -> None:
    content, path, rng = saved[suffix].read_bytes(), tmp_path / f"damaged{suffix}", random.Random(0)
    read = 0
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 8, 64])):
            damaged[rng.randrange(8, len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(KerasFileError):
            import_model(path)
            read += 1
    assert read < 100  # a zip has a checksum; of HDF5, most bytes here are structure


def test_a_zip_without_a_part_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    def message(**members: bytes | None) -> str:
        return refusal(changed(saved[".keras"], tmp_path / "model.keras", **members))

    assert message(config=None) == f"the file is a zip archive but not a Keras model: it has no {CONFIG}"
    assert message(weights=None) == f"the file has no {WEIGHTS}"
    assert message(config=b"{not json") == DAMAGED
    assert message(config=b"[" * 100_000) == DAMAGED
    assert message(config=b"[1, 2]") == "not a Keras model: its JSON is not an object"
    text = "the model is of class None; only Sequential and functional models are supported"
    assert message(config=b"{}") == text


MALFORMED = [
    {"class_name": "Sequential", "config": 5},
    {"class_name": "Sequential", "config": {"layers": 5}},
    {"class_name": "Sequential", "config": {"layers": [5]}},
    {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}]}},
    {"class_name": "Sequential", "config": {"layers": [{"class_name": ["Dense"], "config": {}}]}},
    {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 3}}]}},
    {"class_name": "Functional", "config": {"layers": [{"class_name": "Dense", "config": {"units": 3}}]}},
]


@pytest.mark.parametrize("content", MALFORMED, ids=str)
def test_json_of_another_form_is_refused(content: dict[str, Any], saved: dict[str, Path], tmp_path: Path) -> None:
    path = changed(saved[".keras"], tmp_path / "model.keras", config=json.dumps(content).encode())
    assert re.match(
        r"the model has no layers|its architecture does not have the form of a Keras model|layer '", refusal(path)
    )


def test_weights_without_an_architecture_are_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    text = "the file holds weights without an architecture; save the whole model with model.save(…)"
    assert refusal(saved["weights"]) == text
    with h5py.File(path := tmp_path / "legacy.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
    assert refusal(path) == text
    with h5py.File(path := tmp_path / "other.h5", "w") as file:
        file["numbers"] = [1.0]
    assert refusal(path) == "the file is HDF5 but not a Keras model: it has no model_config"


def external(file: h5py.File) -> None:
    file.create_dataset(KERNEL, (108, 4), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((108, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (108, 4))
    file.create_virtual_dataset(KERNEL, layout)


def shape_bomb(file: h5py.File) -> None:
    file.create_dataset(KERNEL, (2**30, 2**10), "f4", chunks=(2**10, 2**10), compression="gzip")


def put(value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.__setitem__(KERNEL, value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (external, f"the weights /{KERNEL} are in another file, which is not read"),
        (virtual, f"the weights /{KERNEL} are in another file, which is not read"),
        (put(h5py.SoftLink("/layers/dense/vars/1")), "'0' is a link instead of weights; links are not followed"),
        (put(h5py.ExternalLink("/etc/hostname", "/x")), "'0' is a link instead of weights; links are not followed"),
        (put(np.full((108, 4), np.nan, "f4")), f"the weights /{KERNEL} contain NaN or infinity"),
        (put(np.zeros((108, 4), "i4")), f"/{KERNEL} does not hold floating-point weights"),
        (
            put(np.zeros((107, 4), "f4")),
            "layer 'dense' (Dense) has weights of shape [(107, 4), (4,)], but its settings imply [(108, 4), (4,)]",
        ),
        (shape_bomb, f"the weights /{KERNEL} of shape (1073741824, 1024) take only 0 bytes in the file"),
        (lambda file: None, "the weights of '0' are missing"),
    ],
)
def test_weights_that_are_not_plainly_in_the_file_are_refused(
    change: Callable[[h5py.File], None], text: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    def replace(file: h5py.File) -> None:
        del file[KERNEL]
        change(file)

    assert refusal(with_weights(saved[".keras"], tmp_path / "model.keras", replace)) == text


def peak_of_reading(path: Path) -> int:
    """The most bytes that Python and numpy held while a file was refused."""
    tracemalloc.start()
    with pytest.raises(KerasFileError, match="weights"):
        import_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_arrays_are_counted_before_they_are_read(saved: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(saved[".h5"].read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        group.create_dataset("large", (2**22,), "f4")  # 16 MiB each time that it is read
        group.attrs["weight_names"] = ["large"] * 200
    text = "/model_weights/dense has 200 arrays of weights; a layer has at most 6"
    assert refusal(path) == text
    assert peak_of_reading(path) < 2**22

    def many(file: h5py.File) -> None:
        for i in range(2, 7):
            file[f"layers/dense/vars/{i}"] = np.zeros(1, "f4")

    path = with_weights(saved[".keras"], tmp_path / "model.keras", many)
    assert refusal(path) == "/layers/dense/vars has 7 arrays of weights; a layer has at most 6"


def test_shapes_are_compared_before_anything_is_read(saved: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(saved[".h5"].read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        group.create_dataset("large", (2**23,), "f4")  # 32 MiB, which is little enough for one array
        group.attrs["weight_names"] = ["large"] * 2
    shapes = "[(8388608,), (8388608,)], but its settings imply [(108, 4), (4,)]"
    assert refusal(path) == f"layer 'dense' (Dense) has weights of shape {shapes}"
    assert peak_of_reading(path) < 2**22


def test_arrays_that_are_small_alone_and_large_together_are_refused(tmp_path: Path) -> None:
    """Four of 48 MiB each, below the limit of 64 MiB for a single one, in a file of some kB."""
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 3545], "name": "in"}}]
    for name, activation in (("a", "relu"), ("b", "relu"), ("c", "relu"), ("d", "softmax")):
        layers.append({"class_name": "Dense", "config": {"name": name, "units": 3545, "activation": activation}})
    with h5py.File(path := tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        for name in "abcd":
            group = file.create_group(f"model_weights/{name}")
            group.create_dataset("kernel", (3545, 3545), "f4", chunks=True, compression="gzip")
            group["bias"] = np.zeros(3545, "f4")
            group.attrs["weight_names"] = ["kernel", "bias"]
    size = 4 * (3545 * 3545 + 3545) * 4
    text = f"the weights take {size:,} bytes, but the file has only {path.stat().st_size:,}; they were not read"
    assert refusal(path) == text
    assert peak_of_reading(path) < 2**22


def test_a_link_in_place_of_a_layers_group_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    def replace(file: h5py.File) -> None:
        file.move("layers/dense", "elsewhere")
        file["layers/dense"] = h5py.SoftLink("/elsewhere")

    path = with_weights(saved[".keras"], tmp_path / "model.keras", replace)
    assert refusal(path) == "'dense' is a link instead of weights; links are not followed"
    path.with_suffix(".h5").write_bytes(saved[".h5"].read_bytes())
    with h5py.File(path.with_suffix(".h5"), "r+") as file:
        del file["model_weights/dense"]
        file["model_weights/dense"] = h5py.ExternalLink("/etc/hostname", "/")
    assert refusal(path.with_suffix(".h5")) == "'dense' is a link instead of weights; links are not followed"


def test_a_decompression_bomb_is_not_unpacked(saved: dict[str, Path], tmp_path: Path) -> None:
    zeros = bytes(2**27)  # 128 MiB, which deflate stores in a thousandth of that
    text = refusal(changed(saved[".keras"], tmp_path / "weights.keras", weights=zeros))
    assert re.fullmatch(rf"{WEIGHTS} would expand from 1\d\d,\d\d\d to 134,217,728 bytes; it was not read", text)
    text = refusal(changed(saved[".keras"], tmp_path / "config.keras", config=bytes(2**25)))
    assert re.fullmatch(rf"{CONFIG} would expand from \d\d,\d\d\d to 33,554,432 bytes; it was not read", text)


def test_a_member_of_another_size_than_the_archive_says_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    """The size in the archive's directory is one byte too large; the checksum is still right."""
    content = json.dumps({"class_name": "Sequential"}).encode()
    path = changed(saved[".keras"], tmp_path / "model.keras", config=content)
    size, larger = (n.to_bytes(4, "little") for n in (len(content), len(content) + 1))
    path.write_bytes(path.read_bytes().replace(size, larger))
    assert refusal(path) == f"{CONFIG} has {len(content)} bytes, but the archive says {len(content) + 1}"


def test_a_dataset_in_place_of_a_group_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    def replace(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = [1.0]

    path = with_weights(saved[".keras"], tmp_path / "model.keras", replace)
    assert refusal(path) == "/layers/dense is not a group of weights"


def test_a_member_with_a_path_in_its_name_is_never_written(saved: dict[str, Path], tmp_path: Path) -> None:
    path = changed(saved[".keras"], tmp_path / "model.keras", **{"../escaped.txt": b"x", "/escaped.txt": b"x"})
    import_model(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["model.keras"]
    assert not (tmp_path.parent / "escaped.txt").exists()


def test_the_optimizer_of_a_compiled_file_is_in_its_json(saved: dict[str, Path], tmp_path: Path) -> None:
    model = sequential((3,), dense(2, "softmax"))
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    for suffix in (".keras", ".h5"):
        model.save(path := tmp_path / f"model{suffix}")
        compiled = read_model(path)["compile_config"]
        assert compiled["loss"] == "sparse_categorical_crossentropy"
        assert compiled["optimizer"]["config"]["rho"] == 0.9
