"""Checkpoints: what is saved comes back, and no failure at any moment takes the last one away.

A save consists of calls to the system. One by one each of them fails here, is interrupted, or is
the last that the process does; then the newest state that can be loaded is the old one or the new.
"""

from __future__ import annotations

import errno
import functools
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import Dense, FileError, Network, SoftmaxCrossEntropy, files, from_config, to_config
from layerkit.checkpoints import Checkpoints, read_tree, write_tree
from layerkit.errors import ConfigError
from layerkit.files import TEMPORARY, read_tensors, write_tensors

if os.name == "posix":
    import fcntl

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")

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
        ({"a": {1: 2}}, "/a has the key 1, which is no text"),
        ({None: 2}, "/ has the key None, which is no text"),
        ({"a": (1, 2)}, "/a is of type tuple, which would not come back as it was"),
        ({"a": {"b": [0, {1, 2}]}}, "/a/b/1 is of type set"),
        ({"a": np.float64(1)}, "/a is of type float64"),
        ({"a": np.bool_(True)}, "/a is of type bool"),
        ({"a": np.ma.masked_array([1])}, "/a is of type MaskedArray"),
        ({"a/b": print}, "/a~1b is of type builtin_function_or_method"),
        ({"a": b""}, "/a is of type bytes"),
        ({"a": np.array(["x"])}, "can't be written: /a is <U1, unknown to safetensors"),
        ({"\ud800": np.ones(1)}, "can't be written: a name that is no text"),
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
        ({}, {}, "the format of its state is none, this layerkit reads 1"),
        ({}, {"layerkit.format": "2"}, "the format of its state is 2, this layerkit reads 1"),
        ({}, {"layerkit.format": "1"}, "its arrays don't fit its tree"),
        ({}, {"layerkit.format": "1", "layerkit.tree": "{"}, "its arrays don't fit its tree"),
        ({"/a/b": 1}, {"layerkit.format": "1", "layerkit.tree": "{}"}, "its arrays don't fit"),
        ({"/a/0": 1}, {"layerkit.format": "1", "layerkit.tree": '{"a": []}'}, "don't fit"),
        ({"/a/b": 1}, {"layerkit.format": "1", "layerkit.tree": '{"a": 3}'}, "don't fit"),
        ({"a": 1}, {"layerkit.format": "1", "layerkit.tree": "{}"}, "don't fit its tree"),
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
    with pytest.raises(FileError, match="no network was saved in this file"):
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
    with pytest.raises(FileError, match=f"{tmp_path}: no checkpoint there that can be loaded"):
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


# A failure at every call to the system

CALLS = ["open", "write", "fsync", "close", "replace", "unlink", "mkdir", "listdir"]


