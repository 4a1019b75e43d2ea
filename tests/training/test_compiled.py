"""The compiled engine gives the numbers of the layers, to the last bit, whatever the options."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from layerkit import (
    EMA,
    LBFGS,
    SGD,
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
    Layer,
    LeCunNormal,
    LinearSchedule,
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
    Zeros,
    fit,
)
from layerkit.layers.watch import watched
from layerkit.recording import compiled
from layerkit.recording.compiled import Compiler
from tests.test_contract import OPTIMIZERS, named

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(133, 6)).astype(np.float32), RNG.integers(0, 3, 133)


class PlainDense(Layer):
    """As one would write it on a page."""

    units: int

    def build(self, shape: Shape) -> Shape:
        self.W, self.b = Param((shape[-1], self.units), LeCunNormal()), Param((3,), Zeros())
        return (self.units,)

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return x @ self.W.value + self.b.value

    def backward(self, dy: Array) -> Array:
        self.W.grad = self.x.T @ dy
        self.b.grad = dy.sum(axis=0)
        return dy @ self.W.value.T


class PlainMomentum(Optimizer):
    lr: float = 0.1
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v[...] = 0.9 * v + 0.1 * g
        w -= self.lr * v


def body() -> list[Layer]:
    return [Standardize(), Dense(8), BatchNorm(), ReLU(), Dropout(0.2), Dense(3)]


def trained(
    optimizer: Optimizer, engine: Any, layers: list[Layer] | None = None, x: Any = X, **options: Any
) -> list[Any]:
    """All that a training leaves."""
    net = Network(Sequential(layers or body()), SoftmaxCrossEntropy(), shape=(6,))
    optimizer = copy.deepcopy(optimizer)
    options = {"epochs": 3, "batch_size": 32} | options
    records = fit(net, optimizer, x, T, engine=engine, **options)
    memory = {name: slot.tobytes() for name, slot in optimizer.memory.items()}
    losses = [record.train_loss for record in records]
    return [net.arena.values.tobytes(), net.arena.states.tobytes(), memory, losses]


def assert_same(optimizer: Optimizer, **options: Any) -> None:
    plain, fast = (
        trained(optimizer, engine, **copy.deepcopy(options)) for engine in ("numpy", "compiled")
    )
    assert plain == fast


@pytest.mark.parametrize(
    "optimizer",
    [
        *(optimizer for optimizer in OPTIMIZERS if not isinstance(optimizer, LBFGS)),
        Adam(schedules={"lr": CosineSchedule()}),
        AdamW(weight_decay=0.1, schedules={"weight_decay": CosineSchedule()}),
        SGD(clip_global_norm=0.1, l1=0.01, l2=0.1, rates={"body.layers.1.*": 0.5}),
        Momentum(clip_norm=0.1, penalize=["*.b"], weight_decay=0.1),
        PlainMomentum(),
    ],
    ids=named,
)
def test_every_optimizer(optimizer: Optimizer) -> None:
    assert_same(optimizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "PIECE", 50)
        assert_same(optimizer)


class Steady(Optimizer):
    """Remembers one number, which changes once in a step, however many pieces there are."""

    lr: float = 0.1
    slots = ("n",)

    def allocate(self, w: Array) -> dict[str, Array]:
        return {"n": np.zeros((), w.dtype)}

    def update(self, w: Array, g: Array, n: Array) -> None:
        n += 1
        w -= np.multiply(g, self.lr, out=self.s) / n


class Shifting(Optimizer):
    """Moves its memory by one number in each step: a number depends on its neighbour."""

    lr: float = 0.1
    slots = ("v",)

    def allocate(self, w: Array) -> dict[str, Array]:
        return {"v": np.zeros(w.size + 1, w.dtype)}

    def update(self, w: Array, g: Array, v: Array) -> None:
        np.add(v[:-1], g, out=v[1:])
        w -= np.multiply(v[:-1], self.lr, out=self.s)


def test_numbers_that_are_computed_alone_are_computed_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of a vector, but not where one depends on others, or on the number of pieces."""
    sources: list[str] = []
    before = Compiler.in_pieces

    def spying(self: Compiler) -> Any:
        function = before(self)
        sources.append(self.source)
        return function

    monkeypatch.setattr(compiled, "PIECE", 50)
    monkeypatch.setattr(Compiler, "in_pieces", spying)
    alone = [SGD(), Momentum(weight_decay=0.1, l1=0.1), Adam(), AdamW(clip_value=0.1)]
    for optimizer in [
        *alone,
        SGD(clip_global_norm=1.0),
        SGD(rates={"*.b": 0.1}),
        Steady(),
        Shifting(),
    ]:
        assert_same(optimizer)
        assert ("in pieces" in sources[-1]) == (optimizer in alone)


class HalveRate(Callback):
    def batch_end(self, progress: Progress) -> None:
        progress.optimizer.lr *= 0.99  # type: ignore[attr-defined]

    def epoch_end(self, progress: Progress) -> None:
        progress.optimizer.beta1 *= 0.9  # type: ignore[attr-defined]
        progress.network["body.layers.4"].rate = 0.5  # type: ignore[union-attr]


