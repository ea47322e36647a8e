"""YAML within limits: bombs, tags, repeated keys and random texts give plain data, or one line with the place."""

import itertools
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from datamodules.errors import UserError
from lit_models.cli import strict_yaml
from lit_models.cli.configs import read_config
from tests.fuzz import mutated, read_or_refuse

PAIRS = list(itertools.pairwise("abcdefghijk"))
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(f"{k}: &{k} [{','.join([f'*{b}'] * 9)}]\n" for b, k in PAIRS)
MERGES = "a: &a {x: 1}\n" + "".join(f"{k}: &{k} {{<<: [{','.join([f'*{b}'] * 9)}]}}\n" for b, k in PAIRS)
MANY = "more than 2,000 keys and values, counted as often as aliases repeat them"
VALID = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))]
TOKENS = [b"&a ", b"*a", b"<<: ", b"!!python/name:os.system", b"\n  - ", b"? ", b"{", b"[", b": ", b"\xff", b"'", b"|"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, f":4: {MANY}"),
        (MERGES, f":4: {MANY}"),
        ("a: &a\n  b: *a\n", ":1: a part of it contains itself"),
        ("[" * 500_000, ":1: more than 64 levels inside each other"),
        ("- " * 500_000, ":1: more than 64 levels inside each other"),
        ("model: 1\nmodel: 2\n", ":2: the key 'model' is there twice"),
        ("a:\n  b: 1\n  'b': 2\n", ":3: the key 'b' is there twice"),
        ("? [a]\n: 1\n", ":1: a key must be a plain word"),
        ("a: !!python/object/apply:os.system [id]\n", ":1: could not determine a constructor for the tag"),
        ("a: !!python/name:os.system ''\n", ":1: could not determine a constructor for the tag"),
        ("a: !!binary eA==\n", ":1: could not determine a constructor for the tag"),
        (f"a: {'9' * 5000}\n", ":1: a number of 5,000 characters, expected at most 400"),
        (f"a: {':'.join(['59'] * 100_000)}\n", ":1: a number of 299,999 characters, expected at most 400"),
        ("# " + "x" * 2**20, ": not a YAML text: more than 1,048,576 characters, which no config needs"),
        ("a: b: c\n", ":1: mapping values are not allowed here"),
    ],
)
def test_a_hostile_text_is_one_line_within_a_second(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        read_config(path)
    assert time.process_time() - start < 1
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_a_config_of_100_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    start = time.process_time()
    with pytest.raises(UserError, match="more than 1,048,576 characters"):
        read_config(path)
    assert time.process_time() - start < 0.5


def test_aliases_and_merges_of_everyday_use_are_read() -> None:
    text = "base: &base {lr: 0.1, layers: [1, 2]}\nmore: {<<: *base, lr: 0.2}\nsame: *base\nday: 2024-01-31"
    base = {"lr": 0.1, "layers": [1, 2]}
    expected = {"base": base, "more": {**base, "lr": 0.2}, "same": base, "day": "2024-01-31"}
    assert strict_yaml.load(text) == expected


@pytest.mark.fuzz
@given(mutated(VALID, TOKENS))
@example(b"a: 0x_")
@example(b"a: !!float x")
@example(b"a: !!int ''")
@example(b"a: !!bool x")
@example(b"<<: 1")
@example(b"{1: 2, null: 3}")
def test_a_damaged_config_is_read_as_plain_data_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    start = time.process_time()
    read_or_refuse(read_config, tmp_path_factory.getbasetemp() / "c.yaml", content)
    assert time.process_time() - start < 2


@pytest.mark.fuzz
@given(st.text(st.sampled_from("ab1:-,.[]{}&*!|>'\"%#?<\n \t~=\\"), max_size=60))
def test_a_random_text_gives_a_yaml_error_or_plain_data(text: str) -> None:
    try:
        content = strict_yaml.load(text)
    except yaml.YAMLError:
        return
    assert is_plain(content)


def is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(is_plain(part) for part in (*value.keys(), *value.values()))
    return (
        all(map(is_plain, value))
        if isinstance(value, list)
        else value is None or type(value) in (str, int, float, bool)
    )
