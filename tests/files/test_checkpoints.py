"""Checkpoints: what is saved comes back, the newest whole one first; damage is noticed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import Dense, FileError, Network, SoftmaxCrossEntropy, from_config, to_config
from layerkit.errors import ConfigError
from layerkit.files.atomic import read_tensors, write_tensors
from layerkit.files.checkpoints import Checkpoints, read_tree, write_tree

# Trees


def same(a: Any, b: Any) -> bool:
    """Whether two trees are equal, with types, order and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return repr(a) == repr(b)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"a": {}, "b": [], "c": [[], {}], "": {"": ""}},
        {"none": None, "yes": True, "no": False, "one": 1, "float": 1.0, "minus": -0.0},
        {"floats": [math.pi, 5e-324, 1e308, 0.1 + 0.2, math.inf, -math.inf, math.nan]},
        {"ints": [0, -1, 2**63, 2**128 - 1, -(10**300), 10**64]},
        {"text": ["", 'ü\n"\\\0', "null", "NaN", "\ud800", "0" * 64]},
        {"z": 1, "a": 2, "m": {"z": np.ones(1), "a": 0, "b": np.zeros(2)}},
        {"a.b": {"c/d": np.ones(2), "c": {"d": np.zeros(3)}}, "a": {"b.c": 1}},
        {"~": {"/": np.ones(1), "~1": np.zeros(1), "~01": np.full(1, 2.0), "": np.full(1, 3.0)}},
        {"__metadata__": np.ones(2), "0": np.ones(1)},
        {"empty": np.ones((0, 3)), "scalar": np.array(2.5), "mask": np.array([True, False])},
        {
            "in lists": [
                np.ones(2, np.float32),
                [None, np.arange(3)],
                {"x": np.array([255], np.uint8)},
            ]
        },
        {"rng": np.random.default_rng(0).bit_generator.state},
        {"rng": np.random.MT19937(0).state},
        {"rng": np.random.Philox(0).state},
    ],
)
def test_a_tree_comes_back(tmp_path: Path, tree: dict[str, Any]) -> None:
    write_tree(tmp_path / "state", tree)
    assert same(read_tree(str(tmp_path / "state")), tree)


def test_a_generator_goes_on_from_its_state(tmp_path: Path) -> None:
    rng, other = np.random.default_rng(3), np.random.default_rng(4)
    rng.integers(0, 9, size=7, dtype=np.uint32)
    write_tree(tmp_path / "state", {"rng": rng.bit_generator.state})
    other.bit_generator.state = read_tree(tmp_path / "state")["rng"]
    assert rng.random(5).tolist() == other.random(5).tolist()


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"a": {1: 2}}, "/a has the key 1, which is not a string"),
        ({None: 2}, "/ has the key None, which is not a string"),
        ({"a": (1, 2)}, "/a is of type tuple, which would not come back as it was"),
        ({"a": {"b": [0, {1, 2}]}}, "/a/b/1 is of type set"),
        ({"a": np.float64(1)}, "/a is of type float64"),
        ({"a": np.bool_(True)}, "/a is of type bool"),
        ({"a": np.ma.masked_array([1])}, "/a is of type MaskedArray"),
        ({"a/b": print}, "/a~1b is of type builtin_function_or_method"),
        ({"a": b""}, "/a is of type bytes"),
        ({"a": np.array(["x"])}, "can't be written: /a is <U1, unknown to safetensors"),
        ({"\ud800": np.ones(1)}, "can't be written: a name that is not valid Unicode"),
    ],
)
def test_what_would_not_come_back_is_refused(
    tmp_path: Path, tree: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(FileError, match=f"state: .*{sentence}"):
        write_tree(tmp_path / "state", tree)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arrays", "metadata", "sentence"),
    [
        ({}, {}, "the format of its state is none; this version of layerkit reads 2"),
        (
            {},
            {"layerkit.format": "1"},
            "the format of its state is 1; this version of layerkit reads 2",
        ),
        ({}, {"layerkit.format": "2"}, "its arrays don't fit its tree"),
        ({}, {"layerkit.format": "2", "layerkit.tree": "{"}, "its arrays don't fit its tree"),
        ({"/a/b": 1}, {"layerkit.format": "2", "layerkit.tree": "{}"}, "its arrays don't fit"),
        ({"/a/0": 1}, {"layerkit.format": "2", "layerkit.tree": '{"a": []}'}, "don't fit"),
        ({"/a/b": 1}, {"layerkit.format": "2", "layerkit.tree": '{"a": 3}'}, "don't fit"),
        ({"a": 1}, {"layerkit.format": "2", "layerkit.tree": "{}"}, "don't fit its tree"),
    ],
)
def test_files_that_hold_something_else_are_refused(
    tmp_path: Path, arrays: dict[str, int], metadata: dict[str, str], sentence: str
) -> None:
    write_tensors(tmp_path / "x", {name: np.ones(n) for name, n in arrays.items()}, metadata)
    with pytest.raises(FileError, match=f"x: .*{sentence}"):
        read_tree(tmp_path / "x")


