from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LBFGS,
    Arena,
    ConfigError,
    Param,
    ShapeError,
    State,
    Zeros,
)


def arena(dtype: str = "float32") -> tuple[Arena, Param, Param]:
    W, b = Param((2, 3), Zeros()), Param((3,), Zeros())
    return Arena({"W": W, "b": b}, dtype), W, b


@pytest.mark.parametrize("what", ["value", "grad"])
def test_assigning_writes_through_to_the_vector(what: str) -> None:
    place, W, b = arena()
    view = getattr(W, what)
    setattr(W, what, np.arange(6.0).reshape(2, 3))
    setattr(b, what, [7, 8, 9])
    vector = place.values if what == "value" else place.grads
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert vector.dtype == np.float32
    assert getattr(W, what) is view
    assert np.shares_memory(view, vector)


def test_what_an_optimizer_does_to_the_vector_the_layers_see() -> None:
    place, W, b = arena()
    place.values -= 2
    assert W.value.tolist() == [[-2, -2, -2], [-2, -2, -2]]
    assert b.value.tolist() == [-2, -2, -2]


@pytest.mark.parametrize("what", ["value", "grad"])
@pytest.mark.parametrize(
    "new", [1.0, np.ones(3), np.ones((1, 3)), np.ones((3, 2)), np.ones((2, 3, 1))]
)
def test_nothing_is_broadcast(what: str, new: Any) -> None:
    place, W, _ = arena()
    kind = {"value": "value", "grad": "gradient"}[what]
    with pytest.raises(ShapeError, match=rf"a {kind} of shape .* parameter of shape \(2, 3\)"):
        setattr(W, what, new)
    assert not place.values.any()
    assert not place.grads.any()


@pytest.mark.parametrize("what", ["value", "grad"])
def test_a_parameter_without_a_network_says_so(what: str) -> None:
    with pytest.raises(AttributeError, match="no memory yet: put its layer into a Network"):
        getattr(Param((2,), Zeros()), what)


def test_other_names_are_no_attributes_of_a_parameter() -> None:
    with pytest.raises(AttributeError, match="gradient"):
        _ = Param((2,), Zeros()).gradient  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (lambda p: np.ones((2, 3)) @ p, r"a parameter is not an array: write self\.W\.value"),
        (lambda p: np.dot(np.ones(3), p), r"a parameter is not an array: write self\.W\.value"),
        (lambda p: np.exp(p), r"a parameter is not an array: write self\.W\.value"),
        (lambda p: p.T, r"Param has no attribute 'T'; write self\.W\.value\.T"),
    ],
)
def test_a_parameter_that_is_taken_for_its_array_says_what_to_write(
    use: Callable[[Any], object], sentence: str
) -> None:
    with pytest.raises((TypeError, AttributeError), match=sentence):
        use(Param((3,), Zeros()))


def test_a_network_without_parameters_has_empty_vectors() -> None:
    empty = Arena({}, "float64")
    assert empty.values.shape == empty.grads.shape == (0,)


def test_states_live_in_a_vector_of_their_own() -> None:
    W, mean = Param((2, 3), Zeros()), State((2,), Zeros())
    place = Arena({"W": W, "mean": mean}, "float32")
    mean.value = np.array([1, 2])
    assert place.states.tolist() == [1, 2]
    assert place.values.size == place.grads.size == 6
    assert list(place.params) == ["W"]
    with pytest.raises(ShapeError, match="shape"):
        mean.value = np.ones(3)
    with pytest.raises(AttributeError, match="grad"):
        _ = mean.grad  # type: ignore[attr-defined]


def test_one_parameter_has_one_address() -> None:
    W, b = Param((2, 3), Zeros()), Param((3,), Zeros())
    with pytest.raises(ConfigError, match=r"^one parameter has two addresses, a\.W and c\.W$"):
        Arena({"a.W": W, "a.b": b, "c.W": W}, "float32")


@pytest.mark.parametrize(
    ("shape", "decay", "expected"),
    [((2, 3), None, True), ((3,), None, False), ((2, 3), False, False), ((3,), True, True)],
)
def test_decay_is_for_matrices_unless_the_layer_says_otherwise(
    shape: tuple[int, ...], decay: bool | None, expected: bool
) -> None:
    assert Param(shape, Zeros(), decay).decay == expected


@pytest.mark.parametrize(
    "take",
    [
        lambda: Arena({"W": Param((10**9, 10**9), Zeros())}, "float32"),
        lambda: LBFGS(history_size=10**17).allocate(np.zeros(3)),
    ],
)
def test_what_no_memory_can_hold_is_refused_with_its_size(take: Callable[[], Any]) -> None:
    with pytest.raises(MemoryError, match=r"need [\d,]+ GB; there are [\d,]+ GB"):
        take()