@contextmanager
def struck(strike: Callable[[], None], at: int, ever_after: bool = False) -> Iterator[list[str]]:
    """Count the calls to the system, and do `strike` in place of the one with the number `at`.

    A write is done by half before. A handle is closed also where that is said to have failed.
    """
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            done.append(name)
            hit = len(done) == at or (ever_after and len(done) > at)
            if hit and name == "write":
                real(args[0], args[1][: len(args[1]) // 2])
            if hit and name == "close":
                real(*args)
            if hit:
                strike()
            # nothing here is about power cuts, and syncing takes most of the time
            return None if name == "fsync" else real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK", 300)
        for name in CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        if os.name == "posix":
            patch.setattr(fcntl, "flock", counted("flock", fcntl.flock))
        yield done


def network(number: int = 0) -> Network:
    net = Network(Dense(3), SoftmaxCrossEntropy(), shape=(4,))
    net.arena.values[:] = number
    return net


class States:
    """Checkpoints in `folder`, of which each state is a number."""

    def __init__(self, folder: Path) -> None:
        self.checkpoints = Checkpoints(folder, keep=2)

    def save(self, number: int) -> None:
        self.checkpoints.save(state(number), number)

    def load(self) -> int:
        tree, _, damaged = self.checkpoints.load()
        assert not damaged
        assert same(tree, state(tree["number"]))
        number: int = tree["number"]
        return number


class Networks:
    """A network in `folder` that is saved again and again, its parameters all one number."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "model.safetensors"

    def save(self, number: int) -> None:
        network(number).save(self.path)

    def load(self) -> int:
        values = Network.load(self.path).arena.values
        assert (values == values[0]).all()
        return int(values[0])


def leftovers(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.endswith(TEMPORARY)] if folder.exists() else []


def check_after(store: States | Networks, folder: Path, saved: list[int]) -> None:
    """The newest whole state is the old one or the new; the next save cleans up and is loaded."""
    try:
        assert store.load() in [*saved[-1:], saved[-1] + 1 if saved else 1]
    except FileError:
        assert not saved
    store.save(9)
    assert store.load() == 9
    assert leftovers(folder) == []
    assert len(names(folder)) <= 2


def prepare(kind: type[States] | type[Networks], folder: Path, saved: list[int]) -> Any:
    """A folder with what was `saved`, and what a process has left that was killed."""
    store = kind(folder)
    for number in saved:
        store.save(number)
    if saved:
        (folder / f".dead{TEMPORARY}").write_bytes(b"half of a mod")
    return store


def fail(code: int) -> None:
    raise OSError(code, os.strerror(code))


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("ever_after", [False, True])
@pytest.mark.parametrize("saved", [[], [1, 2]])
@pytest.mark.parametrize("kind", [States, Networks])
@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EIO, errno.EROFS, None])
def test_a_save_that_fails_at_any_call_leaves_the_old_state_or_the_new(
    tmp_path: Path,
    kind: type[States] | type[Networks],
    saved: list[int],
    failure: int | None,
    ever_after: bool,
) -> None:
    failed: set[str] = set()
    strike = functools.partial(fail, failure) if failure else interrupt
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        store = prepare(kind, folder, saved)
        planted, handles = leftovers(folder), len(os.listdir("/dev/fd"))
        raised: BaseException | None = None
        with struck(strike, at, ever_after) as done:
            try:
                store.save(saved[-1] + 1 if saved else 1)
            except (FileError, KeyboardInterrupt) as error:
                raised = error
        assert len(os.listdir("/dev/fd")) == handles
        if len(done) < at:
            break
        if raised:
            failed.add(done[at - 1])
        if isinstance(raised, FileError):
            assert re.match(rf"{folder}.*: can't be |{folder}: old files can't be ", str(raised))
            assert str(raised).endswith(os.strerror(failure or 0))
        if not ever_after:
            assert set(leftovers(folder)) <= set(planted)
        check_after(store, folder, saved)
    assert not raised
    assert failed >= {"open", "write", "fsync", "close", "replace"}
    assert done.count("write") > 2


def kill_at_every_call(folder: Path) -> None:
    """Save in child processes that kill themselves at their first call, their second …"""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    kinds: list[type[States] | type[Networks]] = [States, Networks]
    before: list[list[int]] = [[], [1, 2]]
    for kind, saved in itertools.product(kinds, before):
        for at in itertools.count(1):
            here = folder / f"{kind.__name__}{len(saved)}-{at}"
            store = prepare(kind, here, saved)
            child = os.fork()
            if not child:
                with struck(kill, at):
                    store.save(saved[-1] + 1 if saved else 1)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, -signal.SIGKILL)
            if status == 0:
                break
            check_after(store, here, saved)
        print(kind.__name__, len(saved), at)


def save_many(folder: Path, first: int) -> None:
    """Save the states of a training that goes on, until someone kills this process."""
    store = States(folder)
    for number in itertools.count(first, 2):
        store.save(number)


def in_another_process(task: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    # one thread only: a process with several should not be forked
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", __file__, task, str(folder), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@posix
def test_a_save_that_is_killed_at_any_call_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    process = in_another_process("kill_at_every_call", tmp_path)
    said = process.communicate()[0]
    assert process.returncode == 0
    calls = {line.rsplit(" ", 1)[0]: int(line.split()[-1]) for line in said.splitlines()}
    assert calls.keys() == {"States 0", "States 2", "Networks 0", "Networks 2"}
    assert min(calls.values()) > 12


@posix
def test_processes_that_save_to_one_folder_at_once(tmp_path: Path) -> None:
    """They are killed one after the other at random moments, and others take their places."""
    store, rng, loaded = prepare(States, tmp_path, [1, 2]), random.Random(0), set()
    processes = [in_another_process("save_many", tmp_path, str(first)) for first in (3, 4)]
    for _ in range(4):
        target = store.load() + rng.randrange(5, 30)
        while (number := store.load()) < target:
            loaded.add(number)
        processes.append(in_another_process("save_many", tmp_path, str(number + rng.randrange(2))))
        first = processes.pop(0)
        first.kill()
        first.communicate()
    for process in processes:
        process.kill()
        process.communicate()
    assert len(loaded) > 10
    newest = store.load()
    store.save(newest + 1)
    assert store.load() == newest + 1
    assert leftovers(tmp_path) == []
    assert len(names(tmp_path)) == 2


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


if __name__ == "__main__":
    task, folder, *options = sys.argv[1:]
    if task == "kill_at_every_call":
        kill_at_every_call(Path(folder))
    else:
        save_many(Path(folder), int(options[0]))
