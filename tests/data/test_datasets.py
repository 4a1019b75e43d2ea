import gzip
import struct
import threading
import tracemalloc
import urllib.request
import warnings
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import sklearn.datasets

from layerkit import ConfigError, DataError, FileError, to_config
from layerkit.data import Data, download
from layerkit.data.readers import read_npz
from layerkit.data.table_files import read_table

NAMES = {
    "train-images-idx3-ubyte": (2051, (30, 4, 4)),
    "train-labels-idx1-ubyte": (2049, (30,)),
    "t10k-images-idx3-ubyte": (2051, (20, 4, 4)),
    "t10k-labels-idx1-ubyte": (2049, (20,)),
}


def idx(magic: int, shape: tuple[int, ...]) -> bytes:
    top = 255 if len(shape) == 3 else 9
    values = np.random.default_rng(len(shape)).integers(0, top, shape, np.uint8, endpoint=True)
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + values.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    for name, (magic, shape) in NAMES.items():
        (tmp_path / name).write_bytes(idx(magic, shape))
    return tmp_path


def test_digits_are_split_with_the_same_share_of_every_class() -> None:
    data = Data(name="digits").load(seed=3)
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.train.x.dtype == np.float32
    assert data.train.x.min() == 0
    assert data.train.x.max() == 1
    shares = np.bincount(data.train.t) / len(data.train) - np.bincount(data.test.t) / len(data.test)
    assert abs(shares).max() < 0.005