def test_a_state_is_no_network_and_a_network_is_no_state(tmp_path: Path) -> None:
    write_tree(tmp_path / "state", {"W": np.ones(2)})
    with pytest.raises(FileError, match="is not a network that was saved"):
        Network.load(tmp_path / "state")
    network().save(tmp_path / "model")
    with pytest.raises(FileError, match="the format of its state is none"):
        read_tree(tmp_path / "model")


# A folder of checkpoints


def state(number: int) -> dict[str, Any]:
    return {"number": number, "w": np.full(100, float(number))}


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_are_kept(tmp_path: Path, keep: int) -> None:
    checkpoints = Checkpoints(tmp_path / "new" / "folder", keep=keep)
    assert checkpoints.paths() == []
    for number in (5, 99_999_999, 123_456_789, 1_000_000_000):
        assert checkpoints.save(state(number), number) == checkpoints.paths()[0]
    last = ["step-1000000000", "step-123456789", "step-99999999"][:keep]
    assert [path.stem for path in checkpoints.paths()] == last
    tree, path, damaged = checkpoints.load()
    assert (tree["number"], path.stem, damaged) == (1_000_000_000, "step-1000000000", [])


def test_other_files_stay(tmp_path: Path) -> None:
    others = ["best.safetensors", "step-1.safetensors", "step-00000001.safetensors.old", "step-x"]
    for name in others:
        (tmp_path / name).touch()
    for number in (1, 2):
        Checkpoints(tmp_path, keep=1).save(state(number), number)
    assert names(tmp_path) == sorted([*others, "step-00000002.safetensors"])


def test_a_training_that_went_back_is_the_newest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for number in (10, 20, 15):
        checkpoints.save(state(number), number)
    assert [path.stem for path in checkpoints.paths()] == ["step-00000015", "step-00000010"]
    checkpoints.save(state(1), 1)
    assert checkpoints.load().tree["number"] == 1


def test_a_damaged_one_falls_back_and_says_so(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=4)
    for number in (1, 2, 3, 4):
        checkpoints.save(state(number), number)
    newest, next_one, *_ = checkpoints.paths()
    newest.write_bytes(newest.read_bytes()[:-1])
    next_one.write_bytes(b"")
    tree, path, damaged = checkpoints.load()
    assert (tree["number"], path.stem) == (2, "step-00000002")
    assert [sentence.split(": ")[0] for sentence in damaged] == [str(newest), str(next_one)]
    assert all("damaged" in sentence for sentence in damaged)
    checkpoints.save(state(3), 3)
    assert checkpoints.load().damaged == []


def test_where_none_can_be_loaded_all_are_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(FileError, match=f"{tmp_path}: has no checkpoint that can be loaded"):
        checkpoints.load()
    for number in (1, 2):
        checkpoints.save(state(number), number).write_bytes(b"")
    with pytest.raises(FileError, match=r"(?s)loaded\n.*2\.safetensors: .*\n.*1\.safetensors: "):
        checkpoints.load()
    with pytest.raises(FileError, match="gone: can't be read: No such file"):
        Checkpoints(tmp_path / "gone").load()


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="file/folder: can't be made: "):
        Checkpoints(tmp_path / "file" / "folder").save({}, 1)
    for ask in (Checkpoints().paths, Checkpoints().load, lambda: Checkpoints().save({}, 1)):
        with pytest.raises(ConfigError, match=r"Checkpoints\.folder: missing"):
            ask()


def test_they_stand_in_a_configuration(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, every=500, keep=3)
    table = to_config(checkpoints)
    assert json.loads(json.dumps(table)) == table
    assert table == {"type": "Checkpoints", "folder": str(tmp_path), "every": 500, "keep": 3}
    assert from_config(table, Checkpoints) == checkpoints
    for wrong in ({"keep": 0}, {"every": 0}, {"folder": 3}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            from_config(wrong, Checkpoints)


def network(number: int = 0) -> Network:
    net = Network(Dense(3), SoftmaxCrossEntropy(), shape=(4,))
    net.arena.values[:] = number
    return net


# Damage


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_damage_anywhere_falls_back(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        path = checkpoints.save({"number": number, "w": np.full(3, float(number))}, number)
    content = path.read_bytes()
    for position in range(len(content)):
        if damage == "flip":
            damaged = bytearray(content)
            damaged[position] ^= 1 << position % 8
            path.write_bytes(damaged)
        else:
            path.write_bytes(content[:position])
        tree, found, sentences = checkpoints.load()
        assert (tree["number"], found.stem, len(sentences)) == (1, "step-00000001", 1)
        assert sentences[0].startswith(f"{path}: ")
    path.write_bytes(content)
    assert checkpoints.load().tree["number"] == 2


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_network_that_was_damaged_anywhere_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    network(1).save(path)
    content = path.read_bytes()
    assert "layerkit.Network" in read_tensors(path)[1]
    for position in range(len(content)):
        damaged = bytearray(content) if damage == "flip" else content[:position]
        if isinstance(damaged, bytearray):
            damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=r"model\.safetensors: "):
            Network.load(path)
