"""Atomic writes: files that are written whole or not at all, and verified when they are read."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import FileError, LayerkitWarning, caller, warn

try:
    import fcntl
except ImportError:  # on Windows and in browsers
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".layerkit-tmp"
"""Suffix of files that aren't finished."""
CHECKSUM = "layerkit.sha256"
"""Metadata key of the SHA-256 of the file, computed with zeros for its own 64 digits."""
NO_CHECKSUM = "0" * 64
DTYPES = {
    "bool": "BOOL",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
}
"""NumPy's dtypes, and what safetensors calls them."""
LONGEST_HEADER = 100_000_000
"""Largest header, in bytes, that safetensors reads."""
SILENCE = 5.0
"""Seconds after which waiting for a lock is reported."""
WRITE_SIZE = 2**24
"""Number of bytes written in one call: an interrupt doesn't wait for more."""


def write_atomically(path: str | Path, *pieces: bytes | memoryview) -> None:
    """Replace the content of `path` by `pieces`, one after the other, in one atomic step.

    It survives a crash: a temporary file in the same folder, fsync, rename, fsync of the folder.
    Temporary files of processes that were killed are removed.

    Raises
    ------
    FileError
        If that fails: `path` then has its old content or the new, and nothing else is left.
    """
    path = Path(path)
    with file_errors(f"{path}: can't be written"):
        path = Path(os.path.realpath(path))
        if path.is_symlink():
            raise OSError("it is a symbolic link to itself")
        temporary = path.with_name(f".{os.urandom(8).hex()}{TEMPORARY}")
        if path.exists() and not path.is_file():
            raise OSError("it exists and is not a regular file")
        with lock_folder(path.parent) as locked:
            if locked:
                _remove_leftovers(path.parent)
            try:
                _write(temporary, pieces)
                os.replace(temporary, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            sync_folder(path.parent)


@contextmanager
def file_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` into a `FileError` that says `what` and the system's reason."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{what}: {error.strerror or error}") from error


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(file, rest[:WRITE_SIZE]) :]
        os.fsync(file)
    finally:
        os.close(file)


def make_folder(folder: str | Path) -> None:
    """Make a folder and those above it that are missing, and see that they survive a crash."""
    folder = Path(folder)
    with file_errors(f"{folder}: can't be made"):
        for missing in [f for f in (*reversed(folder.parents), folder) if not f.exists()]:
            missing.mkdir(exist_ok=True)
            sync_folder(missing.parent)
        if not folder.is_dir():
            raise OSError("it exists and is not a folder")


@contextmanager
def lock_file(path: str | Path) -> Iterator[bool]:
    """Make a file and hold its lock, then remove it; yield False if another process has the lock.

    The lock ends with the process that holds it, however it ends. Windows, browsers and some
    network drives have none: then nobody is kept out.
    """
    if fcntl is None:
        yield True
        return
    with file_errors(f"{path}: can't be made"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # another process may have removed the file before this one had the lock
            owned = os.path.samestat(os.stat(path), os.fstat(handle))
        except (BlockingIOError, FileNotFoundError):
            owned = False
        except OSError:
            owned = True
        try:
            yield owned
        finally:
            if owned:
                Path(path).unlink(missing_ok=True)
    finally:
        os.close(handle)


@contextmanager
def lock_folder(folder: str | Path) -> Iterator[bool]:
    """Hold the exclusive lock of a folder; wait for it if another process or thread has it.

    After a while it is said, in a warning, for what it waits.

    The lock ends with the process that holds it, however it ends. Yields whether there is a lock:
    Windows, browsers and some network drives have none, and nobody waits there.
    """
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    locked = False
    try:
        with suppress(OSError):
            _wait_for_lock(handle, folder)
            locked = True
        try:
            yield locked
        finally:
            # closing isn't enough if the process was forked meanwhile: the child has the handle too
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _wait_for_lock(handle: int, folder: str | Path) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    # asking now and then would let others pass who ask for it at the right moment
    sentence = f"waiting for another process to unlock {folder}"
    reporting = threading.Timer(SILENCE, warn, (sentence, LayerkitWarning, caller()))
    reporting.daemon = True
    reporting.start()
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    finally:
        reporting.cancel()


def _remove_leftovers(folder: Path) -> None:
    """Remove unfinished files; whoever has the folder's lock knows that nobody writes them."""
    for name in os.listdir(folder):
        if name.endswith(TEMPORARY):
            with suppress(OSError):
                os.unlink(folder / name)


def sync_folder(folder: str | Path) -> None:
    """Wait until the directory entries of `folder` are on the disk; Windows can't do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_tensors(
    path: str | Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write named arrays to a safetensors file, atomically, with a checksum of the whole file.

    Only arrays that are not contiguous, such as `W.T`, are copied. The arrays must not change
    meanwhile.

    Raises
    ------
    FileError
        As `write_atomically`, and for an array of a dtype that the format doesn't have.
    """
    header: dict[str, Any] = {"__metadata__": {CHECKSUM: NO_CHECKSUM, **metadata}}
    pieces: list[memoryview] = []
    end = 0
    # wide dtypes first, so that each array begins at a multiple of its item size
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        if tensor.dtype.name not in DTYPES:
            raise FileError(
                f"{path}: can't be written: {name} is {tensor.dtype}, unknown to safetensors"
            )
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": DTYPES[tensor.dtype.name],
            "shape": tensor.shape,
            "data_offsets": (start, end),
        }
        stored = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
        pieces.append(stored.reshape(-1).view(np.uint8).data)
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise FileError(
            f"{path}: can't be written: a name that is not valid Unicode: {error}"
        ) from error
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER:
        raise FileError(
            f"{path}: can't be written: {len(text)} bytes of names and metadata besides the "
            f"arrays; a safetensors file can have {LONGEST_HEADER}"
        )
    head = len(text).to_bytes(8, "little") + text
    checksum = _sha256(head, *pieces)
    write_atomically(path, head.replace(NO_CHECKSUM.encode(), checksum.encode(), 1), *pieces)


def read_tensors(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a file that `write_tensors` wrote.

    Raises
    ------
    FileError
        For a file that is missing, damaged anywhere, not layerkit's, or has a name twice.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        with file_errors(f"{path}: can't be read"), path.open("rb") as file:
            metadata = _read_metadata(file)
            checksum = metadata.pop(CHECKSUM, None)
            if not isinstance(checksum, str):
                raise FileError(f"{path}: has no checksum: damaged, or not saved by layerkit")
            start = file.tell()
            file.seek(0)
            content = file.read()
        tensors = load(content)
    except FileError:
        raise
    except (
        SafetensorError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise FileError(f"{path}: damaged, or not a safetensors file: {error}") from error
    head = content[:start].replace(checksum.encode(), NO_CHECKSUM.encode(), 1)
    if _sha256(head, memoryview(content)[start:]) != checksum:
        raise FileError(f"{path}: damaged: its checksum is not that of its content")
    return tensors, metadata


def _read_metadata(file: BinaryIO) -> dict[str, str]:
    """Read the header of a safetensors file: another file may be too large to be read as a whole.

    ValueError if it is not one, or is not as long as its header says.
    """
    length = int.from_bytes(file.read(8), "little")
    there = os.fstat(file.fileno()).st_size - 8 - length
    if length > LONGEST_HEADER or there < 0:
        raise ValueError(f"it says that its header has {length:,} bytes")
    header = read_json(file.read(length))
    metadata = header.pop("__metadata__", None) or {}
    end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if end != there:
        raise ValueError(f"its header says {end:,} bytes of arrays, there are {there:,}")
    return metadata


def _sha256(*pieces: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def read_json(text: str | bytes) -> Any:
    """Parse JSON; ValueError if it is invalid, or if an object has a name twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{twice!r} is given twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique)
