from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from layerkit import (
    SGD,
    Augmentation,
    ConfigError,
    DataError,
    Dense,
    ImageAugmentation,
    Network,
    ShapeError,
    SoftmaxCrossEntropy,
    Uniform,
    fit,
    from_config,
    to_config,
)
from layerkit.arrays import Array, Shape
from layerkit.streams import stream
from layerkit.training.augmentation import interpolate

EVERYTHING = ImageAugmentation(shift=3.0, rotate=30.0, scale=0.3, elastic=1.5, elastic_sigma=3.0)


class Highest(np.random.Generator):
    """Draws the upper limit, so that what an augmentation does is known."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return np.full(size, high)


class Unequal(Highest):
    """Draws the upper limit for rows and the lower one for columns."""

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        drawn = np.full(size, high)
        drawn[1:] = low
        return drawn


def some(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(0).random(shape).astype(dtype)


def transformed(x: Array, **options: Any) -> Array:
    return ImageAugmentation(**options)(x, Highest())


@pytest.mark.parametrize(
    ("image", "shape"), [((7, 7), (3, 49)), (None, (3, 7, 7)), (None, (3, 6, 9))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_default_nothing_happens(image: Any, shape: Shape, dtype: str) -> None:
    x = some(*shape, dtype=dtype)
    y = ImageAugmentation(image)(x, np.random.default_rng(0))
    np.testing.assert_array_equal(y, x)
    assert not np.may_share_memory(x, y)


def test_whole_pixels_are_shifted_exactly_and_zeros_come_in() -> None:
    x = some(3, 7, 8)
    moved = np.zeros_like(x)
    moved[:, 2:, 2:] = x[:, :-2, :-2]
    np.testing.assert_array_equal(transformed(x, shift=2.0), moved)


def test_half_a_pixel_is_the_mean_of_the_neighbours() -> None:
    x = np.array([[[0.0, 8.0, 4.0]]])
    np.testing.assert_allclose(transformed(x, shift=0.5), [[[0.0, 2.0, 3.0]]])


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("turns", [1, 2])
def test_turns_are_anticlockwise_about_the_middle(size: int, turns: int) -> None:
    x = some(2, size, size, dtype="float64")
    turned = transformed(x, rotate=90.0 * turns)
    np.testing.assert_allclose(turned, np.rot90(x, turns, axes=(1, 2)), atol=1e-12)


def test_a_scaled_slope_is_flatter() -> None:
    x = np.broadcast_to(np.arange(-5.0, 6.0), (1, 11, 11))
    inner = transformed(x, scale=0.5)[:, 2:-2]
    np.testing.assert_allclose(inner, np.broadcast_to(np.arange(-5.0, 6.0) / 1.5, inner.shape))


def test_scaling_rotating_and_shifting_come_in_this_order() -> None:
    dot = np.zeros((1, 21, 21))
    dot[0, 10, 14] = 1.0  # 4 to the right: 2 when scaled, 2 up when turned, then shifted
    y = ImageAugmentation(scale=0.5, rotate=90.0, shift=3.0)(dot, Unequal())
    assert np.unravel_index(y[0].argmax(), (21, 21)) == (10 - 2 + 3, 10 - 3)


def test_the_axes_have_factors_of_their_own() -> None:
    square = np.zeros((200, 31, 31))
    square[:, 10:21, 10:21] = 1.0
    y = ImageAugmentation(scale=0.3)(square, np.random.default_rng(0))
    height, width = y.max(axis=2).sum(axis=1), y.max(axis=1).sum(axis=1)
    assert abs(np.corrcoef(height, width)[0, 1]) < 0.2
    for side in (height, width):
        assert 11 * 0.65 < side.min() < 11 * 0.8
        assert 11 * 1.2 < side.max() < 11 * 1.35


def test_shifts_and_angles_are_uniform_within_their_limits() -> None:
    augmentation = ImageAugmentation(shift=2.0, rotate=20.0)
    q = augmentation.sampling_grid(np.zeros((4000, 3, 3)), np.random.default_rng(0))
    shift = 1.0 - q.mean(axis=2)
    angle = np.degrees(np.arctan2(q[0, :, 2] - q[0, :, 0], q[1, :, 2] - q[1, :, 0]))
    turned = np.radians(angle)
    back = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    drawn = np.einsum("ijn,jn->in", back, shift)
    for values, limit in ((drawn[0], 2.0), (drawn[1], 2.0), (angle, 20.0)):
        assert abs(values).max() <= limit + 1e-9
        assert values.std() == pytest.approx(limit / 3**0.5, rel=0.05)
        assert abs(values.mean()) < 0.05 * limit


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_elastic_is_the_standard_deviation_at_every_pixel(sigma: float) -> None:
    augmentation = ImageAugmentation(elastic=1.5, elastic_sigma=sigma)
    still = np.indices((6, 9)).reshape(2, 1, 54)
    e = augmentation.sampling_grid(np.zeros((4000, 6, 9)), np.random.default_rng(0)) - still
    np.testing.assert_allclose(e.std(axis=1), 1.5, rtol=0.08)
    np.testing.assert_allclose(e.mean(axis=1), 0, atol=0.15)


def test_the_smoothing_has_the_width_sigma() -> None:
    augmentation = ImageAugmentation(elastic=1.0, elastic_sigma=2.0)
    x = np.zeros((4000, 21, 21))
    e = augmentation.sampling_grid(x, np.random.default_rng(0))[0].reshape(x.shape)
    e = e - np.arange(21)[:, None]
    middle, along, across = e[:, 10, 10], e[:, 12, 10], e[:, 10, 12]
    for other in (along, across):  # noise smoothed by sigma: exp(-distance^2 / (4 sigma^2))
        assert np.mean(middle * other) == pytest.approx(np.exp(-4 / 16), abs=0.06)


@pytest.mark.parametrize("shape", [(5, 11, 11), (2, 4, 9), (3, 1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interpolation_is_that_of_scipy(shape: Shape, dtype: str) -> None:
    x = some(*shape, dtype=dtype)
    q = np.random.default_rng(1).uniform(-4, 14, (2, len(x), 50)).astype(dtype)
    y = interpolate(x, q)
    assert y.dtype == dtype
    for i, image in enumerate(x):
        expected = map_coordinates(image, q[:, i], order=1, mode="grid-constant")
        np.testing.assert_allclose(y[i], expected, atol=1e-5)


def test_inside_the_image_it_is_scipys_constant_mode_too() -> None:
    x = some(3, 12, 12)
    q = np.random.default_rng(1).uniform(0, 11, (2, 3, 100)).astype(np.float32)
    for image, points, y in zip(x, q.swapaxes(0, 1), interpolate(x, q), strict=True):
        expected = map_coordinates(image, points, order=1, mode="constant")
        np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_memory_layout_gives_the_same_and_is_not_written_to(dtype: str) -> None:
    x = some(40, 144, dtype=dtype)
    x.flags.writeable = False
    augmentation = replace(EVERYTHING, image=(12, 12))
    y = augmentation(x, np.random.default_rng(0))
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert not np.array_equal(x, y)
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.reshape(40, 12, 12)):
        changed = augmentation(same, np.random.default_rng(0))
        np.testing.assert_array_equal(changed.reshape(x.shape), y)


def test_all_random_numbers_come_from_the_generator() -> None:
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    x = some(20, 10, 10)
    first, second, other = (EVERYTHING(x, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, before)


def test_every_image_of_a_large_batch_is_changed_in_its_own_way() -> None:
    x = np.broadcast_to(some(28, 28), (100, 28, 28))
    y = EVERYTHING(x, np.random.default_rng(0))
    assert len(np.unique(y.reshape(100, -1), axis=0)) == 100


def test_an_empty_batch_stays_empty() -> None:
    assert EVERYTHING(np.zeros((0, 4, 4)), np.random.default_rng(0)).shape == (0, 4, 4)


def test_an_image_need_not_be_square() -> None:
    x = some(4, 54)
    wide = ImageAugmentation(image=(6, 9), shift=1.0)(x, Highest())
    as_pictures = transformed(x.reshape(4, 6, 9), shift=1.0)
    np.testing.assert_array_equal(wide, as_pictures.reshape(4, 54))


@pytest.mark.parametrize(
    ("options", "shape", "sentence"),
    [
        ({}, (2, 54), r"shape \(54,\); .* for rows of pixels, set image = \(height, width\)"),
        ({}, (2, 24 * 32 * 3), r"shape \(2304,\); .* set image = .*; images with channels can't"),
        (
            {},
            (2, 3, 4, 5),
            r"shape \(3, 4, 5\); should be \(height, width\); .* with channels can't",
        ),
        ({}, (2,), r"shape \(\); should be \(height, width\); for rows"),
        ({"image": (6, 9)}, (2, 53), r"shape \(53,\); should be \(6, 9\), or rows of 54 pixels"),
        ({"image": (6, 9)}, (2, 9, 6), r"shape \(9, 6\); should be \(6, 9\), or rows"),
        ({"image": (6, 9)}, (2, 6, 9, 3), r"shape \(6, 9, 3\); .* with channels can't be augm"),
    ],
)
def test_what_is_no_image_is_refused(options: dict[str, Any], shape: Shape, sentence: str) -> None:
    with pytest.raises(ShapeError, match=sentence):
        ImageAugmentation(**options)(some(*shape), np.random.default_rng(0))


def test_bytes_are_refused() -> None:
    with pytest.raises(DataError, match="type uint8; should be floats"):
        EVERYTHING(np.zeros((1, 4), np.uint8), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image", (28,)),
        ("image", (28, 28, 1)),
        ("image", (0, 28)),
        ("image", 28),
        ("shift", -1.0),
        ("rotate", float("nan")),
        ("scale", 1.0),
        ("elastic", -0.1),
        ("elastic_sigma", 0.0),
    ],
)
def test_options_that_cannot_be_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"ImageAugmentation.{option}"):
        ImageAugmentation(**{option: value})


def test_it_stands_in_files() -> None:
    table = {"type": "ImageAugmentation", "image": [6, 9], "shift": 2, "elastic": 1.0}
    augmentation = from_config(table, Augmentation)  # type: ignore[type-abstract]
    assert augmentation == ImageAugmentation(image=(6, 9), shift=2.0, elastic=1.0)
    plain = to_config(augmentation)
    assert plain["image"] == [6, 9]
    assert from_config(plain, ImageAugmentation) == augmentation


def test_an_augmentation_draws_other_numbers_than_the_first_weights() -> None:
    drawn: list[Array] = []

    class Noting(Augmentation):
        def __call__(self, x: Array, rng: np.random.Generator) -> Array:
            drawn.append(rng.random(5))
            return x

    body, loss = Dense(2, init=Uniform(0.0, 1.0)), SoftmaxCrossEntropy()
    net = Network(body, loss, shape=(5,), dtype="float64")
    root = np.random.default_rng(0)
    first = net.initialize(0).params()["body.W"].value.ravel()[:5].copy()
    np.testing.assert_array_equal(stream(0, "weights body.W").random(5), first)
    for seed in (0, root):
        fit(net, SGD(), np.ones((4, 5)), [0, 1, 0, 1], epochs=1, seed=seed, augmentation=Noting())
    fit(net, SGD(), np.ones((4, 5)), [0, 1, 0, 1], epochs=1, seed=root, augmentation=Noting())
    trained = drawn[1::2]  # it is tried once before each training
    for i, one in enumerate([first, *trained]):
        assert all(abs(one - other).max() > 0.01 for other in trained[i:])
