"""Saves that fail: no failure at any moment takes the last state away.

A save consists of calls to the system. One by one each of them fails here, is interrupted, or is
the last that the process does; then the newest state that can be loaded is the old one or the new.
"""

from __future__ import annotations

import errno
import functools
import gc
import itertools
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

from layerkit import Dense, FileError, Network, SoftmaxCrossEntropy
from layerkit.files import atomic
from layerkit.files.atomic import TEMPORARY
from layerkit.files.checkpoints import Checkpoints

if os.name == "posix":
    import fcntl

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")

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
            return real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "WRITE_SIZE", 300)
        for name in CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        if os.name == "posix":
            patch.setattr(fcntl, "flock", counted("flock", fcntl.flock))
        yield done


@contextmanager
def without_syncing() -> Iterator[None]:
    """Nothing here is about power cuts, and syncing takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def unsynced() -> Iterator[None]:
    with without_syncing():
        yield


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No mapped file that another test has left is closed while open files are counted."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_files(folder: Path) -> list[str]:
    """The files and folders in a folder that are open; threads of other tests have others."""
    paths = (os.path.realpath(f"/dev/fd/{number}") for number in os.listdir("/dev/fd"))
    return sorted(path for path in paths if path.startswith(str(folder)))


def network(number: int = 0) -> Network:
    net = Network(Dense(3), SoftmaxCrossEntropy(), shape=(4,))
    net.arena.values[:] = number
    return net


class States:
    """Checkpoints in `folder`, of which each state is a number."""

    def __init__(self, folder: Path) -> None:
        self.checkpoints = Checkpoints(folder, keep=2)

    def save(self, number: int) -> None:
        self.checkpoints.save({"number": number, "w": np.full(100, number)}, number)

    def load(self) -> int:
        tree, _, damaged = self.checkpoints.load()
        assert not damaged
        assert tree["w"].tolist() == 100 * [tree["number"]]
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


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


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


@pytest.mark.parametrize(
    ("failure", "ever_after"),
    [(errno.ENOSPC, False), (errno.EIO, False), (errno.EROFS, True), (None, False), (None, True)],
)
@pytest.mark.parametrize("saved", [[], [1, 2]])
@pytest.mark.parametrize("kind", [States, Networks])
@pytest.mark.usefixtures("unsynced", "uncollected")
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
        planted, opened = leftovers(folder), open_files(tmp_path)
        raised: BaseException | None = None
        with struck(strike, at, ever_after) as done:
            try:
                store.save(saved[-1] + 1 if saved else 1)
            except (FileError, KeyboardInterrupt) as error:
                raised = error
        assert open_files(tmp_path) == opened
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
@pytest.mark.processes
def test_a_save_that_is_killed_at_any_call_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    process = in_another_process("kill_at_every_call", tmp_path)
    said = process.communicate()[0]
    assert process.returncode == 0
    calls = {line.rsplit(" ", 1)[0]: int(line.split()[-1]) for line in said.splitlines()}
    assert calls.keys() == {"States 0", "States 2", "Networks 0", "Networks 2"}
    assert min(calls.values()) > 12


@posix
@pytest.mark.processes
def test_processes_that_save_to_one_folder_at_once(tmp_path: Path) -> None:
    """They are killed one after the other at random moments, and others take their places."""
    store, rng, loaded = prepare(States, tmp_path, [1, 2]), random.Random(0), set()
    processes = [in_another_process("save_many", tmp_path, str(first)) for first in (3, 4)]
    for _ in range(4):
        target = store.load() + rng.randrange(5, 30)
        while (number := store.load()) < target:
            loaded.add(number)
            assert [process.poll() for process in processes] == [None, None]
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


if __name__ == "__main__":
    task, folder, *options = sys.argv[1:]
    if task == "kill_at_every_call":
        with without_syncing():
            kill_at_every_call(Path(folder))
    else:
        save_many(Path(folder), int(options[0]))
