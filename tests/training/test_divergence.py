import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    LBFGS,
    SGD,
    Adam,
    Array,
    BatchNorm,
    ConfigError,
    Dense,
    DivergenceError,
    Dropout,
    FileError,
    Graph,
    Identity,
    Lambda,
    Layer,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Multiply,
    Network,
    Optimizer,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)
from layerkit.callbacks import Callback
from layerkit.cli import main
from layerkit.files.checkpoints import Checkpoints, read_tree, write_tree
from layerkit.inspection.nonfinite import first_not_finite
from layerkit.progress import Progress
from layerkit.training.augmentation import Augmentation
from layerkit.training.divergence import FailedStep
from tests.files.mutations import mutated

pytestmark = pytest.mark.filterwarnings("ignore::layerkit.training.scale.ScaleWarning")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(240, 4)).astype(np.float32)
T = (X[:, 0] > 0).astype(int)
Y = X[:, :1]


class Witness(Callback):
    """Keeps the trainer, the losses of the steps, and the parameters after the last one."""

    def train_begin(self, progress: Progress) -> None:
        self.progress = progress
        self.losses: list[float] = []
        self.w = progress.network.arena.values.copy()

    def batch_end(self, progress: Progress) -> None:
        self.losses.append(progress.loss)
        self.w = progress.network.arena.values.copy()


def diverged(
    net: Network, optimizer: Any, x: Any = X, t: Any = None, **options: Any
) -> tuple[str, FailedStep]:
    """What is said, and the step that has failed; it fails in the same way when it is replayed."""
    witness = Witness()
    with pytest.raises(DivergenceError) as caught:
        fit(net, optimizer, x, t, callbacks=[witness], measure_train=False, **options)
    failed = witness.progress.failed
    assert failed
    replay = failed.replay()
    assert replay.same
    assert replay.verdict in str(caught.value)
    assert str(replay).count("<- first") == 1
    return str(caught.value), failed


def regression(*layers: Layer, loss: Loss | None = None) -> Network:
    return Network(Sequential([*layers]), loss or MeanSquaredError(), shape=(4,))


# Where the first value is not finite


class NanFor(Layer):
    """Returns nan for examples that begin with a certain number."""

    first: float = 0.0

    def forward(self, x: Array, train: bool = True) -> Array:
        return np.where(x[:, :1] == np.float32(self.first), np.float32(np.nan), x)

    def backward(self, dy: Array) -> Array:
        return dy


