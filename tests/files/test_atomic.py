"""Files: what is written comes back bit for bit, or is refused."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from layerkit import FileError, LayerkitWarning
from layerkit.arrays import Array
from layerkit.files import atomic
from layerkit.files.atomic import (
    NO_CHECKSUM,
    TEMPORARY,
    read_tensors,
    write_atomically,
    write_tensors,
)

posix = pytest.mark.skipif(os.name != "posix", reason="the system's own limits")
TENSORS = {"body.W": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True, False])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_tensors(path, TENSORS, {"note": "as it was"})
    return path


def is_as_it_was(path: Path) -> bool:
    tensors, metadata = read_tensors(path)
    return [item.name for item in path.parent.iterdir()] == [path.name] and (
        metadata == {"note": "as it was"} and (tensors["body.W"] == TENSORS["body.W"]).all()
    )


# What comes back


@pytest.mark.parametrize("dtype", sorted(atomic.DTYPES))
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: x.T,
        lambda x: np.asfortranarray(x),
        lambda x: x[::-1, ::2],
        lambda x: x[1, ::-2],
        lambda x: x[:0],
        lambda x: x[0, 0],
        lambda x: x[1, 1, ...],
        lambda x: np.broadcast_to(x[0], (5, 7)),
        lambda x: x.astype(x.dtype.newbyteorder(">")),
    ],
)
def test_every_kind_of_array_comes_back(
    tmp_path: Path, dtype: str, view: Callable[[Array], Array]
) -> None:
    x = np.asarray(view(np.random.default_rng(0).integers(0, 256, (6, 7)).astype(dtype)))
    x.flags.writeable = False
    write_tensors(tmp_path / "x", {"before": np.ones(1, bool), "x": x}, {})
    found = read_tensors(tmp_path / "x")[0]["x"]
    assert (found.dtype, found.shape) == (np.dtype(dtype), x.shape)
    assert found.tobytes() == x.astype(dtype).tobytes()
    assert found.flags.writeable


def test_every_bit_of_a_float_comes_back(tmp_path: Path) -> None:
    x = np.array([0x7FF8000000000001, 0xFFF0000000000000, 1, 2**63], np.uint64).view(float)
    write_tensors(tmp_path / "x", {"x": x}, {})
    assert read_tensors(tmp_path / "x")[0]["x"].tobytes() == x.tobytes()


def test_other_programs_can_read_it(path: Path) -> None:
    write_tensors(path, {"flag": np.ones(3, bool), "ünïcode": np.ones((2, 3))}, {"a": 'q"\n'})
    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        assert sorted(names) == ["flag", "ünïcode"]
        assert [file.get_tensor(name).tolist() for name in sorted(names)] == [
            [True] * 3,
            [[1.0] * 3] * 2,
        ]
        assert file.metadata()["a"] == 'q"\n'
    # so the wide array begins at a multiple of 8
    assert (path.stat().st_size - 3) % 8 == 0
    assert b'"shape":[2,3],"data_offsets":[0,48]' in path.read_bytes()


def test_a_text_like_the_place_of_the_checksum_comes_back(path: Path) -> None:
    write_tensors(path, {NO_CHECKSUM: np.ones(1)}, {NO_CHECKSUM: NO_CHECKSUM})
    tensors, metadata = read_tensors(path)
    assert (list(tensors), metadata) == ([NO_CHECKSUM], {NO_CHECKSUM: NO_CHECKSUM})


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("z", np.ones(2, complex), "z is complex128, unknown to safetensors"),
        ("words", np.array(["a"]), "words is <U1, unknown"),
        ("things", np.array([None]), "things is object, unknown"),
        ("\ud800", np.ones(2), "a name that is not valid Unicode"),
    ],
)
def test_what_the_format_does_not_know_is_refused(
    path: Path, name: str, array: Array, sentence: str
) -> None:
    with pytest.raises(FileError, match=rf"model\.safetensors: can't be written: {sentence}"):
        write_tensors(path, {name: array}, {})
    assert is_as_it_was(path)


def test_more_text_than_can_be_read_again_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "LONGEST_HEADER", 400)
    with pytest.raises(FileError, match="bytes of names and metadata besides the arrays"):
        write_tensors(path, TENSORS, {"long": "x" * 400})
    assert is_as_it_was(path)


def test_saving_copies_no_array(path: Path) -> None:
    x = np.ones(2**22, np.float32)
    write_tensors(path, {"x": x}, {})
    tracemalloc.start()
    write_tensors(path, {"x": x, "y": x.reshape(64, -1)}, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 10


# Damage


def test_every_flipped_bit_is_refused(path: Path) -> None:
    content = path.read_bytes()
    read_tensors(path)
    tracemalloc.start()
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(FileError, match=r"model\.safetensors: .*(damaged|safetensors file)"):
            read_tensors(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_every_cut_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for size in range(len(content)):
        for cut in (content[:size], content[size + 1 :], content[: len(content) - size] + b"!"):
            path.write_bytes(cut)
            with pytest.raises(FileError, match=r"model\.safetensors: .*(damaged|safetensors)"):
                read_tensors(path)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, 5000])
def test_noise_is_refused(path: Path, size: int) -> None:
    for seed in range(20):
        path.write_bytes(np.random.default_rng(seed).bytes(size))
        with pytest.raises(FileError, match="damaged, or not a safetensors file"):
            read_tensors(path)


@pytest.mark.parametrize("beginning", [b"", (10**9).to_bytes(8, "little")])
def test_a_large_file_of_another_kind_is_not_read_as_a_whole(path: Path, beginning: bytes) -> None:
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(2 * 10**8)  # takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="damaged, or not a safetensors file"):
            read_tensors(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("checksum", ["", "0", NO_CHECKSUM, "ü" * 64])
def test_a_wrong_checksum_is_refused(path: Path, checksum: str) -> None:
    save_file(TENSORS, path, {"layerkit.sha256": checksum})
    with pytest.raises(FileError, match=r"damaged: its checksum is not that of its content"):
        read_tensors(path)


def test_what_was_changed_by_another_program_is_refused(path: Path) -> None:
    tensors, _ = read_tensors(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file({**tensors, "b": ~tensors["b"]}, path, metadata)
    with pytest.raises(FileError, match=r"damaged: its checksum"):
        read_tensors(path)
    save_file(tensors, path, {"note": "as it was"})
    with pytest.raises(FileError, match="has no checksum"):
        read_tensors(path)


# Where nothing can be written


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone/model: can't be written: No such file"):
        write_atomically(tmp_path / "gone" / "model", b"")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_ordinary_file_is_not_replaced(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "there")
    with pytest.raises(FileError, match=r"there: can't be written: .* not a regular file"):
        write_atomically(tmp_path / "there", b"")
    assert [item.name for item in tmp_path.iterdir()] == ["there"]
    assert not (tmp_path / "there").is_file()


def test_a_file_in_place_of_the_folder_is_named(path: Path) -> None:
    with pytest.raises(FileError, match=r"model\.safetensors/x: can't be written: Not a directory"):
        write_atomically(path / "x", b"")
    assert is_as_it_was(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk to try")
def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def full(name: Path, flags: int, *mode: int) -> int:
        if not flags & os.O_CREAT:
            return real(name, flags)
        os.close(real(name, flags, *mode))
        return real("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(FileError, match=r"model\.safetensors: can't be written: No space left"):
        write_tensors(path, TENSORS, {})
    assert is_as_it_was(path)


LIMITED = """
import os, resource, sys
from pathlib import Path
import numpy as np
from layerkit.errors import FileError
from layerkit.files.atomic import write_tensors