def test_the_split_follows_the_seed_and_loses_nothing() -> None:
    first, again, other = (Data().load(seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test.x, again.test.x)
    assert not np.array_equal(first.test.x, other.test.x)
    everything = np.concatenate([first.train.x, first.test.x])
    raw = (sklearn.datasets.load_digits().data / 16).astype(np.float32)
    np.testing.assert_array_equal(everything[np.lexsort(everything.T)], raw[np.lexsort(raw.T)])


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("subfolder", [False, True])
def test_idx_files_are_read_plain_and_packed(
    tmp_path: Path, name: Any, packed: bool, subfolder: bool
) -> None:
    folder = tmp_path / name if subfolder else tmp_path
    folder.mkdir(exist_ok=True)
    for file, (magic, shape) in NAMES.items():
        content = idx(magic, shape)
        if packed:
            (folder / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / file).write_bytes(content)
    data = Data(name=name).load(data_dir=str(tmp_path))
    assert data.train.x.shape == (30, 16)
    assert data.train.x.dtype == np.uint8
    assert data.test.t.shape == (20,)
    assert data.image == (4, 4)
    expected = np.frombuffer(idx(*NAMES["t10k-images-idx3-ubyte"]), np.uint8, offset=16)
    np.testing.assert_array_equal(data.test.x.ravel(), expected)


def test_the_environment_names_the_folder(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERKIT_DATA", str(mnist))
    assert len(Data(name="mnist").load().train) == 30


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return apply


def pack_and_cut(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes())[:-20])
    path.unlink()


@pytest.mark.parametrize(
    ("apply", "file", "reason"),
    [
        (
            damage("train-images-idx3-ubyte", lambda c: b"\0\0\x08\x01" + c[4:]),
            "train-images",
            "starts with 00000801; should be 00000803",
        ),
        (damage("t10k-images-idx3-ubyte", lambda c: c[:-1]), "t10k-images", "its header says"),
        (damage("t10k-labels-idx1-ubyte", lambda c: c + b"\0"), "t10k-labels", "there are more"),
        (damage("t10k-labels-idx1-ubyte", lambda c: b""), "t10k-labels", "starts with"),
        (
            damage("train-labels-idx1-ubyte", lambda c: c[:8] + b"\x0a" + c[9:]),
            "train-labels",
            "label 10 of image 0",
        ),
        (
            damage("train-labels-idx1-ubyte", lambda _: idx(2049, (29,))),
            "",
            "30 train images, but 29 labels",
        ),
        (
            damage("t10k-images-idx3-ubyte", lambda _: idx(2051, (20, 5, 5))),
            "",
            "training and test images differ",
        ),
        (pack_and_cut, "train-images-idx3-ubyte.gz", "damaged"),
        (lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(), "", "no t10k-labels"),
    ],
)
def test_damaged_idx_files_are_refused_by_name_and_reason(
    mnist: Path, apply: Callable[[Path], None], file: str, reason: str
) -> None:
    apply(mnist)
    with pytest.raises((FileError, DataError), match=reason) as caught:
        Data(name="mnist").load(data_dir=str(mnist))
    assert str(mnist) in str(caught.value)
    assert file in str(caught.value)


def test_without_a_folder_openml_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetch(*args: Any, **options: Any) -> SimpleNamespace:
        asked.append((args, options["version"], options["as_frame"]))
        x = np.zeros((60010, 784))
        x[60000:] = 255
        return SimpleNamespace(data=x, target=np.array(["3"] * 60010, object))

    monkeypatch.delenv("LAYERKIT_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = Data(name="mnist").load()
    assert asked == [(("mnist_784",), 1, False)]
    assert (len(data.train), len(data.test)) == (60000, 10)
    assert data.train.x.dtype == np.uint8
    assert (data.test.x == 255).all()
    assert (data.test.t == 3).all()


@pytest.mark.parametrize("error", [ImportError("no pandas"), TypeError("pandas is too new")])
def test_openml_is_read_without_pandas_too(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fetch(*_: Any, parser: str, **__: Any) -> SimpleNamespace:
        if parser == "pandas":
            raise error
        return SimpleNamespace(data=np.zeros((60010, 784)), target=np.full(60010, "3", object))

    monkeypatch.delenv("LAYERKIT_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    assert len(Data(name="mnist").load().test) == 10


@pytest.mark.parametrize(
    ("sends", "reason"),
    [
        (None, r"mnist can't be downloaded \(no answer for 0.2 s\)"),
        (b"x" * 1000, r"mnist can't be downloaded \(the server sends more than 9,000 bytes\)"),
    ],
)
@pytest.mark.parametrize("size", [-1, 512])
def test_a_download_ends_in_time_and_size(
    monkeypatch: pytest.MonkeyPatch, sends: bytes | None, reason: str, size: int
) -> None:
    left = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while not left.wait(0 if sends else 5):
                    self.wfile.write(sends or b"")

        def log_message(self, *_: Any) -> None:
            pass

    def fetch(*_: Any, **__: Any) -> None:
        with urlopen(Request(f"http://127.0.0.1:{server.server_port}")) as response:
            while response.read(size):
                pass

    monkeypatch.delenv("LAYERKIT_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(download, "LARGEST", 9000)
    before = getattr(urllib.request, "_opener", None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with pytest.raises(FileError, match=reason):
                Data(name="mnist").load()
        finally:
            left.set()
            server.shutdown()
    assert getattr(urllib.request, "_opener", None) is before


def test_with_neither_the_three_remedies_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.delenv("LAYERKIT_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fail)
    with pytest.raises(FileError) as caught:
        Data(name="fashion_mnist").load()
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "Connect to the internet" in lines[0]
    assert "--data-dir or LAYERKIT_DATA" in lines[1]
    assert 'name = "digits"' in lines[2]


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


IRIS = "a,kind,b\n" + "".join(f"{i},{'xyz'[i % 3]},{i / 8}\n" for i in range(30))


def test_csv_with_words_as_labels(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", IRIS)
    data = Data(path=str(path), label="kind").load(seed=0)
    assert data.classes == ["x", "y", "z"]
    assert data.features == ["a", "b"]
    assert (len(data.train), len(data.test)) == (24, 6)
    assert sorted(data.test.t) == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(data.train.x[:, 0] % 3, data.train.t)
    np.testing.assert_array_equal(data.train.x[:, 1], data.train.x[:, 0] / 8)


def test_a_path_may_be_text_or_a_path(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", IRIS)
    data = Data(path=path, label="kind", test=path)
    assert data == Data(path=str(path), label="kind", test=str(path))
    assert to_config(data)["path"] == str(path)
    assert len(data.load().test) == 30
    assert read_table(str(path), ["kind"]).features == ["a", "b"]


def test_blank_lines_and_spaces_do_not_matter(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", IRIS.replace("a,kind,b", "a, kind, b") + "\n\n")
    assert Data(path=str(path), label="kind").load(seed=0).features == ["a", "b"]


def test_labels_that_are_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    rows = "".join(f"{i},{10 if i % 2 else 9}\n" for i in range(20))
    path = write_csv(tmp_path / "t.csv", "a,label\n" + rows)
    assert Data(path=str(path), label="label").load().classes == ["9", "10"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["12345678901234567891", "12345678901234567890", "3"], [2, 1, 0]),
        (["10", "9", "nan"], [0, 1, 2]),
        (["1e1", "9", "-0.5"], [2, 1, 0]),
        (["9", "10", "1_0"], [1, 2, 0]),
    ],
)
def test_labels_are_sorted_by_their_exact_value_if_all_are_numbers(
    tmp_path: Path, labels: list[str], classes: list[int]
) -> None:
    rows = "".join(f"{i},{labels[i % 3]}\n" for i in range(30))
    path = write_csv(tmp_path / "t.csv", "a,label\n" + rows)
    found = Data(path=str(path), label="label").load().classes
    assert found == [labels[i] for i in classes]


def test_large_integers_are_different_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros((20, 2)), y=2**53 + np.arange(20) % 2)
    classes = ["9007199254740992", "9007199254740993"]
    assert Data(path=str(tmp_path / "t.npz")).load().classes == classes


def test_columns_can_be_chosen_and_come_in_that_order(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", IRIS)
    x, labels, _, names, lines = read_table(path, (), ["b", "a"])[:5]
    assert labels is None
    assert names == ["b", "a"]
    assert lines is not None
    assert lines.tolist() == list(range(2, 2 + len(x)))
    assert x[8].tolist() == [1, 8]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a:kind\n1:x\n", "split at commas, has the columns 'a:kind'"),
        ("a;kin\n1;x\n", "split at semicolons, has the columns 'a', 'kin'"),
        ("a,kind\n", "no rows under the header"),
        ("kind\nx\ny\n", "no features: there are no columns besides kind"),
        ("a,b\n1,2\n", "there is no column 'kind'. The first line, split at commas"),
        ("a,kin\n1,x\n", r"there is no column 'kind' \(did you mean 'kin'\?\)\. The"),
        ("a,a,kind\n1,2,x\n", r"2 columns called 'a'; should be one\. The first"),
        ("a,kind\n1_000,x\n", "line 2, column 'a': '1_000'; should be a finite number"),
        ("a,kind\n1,x\n٣٤,y\n", "line 3, column 'a': '٣٤'; should be a finite number"),
        (",".join(map(str, range(3000))) + "\n", r"columns '0', .*, '19' … \(2,980 more\)"),
        ("a,kind\n1,x\n2\n", "line 3: 1 cell under 2 columns"),
        ("a,kind\n1,x\n2,y,3\n", "line 3: 3 cells under 2 columns"),
        ("a,kind\n1,x\none,y\n", "line 3, column 'a': 'one'; should be a finite number"),
        ("a,kind\n1,x\n,y\n", "line 3, column 'a': ''"),
        ("a,kind\nnan,x\n", "line 2, column 'a': 'nan'"),
        ("a,kind\ninf,x\n", "line 2, column 'a': 'inf'"),
        ("a,kind\n1e400,x\n", "line 2, column 'a': '1e400'"),
        ("a,kind\n1,\n2,\n", "no example has a label; the first one is missing in line 2, column"),
        ("a,kind\n1,1\n2,1.0\n3,2\n", "labels '1' and '1.0': the same number, written in"),
        ("a,kind\n1,x\n2,x\n3,x\n", "3 examples of 1 class"),
        ("a,kind\n1,x\n2,x\n3,x\n4,y\n", "the rarest class has 1"),
    ],
)
def test_a_csv_with_a_mistake_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write_csv(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match=reason) as caught:
        Data(path=str(path), label="kind").load()
    assert caught.value.place == str(path)


def test_a_label_outside_the_named_classes_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", IRIS)
    with pytest.raises(DataError, match="label 'z' of line 4, column 'kind'"):
        Data(path=str(path), label="kind", classes=["x", "y"]).load()
    with pytest.raises(ConfigError, match="twice"):
        Data(path=str(path), label="kind", classes=["x", "y", "z", "x"])


def test_npz_of_images(tmp_path: Path) -> None:
    x = np.arange(20 * 12, dtype=np.uint8).reshape(20, 3, 4)
    np.savez(tmp_path / "t.npz", x=x, y=np.tile([5.0, 7.0], 10))
    data = Data(path=str(tmp_path / "t.npz"), test_size=0.5).load()
    assert data.image == (3, 4)
    assert data.classes == ["5", "7"]
    assert data.train.x.shape == (10, 12)
    assert data.train.x.dtype == np.uint8


def test_a_quotation_mark_that_is_not_closed_is_told_with_its_line(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", 'a,kind\n1,x\n2,"y\n' + "3,x\n" * 50_000)
    with pytest.raises(DataError, match=r"line 3: field larger .*; is a quotation mark not closed"):
        Data(path=path, label="kind").load()


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"y": [0, 1]}, "should have x"),
        ({"x": [[1.0], [2.0]]}, "an array y is missing"),
        ({"x": [1.0, 2.0], "y": [0, 1]}, "should be numbers, at least one row"),
        ({"x": np.zeros((0, 3)), "y": []}, "at least one row"),
        ({"x": [["a"], ["b"]], "y": [0, 1]}, "should be numbers"),
        ({"x": [[1.0], [np.nan]], "y": [0, 1]}, r"x\[1, 0\] is nan"),
        ({"x": [[1.0], [2.0]], "y": [[0], [1]]}, r"y has shape \(2, 1\)"),
        ({"x": [[1.0], [2.0]], "y": [0]}, r"y has shape \(1,\)"),
        ({"x": [[1.0], [2.0]], "y": [0.5, 1]}, r"y\[0\] is 0.5; classes should be integers or"),
        ({"x": [[1.0], [2.0]], "y": [0.0, np.nan]}, r"y is float64, and y\[1\] is nan; classes"),
        ({"x": [[1.0], [2.0]], "y": [np.inf, 1]}, r"y\[0\] is inf; classes should be integers"),
        ({"x": [[1.0], [2.0]], "y": [1, 1e300]}, r"y\[1\] is 1e\+300; classes should be integers"),
    ],
)
def test_an_npz_with_a_mistake_is_refused(
    tmp_path: Path, arrays: dict[str, Any], reason: str
) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=reason):
        Data(path=str(tmp_path / "t.npz")).load()


def npz_bomb(folder: Path) -> None:
    np.savez_compressed(folder / "t.npz", x=np.zeros((100, 10**6), np.uint8), y=[0, 1])


def npz_that_promises(folder: Path) -> None:
    with zipfile.ZipFile(folder / "t.npz", "w") as archive, archive.open("x.npy", "w") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)


def npz_without_arrays(folder: Path) -> None:
    with zipfile.ZipFile(folder / "t.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")


def idx_bomb(folder: Path) -> None:
    for name, (magic, shape) in NAMES.items():
        content = idx(magic, shape) + bytes(10**8 if "train-images" in name else 0)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (npz_bomb, r"y has shape \(2,\); should be \(100,\)"),
        (npz_that_promises, "that is 1,000,000,000,000 bytes; there are 0"),
        (npz_without_arrays, "damaged, or not a .npz file: the magic string is not correct"),
        (idx_bomb, "that is 480 bytes; there are more"),
    ],
)
def test_a_file_that_lies_is_refused_before_it_takes_memory(
    tmp_path: Path, write: Callable[[Path], None], reason: str
) -> None:
    write(tmp_path)
    data = Data(name="mnist") if write is idx_bomb else Data(path=str(tmp_path / "t.npz"))
    tracemalloc.start()
    try:
        with pytest.raises((DataError, FileError), match=reason):
            data.load(data_dir=str(tmp_path))
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_damaged_own_files_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "t.npz", x=np.random.default_rng(0).random((50, 9)))
    content = (tmp_path / "t.npz").read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 5):
        (tmp_path / "t.npz").write_bytes(content[:size])
        with pytest.raises(FileError, match=r"t\.npz"):
            read_npz(tmp_path / "t.npz")
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(FileError, match=r"a\.npz"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "o.npz", x=np.array([[object()]], object))
    with pytest.raises(FileError, match=r"o\.npz"):
        read_npz(tmp_path / "o.npz")
    (tmp_path / "t.csv").write_bytes(b"a,kind\n\xff\xfe,x\n")
    with pytest.raises(FileError, match=r"t\.csv"):
        read_table(tmp_path / "t.csv", ["kind"])
    with pytest.raises(FileError, match="No such file"):
        read_table(tmp_path / "none.csv", ["kind"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "mnist", "path": "a.npz"}, "give one of them"),
        ({"name": "mnist", "test_size": 0.5}, "has a test set"),
        ({"name": "digits", "label": "a"}, "label = 'a': not allowed with"),
        ({"classes": ["a"]}, "classes"),
        ({"path": "a.txt"}, "should end in"),
        ({"path": "a.csv"}, "label: missing"),
        ({"path": "a.csv", "label": "b", "features": ["a", "b"]}, "'b' is among them"),
        ({"path": "a.npz", "label": "y"}, "whose arrays are called x, y and w"),
        ({"path": "a.npz", "decimal": ","}, "decimal = ',': not allowed with a .npz"),
        ({"path": "a.csv", "label": "y", "delimiter": ", "}, "should be one character"),
        (
            {"path": "a.csv", "label": "y", "encoding": "latin-0"},
            "'latin-0': Python knows none of it",
        ),
        ({"path": "a.npz", "test_size": 1.0}, "less than 1"),
        ({"name": "mnst"}, "should be 'digits', 'mnist', 'fashion_mnist', 'circles', "),
        ({"name": "mnist", "validation": "a.npz"}, "validation = 'a.npz': not allowed with name"),
        ({"name": "digits", "target": "number"}, "digits has classes"),
        ({"name": "digits", "weight": "w"}, "weight = 'w': not allowed with"),
        ({"path": "a.npz", "validation": "b.csv"}, "should be of the same kind as a.npz"),
        ({"path": "a.npz", "test": "folder"}, "should be of the same kind as a.npz"),
        ({"path": "folder", "test": "b.npz"}, "should be of the same kind as folder"),
        (
            {"path": "a.npz", "validation": "b.npz", "validation_size": 0.1},
            "validation_size = 0.1: not allowed with validation = 'b.npz'",
        ),
        (
            {"path": "a.npz", "test": "b.npz", "test_size": 0.1},
            "test_size = 0.1: not allowed with test",
        ),
        ({"path": "a.npz", "weight": "w"}, "weight = 'w': not allowed with a .npz"),
        ({"path": ".", "label": "w"}, "label = 'w': not allowed with a folder"),
        ({"path": "a.csv", "label": "b", "weight": "b"}, "that is the label"),
        ({"path": "a.csv", "label": "b", "weight": "a", "features": ["a"]}, "weight 'a' is among"),
        (
            {"path": "a.npz", "target": "number", "classes": ["a"]},
            "not allowed with target = 'number'",
        ),
        ({"validation_size": 1.0}, "less than 1"),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Data(**options)