class Steep(Layer):
    """Has a derivative that is wrong, and far too large."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy * np.float32(1e38) * np.float32(1e38)


class NanLoss(Loss):
    """Is nan for the example with the largest output."""

    def losses(self, z: Array, t: Array) -> Array:
        self.z = z
        return np.where(z == z.max(), np.float32(np.nan), z)[:, 0]

    def gradients(self) -> Array:
        return np.ones_like(self.z)


class NanAugmentation(Augmentation):
    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        x = x.copy()
        x[1:2, 2] = np.nan
        return x


def weighted(net: Network, **weights: float) -> Network:
    """The same with constant weights, by the number of the layer."""
    for name, value in weights.items():
        net.params()[f"body.layers.{name[1:]}.W"].value[...] = value
    return net


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("net", "options", "sentences"),
    [
        (
            weighted(regression(Dense(3), ReLU(), Dense(1)), W0=1e38),
            {"x": 10 * abs(X)},
            [
                "in the output of body.layers.0 (Dense), forward, example 0 of the batch",
                "inf, from its input up to 16",
                "and its parameters up to 1e+38. Try a smaller learning rate than SGD(lr=0.1)",
            ],
        ),
        (
            weighted(regression(Dense(3), Identity(), Dense(1)), W0=1.0),
            {"x": np.full((6, 4), 3e38, np.float32), "t": Y[:6]},
            ["body.layers.0 (Dense), forward", "Scale the examples, which go up to 3e+38"],
        ),
        (
            weighted(regression(Dense(3), Dense(1)), W0=1e25),
            {},
            [
                "loss is inf; ",
                "in the losses of the examples (MeanSquaredError), example",
                "inf, from the outputs up to",
            ],
        ),
        (
            weighted(regression(Dense(3), Dense(1), loss=MeanAbsoluteError()), W0=1e-25, W1=1e20),
            {"x": 1e25 * abs(X)},
            [
                "e+20; the first value that is not finite is in the gradient of body.layers.0.W, "
                "backward: inf, from the gradient sent back to it up to",
                "and its input up to",
            ],
        ),
        (
            regression(Dense(3), Steep(), Dense(1)),
            {},
            [
                "in what body.layers.1 (Steep) sends back, backward, example 0 of the batch",
                "from the gradient sent back to it up to",
                "Numbers of this size don't explain it: look at Steep",
            ],
        ),
        (
            regression(Dense(1)),
            {"optimizer": SGD(lr=1e38), "x": 1e3 * X},
            [
                "batch 1: the loss is ",
                "in the parameter body.layers.0.W, after the update by SGD(lr=1e+38): ",
                "from its gradient up to ",
                "and its value before up to ",
            ],
        ),
        (
            regression(NanFor(first=float(X[77, 0])), Dense(1)),
            {},
            [
                "in the output of body.layers.0 (NanFor), forward, example ",
                " of the batch (number 77 of the training data): nan, from its input up to ",
                "Numbers of this size don't explain it: look at NanFor",
            ],
        ),
        (
            regression(Dense(1), loss=NanLoss()),
            {},
            ["in the losses of the examples (NanLoss), example", "look at NanLoss"],
        ),
        (
            regression(Dense(1)),
            {"augmentation": NanAugmentation()},
            [
                "in the examples, as they are given to the network, example 1 of the batch",
                "look at NanAugmentation",
            ],
        ),
        (
            weighted(regression(Dense(3), BatchNorm(), Dense(1)), W0=1e30),
            {},
            [
                "the loss is nan; ",
                "in what body.layers.1 (BatchNorm) computes inside, forward: inf, from its input",
            ],
        ),
        (
            regression(Residual(Identity()), Dense(1)),
            {"x": np.full((6, 4), 3e38, np.float32), "t": Y[:6]},
            ["in the output of body.layers.0.add (Add), forward, example 0"],
        ),
        (
            Network(
                Graph(
                    {"a": Identity(), "product": Multiply(), "b": Dense(1)},
                    ["input -> a", "a, input -> product -> b -> output"],
                ),
                MeanSquaredError(),
                (4,),
            ),
            {"x": np.full((6, 4), 3e38, np.float32), "t": Y[:6]},
            ["in the output of body.nodes.product (Multiply), forward, example 0"],
        ),
    ],
    ids=[
        *("weights", "examples", "loss", "gradient", "dx", "update", "own-layer", "own-loss"),
        *("augmentation", "refused", "residual", "graph"),
    ],
)
def test_the_first_place_is_named(net: Network, options: Any, sentences: list[str]) -> None:
    options = {"optimizer": SGD(), "t": Y, "batch_size": 6} | options
    message, _ = diverged(net, **options)
    for sentence in sentences:
        assert sentence in message, message


@pytest.mark.parametrize("row", [2, 77, 150, 239])
def test_the_example_is_found_in_the_part_of_a_batch_it_is_in(row: int) -> None:
    net = regression(NanFor(first=float(X[row, 0])), Dense(1))
    _, failed = diverged(net, SGD(), t=Y, batch_size=5, gradient_accumulation_steps=4)
    first = failed.replay().watch.first
    assert first
    assert first.row is not None
    assert failed.batch.rows is not None
    assert failed.batch.rows[first.row] == row
    assert len(failed.batch.x) == 20


class CarelessUpdate(Layer):
    """Returns what nobody reads as the first layer."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return np.full_like(dy, np.nan)


