"""The engine of JAX gives the numbers of NumPy up to rounding, whatever the options."""

import copy
import json
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    LBFGS,
    SGD,
    SWA,
    Adam,
    AdamW,
    Array,
    BatchNorm,
    Callback,
    Checkpoints,
    ConfigError,
    CosineSchedule,
    Dense,
    DivergenceError,
    Dropout,
    EarlyStopping,
    Flatten,
    GlorotUniform,
    ImageAugmentation,
    Layer,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Momentum,
    Network,
    Optimizer,
    Param,
    Progress,
    RecordingError,
    ReLU,
    Sequential,
    Shape,
    SoftmaxCrossEntropy,
    Standardize,
    fit,
)
from layerkit.cli import main
from layerkit.recording import record
from layerkit.recording.jax_functions import Function, exact
from tests.recording.test_functional import CHANGED
from tests.test_contract import LAYERS, LOSSES, OPTIMIZERS, named, numbers_for
from tests.training.test_compiled import Scheduling, Seesaw

pytest.importorskip("jax")
RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(96, 6)), RNG.integers(0, 3, 96)
BYTES = RNG.integers(0, 256, (96, 6)).astype(np.uint8)
SOFTMAX = SoftmaxCrossEntropy()


def trained(
    engine: Any, optimizer: Optimizer, x: Any = X, t: Any = T, loss: Loss = SOFTMAX, **options: Any
) -> tuple[Network, list[Any], Optimizer]:
    layers: list[Layer] = [Standardize(), Dense(8), ReLU(), BatchNorm(), Dense(3)]
    if "gradient_accumulation_steps" in options or callable(x):
        layers = [Dense(8), ReLU(), Dense(3)]
    net = Network(Sequential(layers), copy.deepcopy(loss), shape=(6,), dtype="float64")
    optimizer = copy.deepcopy(optimizer)
    options = {"epochs": 3, "batch_size": 32} | options
    return net, fit(net, optimizer, x, t, engine=engine, **options), optimizer


def batches() -> Iterator[Any]:
    for start in range(0, 96, 24):
        yield X[start : start + 24], T[start : start + 24], np.arange(24.0)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (Momentum(0.5), {}),
        (Adam(0.01, schedules={"lr": CosineSchedule()}), {"batch_size": 40}),
        (SGD(0.1, clip_global_norm=0.1, l1=0.01, rates={"body.layers.1.*": 0.5}), {"x": BYTES}),
        (AdamW(weight_decay=0.1, schedules={"weight_decay": CosineSchedule()}), {}),
        (Adam(0.01), {"average": EMA(0.9), "test": (X, T)}),
        (Momentum(0.5), {"average": SWA(0.5, every=2), "sample_weight": np.arange(96.0)}),
        (SGD(0.5), {"gradient_accumulation_steps": 3, "batch_size": 9}),
        (Adam(0.01), {"class_weight": [1.0, 0.0, 3.0]}),
        (Adam(0.01), {"x": batches, "t": None}),
        (SGD(0.1), {"loss": MeanSquaredError(), "t": X[:, :3], "standardize_targets": True}),
    ],
)
def test_the_same_numbers(optimizer: Optimizer, options: dict[str, Any]) -> None:
    (plain, records, first), (net, found, other) = (
        trained(engine, optimizer, **options) for engine in ("numpy", "jax")
    )
    np.testing.assert_allclose(net.arena.values, plain.arena.values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(net.arena.states, plain.arena.states, rtol=0, atol=1e-10)
    for one, two in zip(records, found, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-10)
    assert first.t == other.t
    for name, slot in first.memory.items():
        np.testing.assert_allclose(other.memory[name], slot, rtol=0, atol=1e-10)


@pytest.mark.parametrize("callback", [Seesaw(), Scheduling()], ids=named)
def test_callbacks_may_set_options_and_take_them_back(callback: Callback) -> None:
    options: dict[str, Any] = {"epochs": 4, "callbacks": [callback], "seed": 2**64}
    optimizer = AdamW(0.01, weight_decay=0.1, l2=0.1)
    one, other = (trained(engine, optimizer, **options)[0] for engine in ("numpy", "jax"))
    np.testing.assert_allclose(other.arena.values, one.arena.values, atol=1e-10)


def test_images_are_augmented_and_mapped_data_is_read(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (64, 6, 6)).astype(np.uint8)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = []
    engines: list[tuple[Any, Array]] = [("numpy", images), ("jax", mapped)]
    for engine, x in engines:
        net = Network(Sequential([Flatten(), Dense(3)]), SOFTMAX, shape=(6, 6), dtype="float64")
        options: dict[str, Any] = {"augmentation": ImageAugmentation(shift=1), "batch_size": 16}
        fit(net, Adam(0.01), x, T[:64], epochs=2, engine=engine, **options)
        found.append(net.arena.values)
    np.testing.assert_allclose(found[1], found[0], atol=1e-10)


def dropping(seed: int = 0, **options: Any) -> Network:
    layers: list[Layer] = [Dense(8), ReLU(), Dropout(0.5), Dense(3)]
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), shape=(6,))
    optimizer = Adam(0.01, schedules={"lr": CosineSchedule()})
    chosen: dict[str, Any] = {"seed": seed, "batch_size": 32, "engine": "jax"} | options
    fit(net, optimizer, X, T, **chosen)
    return net