{limit}
try:
    write_tensors(Path(sys.argv[1]), dict(x=np.ones(100_000)), {{}})
except FileError as error:
    print(error)
"""


@posix
@pytest.mark.processes
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))", "File too large"),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))", "Too many open files"),
        ("os.chmod(Path(sys.argv[1]).parent, 0o555); os.getuid() or os.seteuid(65534)", "denied"),
    ],
)
def test_limits_of_the_system(limit: str, reason: str) -> None:
    """In a folder that another user, whom root becomes here, can read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / "model.safetensors"
        write_tensors(path, TENSORS, {"note": "as it was"})
        command = [sys.executable, "-c", LIMITED.format(limit=limit), str(path)]
        said = subprocess.run(command, capture_output=True, text=True)
        assert f"{path}: can't be written: " in said.stdout, said
        assert reason in said.stdout
        path.parent.chmod(0o755)
        assert is_as_it_was(path)


# Leftovers, and others that save


def test_what_a_killed_process_has_left_is_removed(path: Path) -> None:
    for name in (f".dead{TEMPORARY}", f".of another{TEMPORARY}"):
        path.with_name(name).write_bytes(b"half of a mod")
    path.with_name(".hidden").touch()
    write_atomically(path, b"new")
    assert {item.name for item in path.parent.iterdir()} == {path.name, ".hidden"}