class Explorer(Optimizer):
    """Looks at a place where nothing is finite, which is its own affair."""

    def update(self, w: Array, g: Array, *slots: Array) -> None:
        w *= 1e38
        assert self.again
        self.again()
        w *= 1e38


def test_what_nobody_reads_or_asked_for_may_be_anything() -> None:
    message, failed = diverged(regression(CarelessUpdate(), Dense(3), Dense(1)), Explorer(), t=Y)
    assert "is in the parameter body.layers.1.W, after the update by Explorer()" in message
    assert "nan" not in str(failed.replay())


class Tires(Layer):
    """Returns inf for the second example from its second batch on."""

    def build(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        self.calls = 0
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        self.calls += train
        y = x.copy()
        if self.calls > 1:
            y[1] = np.inf
        return y

    def backward(self, dy: Array) -> Array:
        return dy


class Refuses(Layer):
    """Takes only what is finite."""

    def forward(self, x: Array, train: bool = True) -> Array:
        if not np.isfinite(x).all():
            raise DivergenceError("too much")
        return x

    def backward(self, dy: Array) -> Array:
        return dy


def test_the_example_is_found_when_an_optimizer_looks_again() -> None:
    net = regression(Dense(3), Tires(), Refuses(), Dense(1))
    message, _ = diverged(net, LBFGS(), t=Y, batch_size=30)
    assert "in the output of body.layers.1 (Tires), forward, example 1 of the batch" in message


def test_a_gradient_that_overflows_when_it_is_put_together_is_told() -> None:
    net = regression(Dense(1), loss=MeanAbsoluteError())
    net.arena.values[...] = 0
    x = np.full((4, 4), 1e38, np.float32)
    options = {"batch_size": 2, "gradient_accumulation_steps": 2}
    message, _ = diverged(net, SGD(), x, -abs(Y[:4]), **options)
    assert "in the gradient of body.layers.0.W, summed over the parts of the batch: " in message


# Going back to before it


class Trap(Adam):
    """Adam that puts a number into the parameters at a certain step."""

    step_number: int = 1
    number: float | None = None

    def update(self, w: Array, g: Array, *slots: Array) -> None:
        super().update(w, g, *slots)
        if self.t == self.step_number:
            w[0] = np.inf if self.number is None else self.number


def restless() -> Network:
    """With everything that a step may leave behind."""
    body = Sequential([Dense(6), Dropout(0.3), BatchNorm(), ReLU(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(4,)).initialize(3)


class GrainNoise(Augmentation):
    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        noisy: Array = x + rng.standard_normal(x.shape, np.float32) / 10
        return noisy


ACCUMULATED = {"gradient_accumulation_steps": 2, "batch_size": 2}
AUGMENTED = {"augmentation": GrainNoise(), "sample_weight": np.linspace(0, 2, 480)}
ALL: dict[str, Any] = {
    "batch_size": 4,
    "epochs": 3,
    "average": EMA(0.9),
    "measure_train": False,
    "seed": 8,
}
STEPS = [1, 2, 99, 100, 101, 119, 120, 121, 200, 219, 220, 221]
"""Snapshots are taken every 100 steps and at the beginning of an epoch, which has 120."""
XX, TT = np.concatenate([X, X]), np.concatenate([T, T])


class StopsAfter(Callback):
    step: int = 1

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            progress.stop("here")


def numbers(net: Network, optimizer: Adam) -> list[bytes]:
    memory = [slot.tobytes() for slot in optimizer.memory.values()]
    return [net.arena.values.tobytes(), net.arena.states.tobytes(), *memory]


@pytest.mark.parametrize(
    ("step", "options"),
    [
        *((step, {}) for step in STEPS),
        *((step, options) for step in (1, 101, 120) for options in (ACCUMULATED, AUGMENTED)),
    ],
)
@pytest.mark.parametrize("kind", ["forward", "update"])
def test_the_network_is_that_of_a_training_stopped_right_before(
    kind: str, step: int, options: dict[str, Any], tmp_path: Path
) -> None:
    optimizer = Trap(step_number=step)
    net, calm = restless(), restless()
    if kind == "forward":  # finite, but what is made of it is not
        optimizer = Trap(step_number=step - 1, number=3e38)
        if step == 1:
            net.arena.values[0] = calm.arena.values[0] = 3e38
    stopped = replace(optimizer)
    options = ALL | options
    witness = Witness()
    with pytest.raises(DivergenceError, match=f"batch {(step - 1) % 120 + 1}: the loss is "):
        fit(net, optimizer, XX, TT, callbacks=[witness], **options)
    failed, progress = witness.progress.failed, witness.progress
    assert failed
    assert (progress.step, progress.epoch) == (step - 1, (step + 119) // 120)
    if step > 1:
        fit(calm, stopped, XX, TT, callbacks=[StopsAfter(step - 1)], **options)
        assert numbers(net, optimizer) == numbers(calm, stopped)
    else:
        assert numbers(net, optimizer)[:2] == numbers(calm, stopped)[:2]
    path = tmp_path / "failed.safetensors"
    failed.save(path)
    for replay in (failed.replay(), FailedStep.load(path).replay()):
        assert replay.same
        assert replay.verdict == failed.replay().verdict
        assert math.isfinite(replay.loss) == (kind == "update")
    if kind == "update" and step > 1:
        loss = Witness()
        fit(restless(), Adam(), XX, TT, callbacks=[loss], **options)
        assert failed.loss == loss.losses[step - 1]


def test_a_parameter_that_overflows_long_before_it_is_used_is_found() -> None:
    class OneWay(Layer):
        """Looks at its parameter every now and then only."""

        def build(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            from layerkit import Param, Zeros

            self.b = Param((1,), Zeros())
            return shape

        def forward(self, x: Array, train: bool = True) -> Array:
            self.used = bool((x[:, 0] > 2.5).any())
            return x + self.b.value if self.used else x

        def backward(self, dy: Array) -> Array:
            self.b.grad = np.array([dy.sum()])
            return dy

    net = Network(Sequential([OneWay(), Dense(2)]), SoftmaxCrossEntropy(), shape=(4,))
    witness = Witness()
    with pytest.raises(DivergenceError, match=r"batch 3: .* parameter body\.layers\.0\.b, aft"):
        fit(net, Trap(step_number=3), X, T, batch_size=2, callbacks=[witness], measure_train=False)
    assert len(witness.losses) > 3
    assert np.isfinite(net.arena.values).all()


def test_a_search_that_fails_within_a_step_is_put_back() -> None:
    net, witness = regression(Dense(3), BatchNorm(), Dense(1)), Witness()
    options: Any = {"batch_size": 240, "callbacks": [witness], "measure_train": False}
    with pytest.raises(DivergenceError, match=r"body\.layers\.1 \(BatchNorm\) computes inside"):
        fit(net, LBFGS(), 1e18 * X, 1e18 * Y, **options)
    np.testing.assert_array_equal(net.arena.values, witness.w)
    assert witness.progress.failed
    assert witness.progress.failed.replay().same


class PausesAfter(Callback):
    step: int = 1

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            progress.pause("for a while")


@pytest.mark.parametrize("step", [51, 52, 101])
def test_a_training_that_was_resumed_goes_back_too(step: int, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "kept")
    whole, resumed = restless(), restless()
    with pytest.raises(DivergenceError) as expected:
        fit(whole, Trap(step_number=step), XX, TT, **ALL)
    options = {"checkpoints": checkpoints} | ALL
    fit(resumed, Trap(step_number=step), XX, TT, callbacks=[PausesAfter(50)], **options)
    with pytest.raises(DivergenceError) as caught:
        fit(resumed, Trap(step_number=step), XX, TT, resume=True, **options)
    assert str(caught.value) == str(expected.value)
    np.testing.assert_array_equal(resumed.arena.values, whole.arena.values)


def test_no_checkpoint_holds_what_is_not_finite(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "kept", every=1)
    with pytest.raises(DivergenceError):
        fit(restless(), Trap(step_number=5), XX, TT, checkpoints=checkpoints, **ALL)
    tree = checkpoints.load().tree
    assert tree["progress"]["step"] == 4
    assert np.isfinite(tree["network"]["values"]).all()


# Batches that come only once


GIVEN: list[Array] = []


def shuffled() -> Iterator[tuple[Array, Array]]:
    """Other examples each time, in the same memory."""
    x, t = np.empty_like(X[:8]), np.empty_like(T[:8])
    for _ in range(60):
        rows = RNG.integers(0, len(X), 8)
        x[...], t[...] = X[rows], T[rows]
        GIVEN.append(x.copy())
        yield x, t


@pytest.mark.parametrize("given", [lambda: shuffled, shuffled], ids=["function", "iterator"])
@pytest.mark.parametrize("number", [None, 3e38])
def test_what_can_not_be_repeated_is_told(given: Callable[[], Any], number: float | None) -> None:
    net, witness = restless(), Witness()
    optimizer = Trap(step_number=7, number=number)
    GIVEN.clear()
    with pytest.raises(DivergenceError, match=r"batch 8: .* could not be repeated as it was"):
        fit(net, optimizer, given(), epochs=1, callbacks=[witness], measure_train=False)
    assert np.isfinite(net.arena.values).all()
    assert np.isfinite(net.arena.states).all()
    assert witness.progress.failed
    np.testing.assert_array_equal(witness.progress.failed.batch.x, GIVEN[7])
    if number:
        np.testing.assert_array_equal(net.arena.values, witness.w)
        assert optimizer.t == 7


# The file


def failed_step(net: Network | None = None, seed: Any = 8) -> FailedStep:
    witness = Witness()
    with suppress(DivergenceError):
        fit(net or restless(), Trap(step_number=2), XX, TT, callbacks=[witness], seed=seed)
    assert witness.progress.failed
    return witness.progress.failed


def test_other_random_generators_come_back(tmp_path: Path) -> None:
    path, net = tmp_path / "f", restless()
    for _, layer in net.layers():
        if layer.random:
            layer.rng = np.random.Generator(np.random.MT19937(4))
    failed = failed_step(net)
    failed.save(path)
    assert FailedStep.load(path).replay().loss == failed.loss


def test_functions_of_python_have_to_be_given_again(tmp_path: Path) -> None:
    def net(*more: Layer) -> Network:
        body = Sequential([Dense(3), Lambda(np.sin, np.cos), *more, Dense(2)])
        return Network(body, SoftmaxCrossEntropy(), shape=(4,)).initialize(1)

    failed = failed_step(net(Dropout(0.5)))
    failed.save(tmp_path / "f")
    with pytest.raises(ConfigError, match=r"Lambda\(.* has functions of Python"):
        FailedStep.load(tmp_path / "f")
    assert FailedStep.load(tmp_path / "f", net(Dropout(0.5))).replay().loss == failed.loss
    for other, difference in (
        (regression(Dense(1)), "a network of 5 parameters, .*; should have 23 parameters"),
        (net(BatchNorm(), Dropout(0.5)), "6 states, .* have .* 0 states"),
        (net(), r"random numbers in nowhere; .* random numbers in body\.layers\.2"),
    ):
        with pytest.raises(ConfigError, match=difference):
            FailedStep.load(tmp_path / "f", other)


def test_images_stay_bytes(tmp_path: Path) -> None:
    net, witness = restless(), Witness()
    x = RNG.integers(0, 256, (20, 4), np.uint8)
    with suppress(DivergenceError):
        fit(net, Trap(step_number=2), x, T[:20], batch_size=10, callbacks=[witness])
    failed = witness.progress.failed
    assert failed
    failed.save(tmp_path / "f")
    again = FailedStep.load(tmp_path / "f")
    assert again.batch.x.dtype == np.uint8
    assert again.replay().loss == failed.loss


def test_another_loss_is_told() -> None:
    failed = replace(failed_step(), loss=0.5)
    assert not failed.replay().same
    assert "but it was 0.5: the last digits depend on" in str(failed.replay())


def test_other_files_are_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / "f", {"step": 1})
    with pytest.raises(FileError, match="no failed step is in this file"):
        FailedStep.load(tmp_path / "f")
    regression(Dense(1)).save(tmp_path / "model")
    with pytest.raises(FileError, match="no failed step is in this file"):
        FailedStep.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("table", "key"), [("", "loss"), ("", "network"), ("state", "generators"), ("batch", "x")]
)
def test_a_file_with_something_missing_is_refused(table: str, key: str, tmp_path: Path) -> None:
    failed_step().save(tmp_path / "f")
    tree = read_tree(tmp_path / "f")
    del (tree[table] if table else tree)[key]
    write_tree(tmp_path / "f", tree)
    with pytest.raises(FileError, match=f"something is missing in it, or wrong: .*'{key}'"):
        FailedStep.load(tmp_path / "f")


def test_a_file_with_any_part_missing_or_mistyped_is_refused_or_the_same(tmp_path: Path) -> None:
    failed_step().save(tmp_path / "f")
    tree, whole = read_tree(tmp_path / "f"), str(FailedStep.load(tmp_path / "f").replay())
    refused = 0
    for what, changed in mutated(tree, 150):
        write_tree(tmp_path / "changed", changed)
        try:
            again = str(FailedStep.load(tmp_path / "changed").replay())
        except (ConfigError, FileError):
            refused += 1
            continue
        # an option that is left out in a configuration has its default
        assert again == whole or what.startswith(("network", "optimizer", "options")), what
    assert refused > 100


# The search in a single pass, and the command


def test_what_is_measured_names_the_example_too() -> None:
    net = regression(NanFor(first=float(X[77, 0])), Dense(1))
    assert "body.layers.0 (NanFor), forward, example 77 of the batch" in first_not_finite(net, X)
    assert (
        first_not_finite(net, X[:77]) == "the output of the body is finite, the loss of it is not"
    )


OWN = """
import numpy as np
from layerkit import Layer
from layerkit.progress import Progress

class Fragile(Layer):
    def forward(self, x, train=True):
        return x / np.float32(0 if train else 1)
    def backward(self, dy):
        return dy
"""
CONFIG = """
[network]
shape = [64]
loss = {type = "SoftmaxCrossEntropy"}
body = {type = "Sequential", layers = [{type = "Dense", units = 10}, {type = "Fragile"}]}
[optimizer]
type = "SGD"
"""


def test_the_command_replays_what_a_training_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fragile_layer.py").write_text(OWN)
    Path("e.toml").write_text(CONFIG)
    own = ["--import", "fragile_layer.py"]
    assert main(["train", "e.toml", "--out", "run", *own]) == 1
    captured = capsys.readouterr()
    assert "layerkit replay run/divergence.safetensors" in captured.out
    assert "The last weights that were finite are kept in run/model.safetensors" in captured.out
    assert "in the output of body.layers.1 (Fragile), forward, example 0" in captured.err
    before = sorted(path.name for path in Path("run").iterdir())
    assert main(["replay", "run/divergence.safetensors", *own]) == 0
    said = capsys.readouterr().out
    assert main(["replay", "run", *own]) == 0
    assert capsys.readouterr().out == said
    assert said.startswith("Epoch 1, batch 1, step 1: 128 examples")
    lines = [line for line in said.splitlines() if line.endswith("<- first")]
    assert [line.split()[:2] for line in lines] == [["body.layers.1", "Fragile"]]
    assert "The loss is nan, as in the training." in said
    assert "look at Fragile" in said
    assert sorted(path.name for path in Path("run").iterdir()) == before
    assert np.isfinite(Network.load("run/model.safetensors").arena.values).all()