class Seesaw(Callback):
    """Sets options in every second epoch, and takes them back in the others."""

    each_batch = False

    def epoch_begin(self, progress: Progress) -> None:
        other = progress.epoch % 2
        progress.optimizer.clip_global_norm = 0.1 if other else None
        progress.network.loss.label_smoothing = 0.3 * other  # type: ignore[attr-defined]


class Scheduling(Callback):
    """Gives options other schedules in the course of the training, in place too."""

    def batch_end(self, progress: Progress) -> None:
        optimizer = progress.optimizer
        if progress.step == 3:
            optimizer.schedules["weight_decay"] = CosineSchedule()
        if progress.step == 6:
            optimizer.schedules = {"weight_decay": LinearSchedule(), "beta1": CosineSchedule()}
        if progress.step == 9:
            optimizer.schedules["l2"] = optimizer.schedules.pop("beta1")


@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": RNG.random(133)},
        {"class_weight": "balanced", "average": EMA(decay=0.9)},
        {"validation": (X[:50], T[:50]), "metrics": ["f1_macro"]},
        {"layers": [PlainDense(3)]},
        {"callbacks": [HalveRate()]},
        {"callbacks": [Seesaw()], "epochs": 4},
        {"callbacks": [Scheduling()], "epochs": 4},
        {"x": sparse.csr_array(X), "layers": [Dense(8), ReLU(), Dense(3)]},
    ],
    ids=[
        "weights",
        "classes, average",
        "validation",
        "own layer",
        "callback",
        "there and back",
        "schedules",
        "sparse",
    ],
)
def test_options_of_a_training(options: dict[str, Any]) -> None:
    assert_same(AdamW(0.01, weight_decay=0.1, l2=0.1), **options)


def test_a_run_goes_on_with_the_other_engine(tmp_path: Path) -> None:
    whole = trained(Adam(0.01), "numpy", epochs=4)
    for first, second in (("numpy", "compiled"), ("compiled", "numpy")):
        checkpoints = Checkpoints(tmp_path / first)
        trained(Adam(0.01), first, epochs=2, checkpoints=checkpoints)
        again = trained(Adam(0.01), second, epochs=4, checkpoints=checkpoints, resume=True)
        assert again[:3] == whole[:3]


def test_watched_layers_are_run_themselves() -> None:
    net = Network(Sequential(body()), SoftmaxCrossEntropy(), shape=(6,))
    seen = set()

    def wrap(address: str, name: str, method: Any) -> Any:
        seen.add(address)
        return method

    with watched(net.layers(), wrap):
        fit(net, Adam(), X, T, epochs=1, engine="compiled")
    assert len(seen) == 6


def test_a_divergence_is_told_in_the_same_words() -> None:
    told = []
    for engine in ("numpy", "compiled"):
        with pytest.raises(DivergenceError, match=r"batch \d+: the loss is") as caught:
            trained(SGD(lr=1e30), engine, [Dense(8), ReLU(), Dense(3)])
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_what_can_not_be_compiled_is_refused_before_anything_starts() -> None:
    class Deciding(ReLU):
        def forward(self, x: Array, train: bool = True) -> Array:
            return super().forward(x if x.max() > 0 else -x, train=train)

    with pytest.raises(RecordingError, match=r"LBFGS searches.*; engine = 'numpy' takes it"):
        trained(LBFGS(), "compiled")
    with pytest.raises(RecordingError, match=r"body\.layers\.0: .*x\.max\(\) > 0"):
        trained(Adam(), "compiled", [Deciding(), Dense(3)])
    net = Network(Sequential([Deciding(), Dense(3)]), SoftmaxCrossEntropy(), shape=(6,))
    with pytest.raises(RecordingError, match=r"body\.layers\.0: .*x\.max\(\) > 0"):
        fit(net, Adam(), lambda: pytest.fail("a batch was asked for"), engine="compiled")
    with pytest.raises(ConfigError, match="gradient_accumulation_steps = 2 is not compiled"):
        trained(Adam(), "compiled", gradient_accumulation_steps=2)


def test_results_are_written_where_they_belong() -> None:
    """Of the plain layer: x.T @ dy goes into the gradient itself."""
    lines: list[str] = []
    before = Compiler.function

    def spying(self: Compiler) -> Any:
        lines.extend(self.lines)
        return before(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compiler, "function", spying)
        trained(PlainMomentum(), "compiled", [PlainDense(3)], batch_size=133)
    assert sum("setitem" in line for line in lines) == 1  # dz[t, …] -= 1, of the loss
    assert sum("copyto" in line for line in lines) == 1  # of logits


class Wasteful(Layer):
    """Draws more than it uses."""

    random = True

    def forward(self, x: Array, train: bool = True) -> Array:
        if not train:
            return x * 1
        self.rng.random(3)
        return x * self.rng.random(x.shape, x.dtype)

    def backward(self, dy: Array) -> Array:
        return dy * 1


def test_numbers_that_nobody_reads_are_drawn() -> None:
    """Otherwise those after them would be others."""
    assert_same(SGD(), layers=[Wasteful(), Dense(3)])