def test_random_layers_have_the_same_numbers_again() -> None:
    nets = [dropping(seed, epochs=2) for seed in (0, 0, 1)]
    first, again, other = (net.arena.values.tobytes() for net in nets)
    assert first == again != other


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_drops_its_share(rate: float) -> None:
    net = Network(Sequential([Dropout(rate)]), MeanSquaredError(), shape=(100,))
    x = np.ones((200, 100), np.float32)
    z = drawn(net, x)
    assert np.unique(z).tolist() == pytest.approx([0, 1 / (1 - rate)])
    assert abs(float((z == 0).mean()) - rate) < 4 * np.sqrt(rate * (1 - rate) / z.size)
    assert not np.array_equal(z, drawn(net, x, 1))


def drawn(net: Network, x: Array, key: int = 0) -> Array:
    import jax

    function = Function(record(net, x, x), ["z"])
    memory = {"w": net.arena.values, "g": net.arena.grads, "states": net.arena.states}
    return np.asarray(function({"x": x, "t": x}, memory, jax.random.key(key))["z"])


class Stopping(Callback):
    """Asks to leave after some steps; and has seen each batch."""

    after: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen: list[Any] = []

    def batch_end(self, progress: Progress) -> None:
        self.seen.append((progress.step, progress.loss, progress.network.arena.values[0]))
        if progress.step == self.after:
            progress.pause("enough")


def test_a_run_is_resumed_to_the_bit(tmp_path: Path) -> None:
    whole = dropping(epochs=3)
    stopping = Stopping(after=5)
    kept: dict[str, Any] = {"checkpoints": Checkpoints(str(tmp_path)), "epochs": 3}
    dropping(callbacks=[stopping], **kept)
    steps, losses, weights = zip(*stopping.seen, strict=True)
    assert steps == (1, 2, 3, 4, 5)
    assert len(set(losses)) == len(set(weights)) == 5
    resumed = dropping(resume=True, **kept)
    assert resumed.arena.values.tobytes() == whole.arena.values.tobytes()
    with pytest.raises(ConfigError, match=r"training.engine = numpy; the checkpoint has jax"):
        dropping(engine="numpy", resume=True, **kept)


def test_checkpoints_after_some_steps_and_early_stopping(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), every=2, keep=10)
    stop = EarlyStopping(patience=1, monitor="test_loss", mode="max")
    _, records, optimizer = trained(
        "jax", Momentum(0.5), checkpoints=checkpoints, callbacks=[stop], test=(X, T)
    )
    assert len(records) == 2
    assert optimizer.t == 6
    assert sorted(path.name for path in checkpoints.paths()) == [
        f"step-{step:08}.safetensors" for step in (2, 3, 4, 6)
    ]


def test_what_is_not_finite_is_named() -> None:
    for engine in ("numpy", "jax"):
        with pytest.raises(DivergenceError) as error:
            trained(engine, SGD(1e200), batch_size=24)
        sentence = str(error.value)
        assert "batch 2: the loss is nan; the first value that is not finite is in" in sentence
        assert "body.layers.3 (BatchNorm)" in sentence


class Die(Layer):
    """Draws what JAX does not."""

    random = True

    def forward(self, x: Array, train: bool = True) -> Array:
        self.mask = np.multiply(self.rng.geometric(0.5, x.shape), 1.0, dtype=x.dtype)
        return x * self.mask

    def backward(self, dy: Array) -> Array:
        return dy * self.mask


@pytest.mark.filterwarnings("ignore:the inputs of body")
def test_a_gradient_whose_squares_overflow_is_finite() -> None:
    x, t, found = X.astype(np.float32) * np.float32(1e20), X[:, :2], []
    for engine in ("numpy", "jax"):
        net = Network(Dense(2), MeanAbsoluteError(), shape=(6,))
        before = net.arena.values.copy()
        fit(net, SGD(1e-22), x, t, epochs=2, engine=engine)
        found.append(net.arena.values - before)
    assert np.abs(found[0]).max() > 1e-3
    assert np.abs(found[0] - found[1]).max() < 1e-6


def unasked() -> Iterator[Any]:
    raise AssertionError("batches were asked for before all was checked")


def test_what_cannot_be_done_is_refused_before_the_first_step() -> None:
    with pytest.raises(RecordingError, match=r"LBFGS searches.*; engine = 'numpy' takes it"):
        trained("jax", LBFGS())
    net = Network(Sequential([Die(), Dense(3)]), SOFTMAX, shape=(6,))
    before = net.arena.values.copy()
    for data in ((X, T), (unasked,)):
        with pytest.raises(RecordingError, match=r"body.layers.0: .*geometric, which .* 'jax'"):
            fit(net, Adam(), *data, engine="jax")
    assert np.array_equal(net.arena.values, before)