def test_a_leftover_that_can_not_be_removed_is_no_reason_not_to_save(path: Path) -> None:
    (path.parent / f"folder{TEMPORARY}").mkdir()
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_where_there_are_no_locks_nobody_disturbs_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second save comes in the middle of the first: unfinished files stay where they are."""
    fcntl = pytest.importorskip("fcntl")
    real = os.write

    def unsupported(*args: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def meanwhile(file: int, content: bytes) -> int:
        if content == b"first":
            write_atomically(path, b"second")
            assert path.read_bytes() == b"second"
        return real(file, content)

    monkeypatch.setattr(fcntl, "flock", unsupported)
    monkeypatch.setattr(os, "write", meanwhile)
    write_atomically(path, b"first")
    assert path.read_bytes() == b"first"
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@posix
def test_two_that_save_wait_for_each_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is held in the middle of its file; the second comes, and must not disturb it."""
    writing, go_on, real, order = threading.Event(), threading.Event(), os.write, list[bytes]()

    def slow(file: int, content: bytes) -> int:
        order.append(bytes(content))
        if content == b"first":
            writing.set()
            go_on.wait()
        return real(file, content)

    monkeypatch.setattr(os, "write", slow)
    first = threading.Thread(target=write_atomically, args=(path, b"first"))
    second = threading.Thread(target=write_atomically, args=(path.with_name("other"), b"second"))
    first.start()
    writing.wait()
    second.start()
    second.join(0.1)
    assert order == [b"first"]
    assert len([item for item in path.parent.iterdir() if item.suffix == TEMPORARY]) == 1
    go_on.set()
    first.join()
    second.join()
    assert path.read_bytes() == b"first"
    assert path.with_name("other").read_bytes() == b"second"


@posix
def test_a_process_that_was_forked_meanwhile_keeps_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork has a copy of the folder's handle, which stays open: nobody has to wait for it."""
    real, copies = os.open, list[int]()

    def forked(*args: Any) -> int:
        handle = real(*args)
        copies.append(os.dup(handle))
        return handle

    monkeypatch.setattr(os, "open", forked)
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    for copy in copies:
        os.close(copy)


def test_a_symbolic_link_is_followed_unless_it_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "loop").symlink_to("loop")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    with pytest.raises(FileError, match=r"loop: can't be written: it is a symbolic link to itself"):
        write_atomically(tmp_path / "loop", b"new")


def test_whoever_waits_for_the_lock_of_a_folder_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(atomic, "SILENCE", 0.02)
    handle = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    release = threading.Timer(0.2, os.close, [handle])
    release.start()
    with pytest.warns(
        LayerkitWarning, match=f"waiting for another process to unlock {path.parent}"
    ) as told:
        write_atomically(path, b"new")
    release.join()
    assert told[0].filename == __file__
    assert path.read_bytes() == b"new"


def test_the_lock_of_a_file_has_one_owner_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "lock"
    with atomic.lock_file(path) as first, atomic.lock_file(path) as second:
        assert (first, second) == (True, False)
    assert not path.exists()
    path.touch()  # a process was killed
    with atomic.lock_file(path) as owned:
        assert owned


def test_a_lock_on_a_file_that_was_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    real = fcntl.flock

    def late(*args: Any) -> None:
        (tmp_path / "lock").unlink()
        real(*args)

    monkeypatch.setattr(fcntl, "flock", late)
    with atomic.lock_file(tmp_path / "lock") as owned:
        assert not owned


@posix
def test_new_folders_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(atomic, "sync_folder", synced.append)
    atomic.make_folder(tmp_path / "runs" / "a")
    atomic.make_folder(tmp_path / "runs" / "a")
    assert synced == [tmp_path, tmp_path / "runs"]
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="file: can't be made: it exists and is not a folder"):
        atomic.make_folder(tmp_path / "file")
