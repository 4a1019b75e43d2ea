"""Where batches come from: arrays, mapped files and iterables."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    SGD,
    SWA,
    Adam,
    Array,
    BatchNorm,
    ConfigError,
    CosineSchedule,
    DataError,
    Dense,
    FileError,
    LayerkitError,
    MeanSquaredError,
    Network,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    evaluate,
    fit,
)
from layerkit.callbacks import ProgressBar
from layerkit.files import mapped as mapping
from layerkit.files.mapped import Subset, mapped_file, pieces, take
from layerkit.training.batches import Arrays
from layerkit.training.iterables import Iterated

RNG = np.random.default_rng(4)
X = RNG.normal(size=(40, 4)).astype(np.float32)
T = (X[:, 0] > 0).astype(int)
A = RNG.uniform(0.5, 2, 40)


def network(dtype: Any = "float32") -> Network:
    body = Sequential([Dense(8), Sigmoid(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), (4,), dtype).initialize(1)


def batches(size: int = 10) -> list[tuple[Array, Array]]:
    return [(X[i : i + size], T[i : i + size]) for i in range(0, 40, size)]


class Loader:
    """As a torch DataLoader: lists of what NumPy can read, anew each time; no length."""

    class Tensor:
        def __init__(self, array: Array) -> None:
            self.array = array

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
            return self.array

    def __iter__(self) -> Iterator[list[Any]]:
        for x, t in batches():
            yield [self.Tensor(x), self.Tensor(t)]


class SizedLoader(Loader):
    def __len__(self) -> int:
        return 4


# Iterables


@pytest.mark.parametrize("given", [batches(), Loader(), SizedLoader(), lambda: iter(batches())])
def test_every_kind_of_iterable_gives_the_same_steps(given: Any) -> None:
    net, by_hand, steps = network(), network(), Adam()
    fit(net, Adam(), given, epochs=2)
    for x, t in 2 * batches():
        by_hand.gradient(x, t)
        steps.step(by_hand.arena.values, by_hand.arena.grads)
    np.testing.assert_array_equal(net.arena.values, by_hand.arena.values)


@pytest.mark.parametrize("sizes", [[10, 10, 10, 10], [1, 20, 7, 12], [40]])
def test_batches_may_vary_in_size_and_be_weighted(sizes: list[int]) -> None:
    parts = np.split(np.arange(40), np.cumsum(sizes)[:-1])
    given = [(X[rows], T[rows], A[rows]) for rows in parts]
    net = network("float64")
    assert evaluate(net, given) == pytest.approx(evaluate(net, X, T, A), rel=1e-12)
    (record,) = fit(net, SGD(lr=1e-300), given, epochs=1)
    assert record.train_loss == pytest.approx(evaluate(net, X, T, A)[1], rel=1e-12)


@pytest.mark.parametrize("kind", [batches, lambda: lambda: iter(batches()), Loader])
def test_validation_and_test_may_be_iterables(kind: Callable[[], Any]) -> None:
    net = network()
    records = fit(net, Adam(), X, T, validation=kind(), test=kind(), epochs=2)
    accuracy, loss = evaluate(net, X, T)
    for name in ("validation", "test"):
        assert records[-1].measured()[f"{name}_accuracy"] == accuracy
        assert records[-1].measured()[f"{name}_loss"] == pytest.approx(loss)


def test_images_of_bytes_and_floats_may_be_mixed() -> None:
    images = RNG.integers(0, 256, (10, 4)).astype(np.uint8)
    floats = (images / np.float32(255)).astype(np.float32)
    mixed, plain = network(), network()
    for net, first in ((mixed, images), (plain, floats)):
        given = [(first, T[:10]), (floats[::-1], T[10:20])]
        fit(net, SGD(lr=1.0), given, epochs=3, gradient_accumulation_steps=2)
    np.testing.assert_allclose(mixed.arena.values, plain.arena.values, rtol=1e-5, atol=1e-7)


def test_an_iterable_may_reuse_its_memory() -> None:
    x, t = np.empty((10, 4), np.float32), np.empty(10, int)

    def reusing() -> Iterator[tuple[Array, Array]]:
        for xs, ts in batches():
            x[...], t[...] = xs, ts
            yield x, t

    nets = network(), network()
    fit(nets[0], SGD(), reusing, epochs=2, gradient_accumulation_steps=3)
    fit(nets[1], SGD(), batches(), epochs=2, gradient_accumulation_steps=3)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)


@pytest.mark.parametrize("group", [1, 2, 3])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_the_first_batches_can_be_left_out(group: int, skip: int) -> None:
    for source in (
        Iterated(network(), batches(), group),
        Arrays(network(), X, T, batch_size=10 * group),
    ):
        whole, rest = [
            [tuple(np.copy(part) for part in batch[:2]) for batch in source.epoch(rng, n)]
            for n, rng in ((0, np.random.default_rng(0)), (skip, np.random.default_rng(0)))
        ]
        assert len(whole) == source.batches == -(-4 // group)
        assert len(rest) == max(0, len(whole) - skip)
        np.testing.assert_equal(rest, whole[skip:])


def test_progress_of_unknown_length(capsys: pytest.CaptureFixture[str]) -> None:
    fit(network(), Adam(), Loader(), epochs=2, callbacks=[ProgressBar()])
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "Epoch 1",
        "Epoch 2",
    ]


def test_what_needs_a_length_has_it_from_len() -> None:
    optimizer = SGD(lr=1.0, schedules={"lr": CosineSchedule()})
    fit(network(), optimizer, SizedLoader(), epochs=2, average=SWA())
    assert optimizer.t == 8


def exhausted() -> Any:
    return (batch for batch in batches())


def again(given: Any) -> Any:
    return lambda: given


@pytest.mark.parametrize(
    ("given", "options", "place", "sentence"),
    [
        (
            exhausted(),
            {},
            "",
            "<generator .* iterated once, but there are 2 epochs: give something",
        ),
        (again(exhausted()), {}, "epoch 2", "gave no batch: give something that can be iterated"),
        ([], {}, "epoch 1", "the iterable gave no batch"),
        (lambda: None, {}, "epoch 1", "the function returned None; should be an iterable"),
        (X, {}, "", "t: missing; without targets, x should be an iterable of batches"),
        (3, {}, "", "t: missing"),
        (Loader(), {"t": T}, "", "t: not with .* an iterable whose batches bring their targets"),
        ([*batches(), X], {}, "batch 5 of the iterable", r"of type ndarray; should be \(x, t\)"),
        (lambda: [*batches(), (X,)], {}, "batch 5 of the iterable", "a batch is a tuple of 1"),
        ((X, T), {}, "batch 1 of the iterable", "arrays are given one after the other, x"),
        ([(X, T), (X * np.nan, T)], {}, "batch 2 of the iterable", r"x\[0, 0\] is nan"),
        ([(X[:, :3], T)], {}, "batch 1 of the iterable", r"examples have shape \(40, 3\)"),
        ([(X, T + 5)], {}, "batch 1 of the iterable", "label 5 of example"),
        ([(X, T, -A)], {}, "batch 1 of the iterable", "sample weight"),
        (batches(), {"sample_weight": A}, "", r"sample_weight: in an iterable, each batch brings"),
        (batches(), {"class_weight": "balanced"}, "", "class_weight: in an iterable"),
        (Loader(), {"average": EMA()}, "", r"average = EMA\(.*: needs an iterable with a length"),
        (Loader(), {"schedule": CosineSchedule()}, "schedules.lr", "length is not known here"),
        (batches(), {"validation": exhausted()}, "", "validation is <generator .* 2 epochs"),
        (
            batches(),
            {"validation": again(exhausted())},
            "epoch 2, after its last batch",
            "gave no batch",
        ),
    ],
)
def test_what_can_not_be_iterated_is_refused(
    given: Any, options: dict[str, Any], place: str, sentence: str
) -> None:
    schedule = options.pop("schedule", None)
    optimizer = SGD(schedules={"lr": schedule} if schedule else {})
    with pytest.raises(LayerkitError, match=sentence) as caught:
        fit(network(), optimizer, given, epochs=2, **options)
    assert caught.value.place in (place, "batch 1 of the iterable")


def test_an_iterator_will_do_for_one_epoch_and_is_refused_untouched_for_two() -> None:
    given, optimizer = exhausted(), SGD()
    with pytest.raises(DataError, match="2 epochs"):
        fit(network(), optimizer, given, epochs=2)
    assert optimizer.t == 0
    assert len(fit(network(), optimizer, given, epochs=1)) == 1


def test_a_list_is_refused_before_anything_has_changed() -> None:
    net = network()
    before = net.arena.values.copy()
    with pytest.raises(DataError, match="should be"):
        fit(net, SGD(), [*batches(), (X,)], epochs=1)
    np.testing.assert_array_equal(net.arena.values, before)


def test_a_network_that_wants_to_see_all_data_is_shown_them_beforehand() -> None:
    net = Network(Sequential([Standardize(), Dense(2)]), SoftmaxCrossEntropy(), (4,))
    with pytest.raises(ConfigError, match=r"call network\.adapt"):
        fit(net, SGD(), batches(), epochs=1)
    fit(net.adapt(X), SGD(), batches(), epochs=1)


# Kinds of arrays


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f8", "f2", "i1", "i8", ">i2", "u2", "?", "g"])
def test_any_kind_of_numbers_trains_as_float32_does(dtype: str) -> None:
    x = abs(np.round(3 * X)).astype(dtype)
    nets = network(), network()
    for net, given in zip(nets, (x, x.astype(np.float32)), strict=True):
        fit(net, Adam(), given, T, epochs=2, batch_size=7, seed=3)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)


@pytest.mark.parametrize("dtype", ["c8", "U5", "M8[s]"])
def test_what_is_no_number_is_refused(dtype: str) -> None:
    with pytest.raises(DataError, match="should be numbers"):
        fit(network(), Adam(), np.zeros((40, 4), dtype), T)


# Mapped files

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "whole": lambda x: x,
    "some rows": lambda x: x[3:47:2],
    "backwards": lambda x: x[::-1],
    "some columns": lambda x: x[:, 1:4],
    "as plain arrays": lambda x: np.asarray(x)[5:],
    "reshaped": lambda x: x.reshape(25, 2, 6),
}


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "f2"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_a_mapped_file_are_those_of_the_array(
    tmp_path: Path, mode: Any, dtype: str, layout: str
) -> None:
    whole = np.arange(300).reshape(50, 6).astype(dtype)
    np.save(tmp_path / "x.npy", whole)
    x = LAYOUTS[layout](np.load(tmp_path / "x.npy", mmap_mode=mode))
    expected = LAYOUTS[layout](whole)
    rows = RNG.permutation(len(x))
    found = take(x, rows, np.empty_like(expected))
    np.testing.assert_array_equal(found, expected[rows])
    chosen = rows[: len(rows) // 2]
    np.testing.assert_array_equal(
        take(Subset(x, rows), chosen, found[: len(chosen)]), expected[rows][chosen]
    )
    np.testing.assert_array_equal(Subset(x, rows)[2:9], expected[rows][2:9])
    np.testing.assert_array_equal(Subset(x, rows)[3, 1], expected[rows][3, 1])
    np.testing.assert_array_equal(np.concatenate([*pieces(x)]), expected)


def test_a_mapping_may_begin_anywhere_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(70_003) + X.tobytes())
    x = np.memmap(tmp_path / "x.bin", np.float32, "r", offset=70_003, shape=X.shape)
    np.testing.assert_array_equal(
        take(x, np.array([7, 0]), np.empty((2, 4), np.float32)), X[[7, 0]]
    )


def test_what_was_written_to_a_private_copy_is_what_is_trained_on(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="c")
    x[:] += 1
    nets = network(), network()
    fit(nets[0], Adam(), x, T, epochs=1)
    fit(nets[1], Adam(), X + 1, T, epochs=1)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)
    assert mapped_file(x) is None


@pytest.mark.parametrize("subset", [False, True])
def test_a_mapped_file_trains_as_the_array_does(
    tmp_path: Path, subset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "RELEASE", 100)  # pages are given back all the time
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = np.arange(40)
    x = Subset(mapped, rows) if subset else mapped
    nets, records = [], []
    for given in (x, X):
        body = Sequential([Standardize(), Dense(5), BatchNorm(), Dense(2)])
        net = Network(body, SoftmaxCrossEntropy(), (4,))
        options: dict[str, Any] = {"epochs": 2, "batch_size": 8, "test": (given, T, A)}
        records.append(fit(net, Adam(), given, T, sample_weight=A, **options))
        nets.append(net)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)
    assert [r.measured() for r in records[0]] == [r.measured() for r in records[1]]
    np.testing.assert_array_equal(nets[0].predict(x), nets[1].predict(X))
    assert evaluate(nets[0], x, T) == evaluate(nets[1], X, T)


def test_targets_may_be_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = Network(Sequential([Dense(2), Dense(4)]), MeanSquaredError(), (4,))
    losses = [record.train_loss for record in fit(net, Adam(lr=0.1), x, x, epochs=5)]
    assert losses == sorted(losses, reverse=True)


def test_a_mapped_file_in_fortran_order_is_refused_and_an_array_is_not(tmp_path: Path) -> None:
    x = np.asfortranarray(X)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for given in (mapped, Subset(mapped, np.arange(40))):
        with pytest.raises(DataError, match=r"Fortran order.*np\.ascontiguousarray"):
            fit(network(), Adam(), given, T)
        np.testing.assert_array_equal(network().outputs(given), network().outputs(X))
    nets = network(), network()
    fit(nets[0], Adam(), x, T, epochs=2)
    fit(nets[1], Adam(), X, T, epochs=2)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)


@pytest.mark.parametrize("left", [0, None])
def test_a_file_that_becomes_shorter_is_named(tmp_path: Path, left: int | None) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    x = np.load(path, mmap_mode="r")
    if left is None:
        path.unlink()
    else:
        path.write_bytes(b"")
    with pytest.raises(FileError, match=r"x\.npy: (has become shorter|can't be read: No such)"):
        take(x, np.array([1]), np.empty((1, 4), np.float32))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 20], "row 20; should be from 0 to 19"),
        ([0, -1], "row -1; should be from 0 to 19"),
        ([0.0, 1.0], r"rows are float64 \(2,\); should be integers"),
        ([[0], [1]], r"rows are int64 \(2, 1\); should be integers"),
    ],
)
def test_a_subset_has_rows_of_its_array_only(rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Subset(np.zeros((20, 3)), np.array(rows))


def test_a_list_of_arrays_is_a_pair_too() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    x, t = np.eye(3), np.array([0, 1, 0])
    (record,) = fit(net, SGD(), x, t, epochs=1, validation=[x, t])
    assert record.validation_loss == record.train_loss


def test_a_bad_batch_says_of_which_set_it_is() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    bad = [(np.eye(3), np.array([0, 1, 5]))]
    with pytest.raises(DataError, match="label 5") as caught:
        fit(net, SGD(), np.eye(3), np.array([0, 1, 0]), validation=bad)
    assert caught.value.place == "batch 1 of validation"


def test_weights_that_leave_nothing_are_refused() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    x, t, none = np.eye(3), np.array([0, 1, 0]), np.zeros(3)
    with pytest.raises(DataError, match="no example counts: all sample weights are 0") as caught:
        fit(net, SGD(), x, t, sample_weight=none)
    assert caught.value.place == "train"
    with pytest.raises(DataError, match="no example counts: all sample weights are 0") as caught:
        fit(net, SGD(), x, t, validation=(x, t, none))
    assert caught.value.place == "validation"


def test_labels_that_are_all_ignored_are_refused() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(ignore_label=-1), (3,))
    x, t, none = np.eye(3), np.array([0, 1, -1]), np.full(3, -1)
    fit(net, SGD(), x, t, epochs=1, batch_size=1)
    for known, validation in ((none, (x, t)), (t, (x, none))):
        with pytest.raises(DataError, match="no example counts: the loss ignores all labels"):
            fit(net, SGD(), x, known, validation=validation)


@pytest.mark.parametrize("share", [0.2, np.eye(3)])
def test_a_share_is_no_validation_set(share: Any) -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    with pytest.raises(ConfigError, match=r"should be \(x, t\), .*; split the examples before"):
        fit(net, SGD(), np.eye(3), np.array([0, 1, 0]), validation=share)