class Scattered(Layer):
    """Writes to places that are hit several times."""

    def forward(self, x: Array, train: bool = True) -> Array:
        y, places = np.zeros_like(x), np.array([0, 0, 1])
        for change in (np.add, np.subtract, np.maximum):
            change.at(y, (slice(None), places), x[:, ::-1])  # type: ignore[arg-type]
        return y

    def backward(self, dy: Array) -> Array:
        return dy


def test_a_run_says_what_trains_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "training.epochs=1", "--out", str(tmp_path / "run")]
    assert main(["train", "experiments/digits.toml", "--engine", "jax", *options]) == 0
    where = re.search("^Trained by (JAX [0-9.]+ on .+)$", capsys.readouterr().out, re.M)
    assert where
    assert json.loads((tmp_path / "run/environment.json").read_text())["engine"] == where[1]


class Looked(Layer):
    """Looks numbers up, and does not check where."""

    def build(self, shape: Shape) -> Shape:
        self.W = Param((4, 3), GlorotUniform())
        return (3,)

    def forward(self, x: Array, train: bool = True) -> Array:
        self.places = x[:, 0].astype(int)
        return self.W.value[self.places]

    def backward(self, dy: Array) -> Array:
        grad = np.zeros_like(self.W.value)
        np.add.at(grad, self.places, dy)
        self.W.grad = grad
        return np.zeros_like(dy[:, :1])


def test_an_index_out_of_bounds_is_told() -> None:
    for last, ends in ((-4, False), (3, False), (4, True)):
        x = np.resize(np.array([0.0, 1.0, 2.0]), (96, 1))
        x[50] = last
        net = Network(Looked(), SOFTMAX, shape=(1,), dtype="float64")
        with pytest.raises(IndexError, match="index 4 is out of bounds") if ends else nullcontext():
            fit(net, SGD(), x, T, batch_size=32, epochs=1, engine="jax", measure_train=False)


def test_writes_to_the_same_place() -> None:
    net = Network(Sequential([Scattered()]), MeanSquaredError(), shape=(3,), dtype="float64")
    check(net, RNG.normal(size=(5, 3)))


def test_without_jax_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ConfigError, match=r"JAX is not installed: .* pip install -e '.\[jax\]'"):
        trained("jax", Adam())


def check(net: Network, x: Array, *more: Any, **options: Any) -> None:
    """A program gives the same in JAX, but for random numbers: of those, the same kinds."""
    import jax

    program = record(net, x, *more, **options)
    given = {name: value.array for name, value in program.inputs.items()}
    memory = {name: value.array.copy() for name, value in program.memory.items()}
    before = copy.deepcopy(memory)
    expected = program.run(memory=memory, **given) | memory
    quickly = {"xla_backend_optimization_level": 0}  # compiling takes most of the time
    with exact():
        function = jax.jit(Function(program), compiler_options=quickly)
        found = function(given, before, jax.random.key(0))
    for name, item in found.items():
        wanted, array = np.asarray(expected[name]), np.asarray(item)
        assert (array.shape, array.dtype) == (wanted.shape, wanted.dtype), name
        if not program.generators:
            np.testing.assert_allclose(array, wanted, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers(layer: Layer, shape: Shape) -> None:
    rng = np.random.default_rng(0)
    net = Network(
        Sequential([copy.deepcopy(layer)]), MeanSquaredError(), shape=shape, dtype="float64"
    )
    numbers = numbers_for(layer, shape)
    x = rng.normal(size=(7, *shape)) if numbers is None else numbers.astype(float)
    net.adapt(x)
    check(net, x)
    check(net, x, rng.normal(size=(7, *net.body.output_shape)))


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "shape", "t"), LOSSES, ids=named)
def test_losses(loss: Loss, shape: Shape, t: Any) -> None:
    shapes = (*shape[:-1], 2)
    net = Network(Dense(shape[-1]), copy.deepcopy(loss), shape=shapes, dtype="float64")
    x, t = np.ones((6, *shapes)), np.resize(np.asarray(t), (6, *np.shape(t)[1:]))
    check(net, x)
    check(net, x, t, sample_weight=np.arange(6))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *CHANGED], ids=named)
def test_a_hundred_steps_of_each_optimizer(optimizer: Optimizer) -> None:
    if isinstance(optimizer, LBFGS):
        return
    found = []
    for engine in ("numpy", "jax"):
        net = Network(
            Sequential([Dense(4), ReLU(), Dense(3)]), SOFTMAX, shape=(6,), dtype="float64"
        )
        options: dict[str, Any] = {"epochs": 20, "batch_size": 20, "engine": engine}
        fit(net, copy.deepcopy(optimizer), X, T, average=EMA(0.9), **options)
        found.append(net.arena.values)
    # lr * g / (|g| + 0.001) with lr = 0.1 makes rounding a hundred times as large where g is small
    grows = named(optimizer) == "Adam(lr=0.1, beta1=0.0, beta2=0.0, eps=0.001)"
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-9 if grows else 1e-10)
