"""What is true of every layer, whatever the batch: its size, its type, its place in memory.

Tried on every layer of the table in test_contract.py, which is complete. Two kinds of layers are
exempt from a part of it: those whose rows influence each other in training (`COUPLED`), and those
that draw random numbers in training, which are other ones for another batch (`RANDOM`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit import (
    AlphaDropout,
    Array,
    BatchNorm,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNorm,
    Network,
    RReLU,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
)
from layerkit.testing.probe import Probe
from tests.test_contract import LAYERS, named, numbers_for

COUPLED = {BatchNorm}
RANDOM = {Dropout, AlphaDropout, GaussianNoise, RReLU}

TOLERANCES = {"float32": 2e-4, "float64": 1e-9}
LAYOUTS = ["contiguous", "Fortran", "strided", "reversed", "moved axes", "broadcast"]


@dataclass(frozen=True)
class Case:
    """A batch to try a layer with: `rows` examples, with `axes` before those of the table."""

    seed: int
    rows: int
    axes: Shape
    dtype: str
    layouts: tuple[str, str]


CASES = st.builds(
    Case,
    seed=st.integers(0, 10_000),
    rows=st.integers(2, 7),
    axes=st.sampled_from([(), (), (1,), (2,), (2, 3)]),
    dtype=st.sampled_from(["float32", "float64"]),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
)
every_layer = pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
every_case = settings(max_examples=8, deadline=None, database=None)


def kinds(layer: Layer) -> set[type[Layer]]:
    """The classes of a layer and its parts."""
    return {type(layer)}.union(*(kinds(part) for _, part in layer.parts()))


def probe_for(layer: Layer, shape: Shape, case: Case) -> Probe:
    """The layer, built for examples with these axes more, if it takes them."""
    for wanted in ((*case.axes, *shape), shape):
        try:
            return Probe(layer, wanted, examples=numbers_for(layer, wanted), dtype=case.dtype)
        except AssertionError as error:
            if not isinstance(error.__cause__, ShapeError):
                raise
    raise AssertionError(f"{layer} does not take {shape}")


def arranged(array: Array, layout: str) -> Array:
    """An array of the same shape, and but for "broadcast" the same numbers, in other memory."""
    match layout:
        case "Fortran":
            return np.asfortranarray(array)
        case "strided":
            wide = np.full([2 * n for n in array.shape], 77, array.dtype)
            view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
            view[...] = array
            return view
        case "reversed":
            return np.flip(np.flip(array).copy())
        case "moved axes":
            return np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0)
        case "broadcast":
            return np.broadcast_to(array[:1], array.shape)
    return array


def assert_same(found: dict[str, Array], expected: dict[str, Array], dtype: str) -> None:
    for what, wanted in expected.items():
        assert found[what].dtype == dtype
        scale = max(1.0, float(abs(wanted).max(initial=0)))
        np.testing.assert_allclose(
            found[what], wanted, rtol=0, atol=TOLERANCES[dtype] * scale, err_msg=what
        )


@every_layer
@every_case
@given(case=CASES)
def test_the_place_in_memory_does_not_matter(layer: Layer, shape: Shape, case: Case) -> None:
    probe = probe_for(layer, shape, case)
    x, dy = map(arranged, probe.batch(case.rows, case.seed), case.layouts)
    plain = [np.array(array, order="C") for array in (x, dy)]
    expected, found = probe.results(*plain), probe.results(x, dy)
    expected["prediction"], found["prediction"] = (
        probe.forward(array, train=False) for array in (plain[0], x)
    )
    assert_same(found, expected, case.dtype)
    for array, copy in zip((x, dy), plain, strict=True):
        np.testing.assert_array_equal(array, copy)


@every_layer
@every_case
@given(case=CASES, factors=st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
def test_backward_is_linear(
    layer: Layer, shape: Shape, case: Case, factors: tuple[float, float]
) -> None:
    def backward(dy: Array) -> dict[str, Array]:
        return {"dx": probe.backward(dy).copy(), "gradients": probe.arena.grads.copy()}

    probe, (a, b) = probe_for(layer, shape, case), factors
    x, dy = probe.batch(case.rows, case.seed)
    other = probe.batch(case.rows, case.seed + 1)[1]
    probe.forward(x)
    one, two = backward(dy), backward(other)
    assert_same(
        backward(a * dy + b * other),
        {what: a * one[what] + b * two[what] for what in one},
        case.dtype,
    )


@every_layer
@every_case
@given(case=CASES)
def test_twice_gives_the_same(layer: Layer, shape: Shape, case: Case) -> None:
    probe = probe_for(layer, shape, case)
    x, dy = map(arranged, probe.batch(case.rows, case.seed), case.layouts)
    first, second = probe.results(x, dy), probe.results(x, dy)
    for what, wanted in first.items():
        np.testing.assert_array_equal(second[what], wanted)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(layer, shape) for layer, shape in LAYERS if not kinds(layer) & RANDOM],
    ids=named,
)
@every_case
@given(case=CASES, random=st.randoms(use_true_random=False))
def test_rows_can_be_permuted(layer: Layer, shape: Shape, case: Case, random: Any) -> None:
    probe = probe_for(layer, shape, case)
    x, dy = probe.batch(case.rows, case.seed)
    order = random.sample(range(case.rows), case.rows)
    expected, found = probe.results(x, dy), probe.results(x[order], dy[order])
    for what in ("y", "dx"):
        expected[what] = expected[what][order]
    assert_same(found, expected, case.dtype)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(layer, shape) for layer, shape in LAYERS if not kinds(layer) & (RANDOM | COUPLED)],
    ids=named,
)
@every_case
@given(case=CASES, share=st.floats(0, 1))
def test_the_gradient_of_a_batch_is_the_sum_of_its_parts(
    layer: Layer, shape: Shape, case: Case, share: float
) -> None:
    probe = probe_for(layer, shape, case)
    x, dy = probe.batch(case.rows, case.seed)
    cut = 1 + int(share * (case.rows - 2))
    whole = probe.results(x, dy)
    left, right = probe.results(x[:cut], dy[:cut]), probe.results(x[cut:], dy[cut:])
    parts = {what: np.concatenate([left[what], right[what]]) for what in ("y", "dx")}
    parts["gradients"] = left["gradients"] + right["gradients"]
    assert_same(parts, whole, case.dtype)


@every_case
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 9), share=st.floats(0, 1))
def test_with_a_loss_it_is_their_weighted_mean(seed: int, rows: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    body = Sequential([Dense(5), Sigmoid(), LayerNorm(), Dense(3)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(4,), dtype="float64").initialize(seed)
    x, t, weights = rng.normal(size=(rows, 4)), rng.integers(3, size=rows), rng.random(rows) + 0.1
    cut = 1 + int(share * (rows - 2))
    parts = slice(None, cut), slice(cut, None)
    losses = [net.gradient(x[part], t[part], weights[part]) for part in parts]
    gradients = []
    for part in parts:
        net.gradient(x[part], t[part], weights[part])
        gradients.append(net.arena.grads.copy())
    counts = [weights[part].sum() for part in parts]
    loss = net.gradient(x, t, weights)
    assert loss == pytest.approx(np.average(losses, weights=counts), rel=1e-12)
    expected = np.average(gradients, axis=0, weights=counts)
    np.testing.assert_allclose(net.arena.grads, expected, rtol=1e-9, atol=1e-13)


def test_the_exceptions_are_named() -> None:
    everything = set().union(*(kinds(layer) for layer, _ in LAYERS))
    assert {kind for kind in everything if kind.random} == RANDOM
    assert {kind for kind in everything if kind.smallest_batch > 1} == COUPLED
