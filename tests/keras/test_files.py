"""Keras files are read as data: whole ones, old ones, broken ones, and ones that point elsewhere."""

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

from lit_models.export.keras import network_outputs
from lit_models.keras.files import CONFIG, WEIGHTS, read_model, read_weights
from lit_models.keras_import import build, read_file
from tests.keras.stacks import conv, dense, keras_tests, sequential, with_noise

pytestmark = keras_tests

KERAS2 = Path(__file__).parent / "keras2"
KERNEL = "layers/dense/vars/0"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, keras_backend: str) -> dict[str, Path]:
    """One small CNN by suffix: `.keras`, `.h5`, and its weights alone in both forms."""
    import keras

    keras.utils.clear_session()  # names count on from model to model
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
    given = {{"config": CONFIG, "weights": WEIGHTS}.get(name, name): content for name, content in members.items()}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in ({name: old.read(name) for name in old.namelist()} | given).items():
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
    """What is said of a file, without its name, which the sentence has to begin with."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read_file(path, None, None)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text.replace(str(path), "FILE")


@pytest.mark.parametrize(("file", "name"), [("cnn.h5", "cnn"), ("rnn.keras", "rnn")])
def test_files_of_keras_2_compute_what_keras_2_computed(file: str, name: str) -> None:
    architecture, arrays = read_file(KERAS2 / file, None, None)
    module = build(KERAS2 / file, architecture, arrays, None)
    with np.load(KERAS2 / "outputs.npz") as known:
        inputs, wanted = known[f"{name}_inputs"], known[f"{name}_outputs"]
    found = network_outputs(module)(inputs)[1][:, -wanted.shape[1] :]
    # float32 sums of some ten terms of order 1 in another order
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


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
    found = [[array.item() for array in arrays] for arrays in read_weights(path, layers)]
    assert found == [[1.0], [], [2.0], [3.0], [4.0]]


def test_both_formats_hold_the_same(saved: dict[str, Path]) -> None:
    (first, arrays), (second, others) = (read_file(saved[suffix], None, None) for suffix in (".keras", ".h5"))
    assert first._replace(saved=[]) == second._replace(saved=[])
    for ours, theirs in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_is_not_there_and_a_folder_are_said(tmp_path: Path) -> None:
    assert refusal(tmp_path / "model.keras") == "no file FILE"
    assert refusal(tmp_path) == "FILE is a folder: save the model as one file, model.save('model.keras')"


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04\x95pickle", b"<html></html>", b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_of_another_kind_is_said(content: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "model.h5").write_bytes(content)
    assert refusal(path) == "FILE is no Keras file: neither a zip (.keras) nor HDF5 (.h5)"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_said(suffix: str, kept: float, saved: dict[str, Path], tmp_path: Path) -> None:
    content = saved[suffix].read_bytes()
    (path := tmp_path / f"cut{suffix}").write_bytes(content[: int(len(content) * kept)])
    assert refusal(path) == "FILE is damaged or cut off, or no Keras model"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_damaged_file_never_ends_in_another_error(suffix: str, saved: dict[str, Path], tmp_path: Path) -> None:
    content, path, rng = saved[suffix].read_bytes(), tmp_path / f"damaged{suffix}", random.Random(0)
    read = 0
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 8, 64])):
            damaged[rng.randrange(8, len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            read_file(path, None, None)
            read += 1
    assert read < 100  # a zip has a checksum; of HDF5, most bytes here are structure


def test_a_zip_that_lacks_a_part_is_said(saved: dict[str, Path], tmp_path: Path) -> None:
    def message(**members: bytes | None) -> str:
        return refusal(changed(saved[".keras"], tmp_path / "model.keras", **members))

    assert message(config=None) == f"FILE is a zip, and no Keras model: there is no {CONFIG} in it"
    assert message(weights=None) == f"FILE has no {WEIGHTS} in it"
    assert message(config=b"{not json") == "FILE is damaged or cut off, or no Keras model"
    assert message(config=b"[" * 100_000) == "FILE is damaged or cut off, or no Keras model"
    assert message(config=b"[1, 2]") == "FILE is no Keras model: its JSON is no object"
    assert (
        message(config=b"{}") == "FILE is a None, a class of its own: only Sequential and functional models can be read"
    )


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
def test_json_of_another_form_is_said(content: dict[str, Any], saved: dict[str, Path], tmp_path: Path) -> None:
    path = changed(saved[".keras"], tmp_path / "model.keras", config=json.dumps(content).encode())
    assert re.match(r"FILE has (no layers|an architecture that is no|the layer ')", refusal(path))


def test_weights_without_an_architecture_are_said(saved: dict[str, Path], tmp_path: Path) -> None:
    text = "FILE holds weights and no architecture: save the whole model, model.save(…)"
    assert refusal(saved["weights"]) == text
    with h5py.File(path := tmp_path / "legacy.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
    assert refusal(path) == text
    with h5py.File(path := tmp_path / "other.h5", "w") as file:
        file["numbers"] = [1.0]
    assert refusal(path) == "FILE is an HDF5 file, and no Keras model: it has no model_config"


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
        (external, f"keeps the weights /{KERNEL} in another file: it is not followed"),
        (virtual, f"keeps the weights /{KERNEL} in another file: it is not followed"),
        (put(h5py.SoftLink("/layers/dense/vars/1")), "has a link '0' in place of weights: it is not followed"),
        (put(h5py.ExternalLink("/etc/hostname", "/x")), "has a link '0' in place of weights: it is not followed"),
        (put(np.full((108, 4), np.nan, "f4")), f"has weights that are no finite numbers, in /{KERNEL}"),
        (put(np.zeros((108, 4), "i4")), f"has no floating-point weights in /{KERNEL}"),
        (
            put(np.zeros((107, 4), "f4")),
            "has the layer 'dense' (Dense) with weights of shape [(107, 4), (4,)], and its ",
        ),
        (shape_bomb, f"has weights /{KERNEL} of shape (1073741824, 1024) in 0 bytes"),
        (lambda file: None, "lacks the weights of '0'"),
    ],
)
def test_weights_that_are_not_plainly_there_are_refused(
    change: Callable[[h5py.File], None], text: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    def replace(file: h5py.File) -> None:
        del file[KERNEL]
        change(file)

    assert refusal(with_weights(saved[".keras"], tmp_path / "model.keras", replace)).startswith(f"FILE {text}")


def peak_of_reading(path: Path) -> int:
    """Bytes that Python and numpy held at most while a file was refused."""
    tracemalloc.start()
    with pytest.raises(ValueError, match="weights"):
        read_file(path, None, None)
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
    text = "FILE has 200 arrays of weights in /model_weights/dense, and no layer has more than 6"
    assert refusal(path) == text
    assert peak_of_reading(path) < 2**22

    def many(file: h5py.File) -> None:
        for i in range(2, 7):
            file[f"layers/dense/vars/{i}"] = np.zeros(1, "f4")

    path = with_weights(saved[".keras"], tmp_path / "model.keras", many)
    assert refusal(path) == "FILE has 7 arrays of weights in /layers/dense/vars, and no layer has more than 6"


def test_shapes_are_compared_before_anything_is_read(saved: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(saved[".h5"].read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        group.create_dataset("large", (2**23,), "f4")  # 32 MiB, which is little enough for one array
        group.attrs["weight_names"] = ["large"] * 2
    shapes = "[(8388608,), (8388608,)], and its settings say [(108, 4), (4,)]"
    assert refusal(path) == f"FILE has the layer 'dense' (Dense) with weights of shape {shapes}"
    assert peak_of_reading(path) < 2**22


def test_arrays_that_are_small_alone_and_large_together_are_refused(tmp_path: Path) -> None:
    """Three of 48 MiB, each below the 64 MiB that are free, in a file of some kB."""
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
    text = f"FILE has weights of {size:,} bytes in {path.stat().st_size:,}: they are not read"
    assert refusal(path) == text
    assert peak_of_reading(path) < 2**22


def test_a_link_in_place_of_a_layers_group_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    def replace(file: h5py.File) -> None:
        file.move("layers/dense", "elsewhere")
        file["layers/dense"] = h5py.SoftLink("/elsewhere")

    path = with_weights(saved[".keras"], tmp_path / "model.keras", replace)
    assert refusal(path) == "FILE has a link 'dense' in place of weights: it is not followed"
    path.with_suffix(".h5").write_bytes(saved[".h5"].read_bytes())
    with h5py.File(path.with_suffix(".h5"), "r+") as file:
        del file["model_weights/dense"]
        file["model_weights/dense"] = h5py.ExternalLink("/etc/hostname", "/")
    assert refusal(path.with_suffix(".h5")) == "FILE has a link 'dense' in place of weights: it is not followed"


def test_a_decompression_bomb_is_not_unpacked(saved: dict[str, Path], tmp_path: Path) -> None:
    zeros = bytes(2**27)  # 128 MiB, which deflate keeps in a thousandth of it
    text = refusal(changed(saved[".keras"], tmp_path / "weights.keras", weights=zeros))
    assert re.fullmatch(rf"FILE has a {WEIGHTS} of 134,217,728 bytes in 1\d\d,\d\d\d: it is not read", text)
    text = refusal(changed(saved[".keras"], tmp_path / "config.keras", config=bytes(2**25)))
    assert re.fullmatch(rf"FILE has a {CONFIG} of 33,554,432 bytes in \d\d,\d\d\d: it is not read", text)


def test_a_member_with_a_path_in_its_name_is_never_written(saved: dict[str, Path], tmp_path: Path) -> None:
    path = changed(saved[".keras"], tmp_path / "model.keras", **{"../escaped.txt": b"x", "/tmp/escaped.txt": b"x"})
    read_file(path, None, None)
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