def test_validation_examples_are_held_out_of_the_training_examples_alone() -> None:
    plain, data = Data().load(seed=1), Data(validation_size=0.25).load(seed=1)
    assert plain.validation is None
    assert data.validation is not None
    np.testing.assert_array_equal(data.test.x, plain.test.x)
    assert (len(data.train), len(data.validation)) == (1077, 360)
    together = np.concatenate([data.train.x, data.validation.x])
    assert not np.array_equal(together, plain.train.x)
    np.testing.assert_array_equal(
        together[np.lexsort(together.T)], plain.train.x[np.lexsort(plain.train.x.T)]
    )
    counts = [np.bincount(part.t) / len(part) for part in (data.train, data.validation)]
    assert abs(counts[0] - counts[1]).max() < 0.005
    assert str(data) == (
        "digits: 1,077 training examples, 360 validation examples, 360 test examples, "
        "64 features, 10 classes"
    )


def test_validation_examples_follow_the_seed() -> None:
    sets = [Data(validation_size=0.1).load(seed=seed).validation for seed in (1, 1, 2)]
    first, again, other = (part.x for part in sets if part)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_set_with_a_test_set_of_its_own_keeps_it(mnist: Path) -> None:
    for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"):
        count = 30 if "train" in name else 20
        labels = np.arange(count, dtype=np.uint8) % 3
        (mnist / name).write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())
    plain = Data(name="mnist").load(data_dir=str(mnist))
    data = Data(name="mnist", validation_size=0.2).load(data_dir=str(mnist))
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 6, 20)
    assert data.train.x.dtype == data.validation.x.dtype == np.uint8
    np.testing.assert_array_equal(data.test.x, plain.test.x)
    assert np.bincount(data.validation.t).tolist() == [2, 2, 2]


def test_too_few_examples_to_validate_are_refused(mnist: Path) -> None:
    with pytest.raises(DataError, match="change validation_size"):
        Data(name="mnist", validation_size=0.01).load(data_dir=str(mnist))


@pytest.mark.parametrize(
    ("name", "values", "warned"),
    [
        ("id", range(1, 41), True),
        ("customer_id", range(900, 980, 2), True),
        ("customer_id", [1, 2] * 20, False),
        ("year", range(1900, 1940), False),
    ],
)
def test_columns_that_only_tell_rows_apart_are_named(
    name: str, values: Sequence[int], warned: bool, tmp_path: Path
) -> None:
    rows = "".join(f"{value},{i % 7},{i % 2}\n" for i, value in enumerate(values))
    file = tmp_path / "a.csv"
    file.write_text(f"{name},size,kind\n{rows}")
    data = Data(path=str(file), label="kind")
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        data.load(0)
        replace(data, features=[name, "size"]).load(0)
    sentences = [str(warning.message) for warning in given]
    assert len(sentences) == warned
    assert all(f"{name!r} only tells the rows apart, and is learned" in each for each in sentences)
