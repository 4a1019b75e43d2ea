"""Several threads, several processes, many steps: nothing is mixed up, nothing is left behind."""

import gc
import multiprocessing
import os
import random
import resource
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    LSUV,
    SGD,
    Adam,
    Add,
    Array,
    BatchNorm,
    Concat,
    Date,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    Graph,
    GroupNorm,
    Join,
    Lambda,
    Layer,
    LayerNorm,
    MeanSquaredError,
    Momentum,
    Multiply,
    Network,
    Number,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    Sum,
    Table,
    Take,
    evaluate,
    fit,
)
from layerkit.callbacks import Callback
from layerkit.config.tables import choices_for
from layerkit.data import Data
from layerkit.files.checkpoints import Checkpoints
from layerkit.progress import Progress
from layerkit.training import evaluation
from layerkit.training.augmentation import ImageAugmentation
from layerkit.training.loop import train, train_step

THREADS = 8
RNG = np.random.default_rng(7)
X = RNG.normal(size=(300, 4)).astype(np.float32)
T = RNG.integers(0, 3, 300)

WITH_OPTIONS: list[Layer] = [
    Dense(5),
    GroupNorm(2),
    Reshape((2, 2)),
    Table([Number("a"), Date("b", "2024-01-31"), Number("c", gaps=True), Number("d")]),
    Take([2, 0]),
    Embedding(n=300, dim=2),
    Take([1, 0]),
    Lambda(np.sin, np.cos),
    Sequential([Dense(5), ReLU(), Dense(2)]),
    Residual(Sequential([Dense(7), Sigmoid(), Dense(4)])),
    Sum([Dense(2), Sequential([Dense(3), Sigmoid(), Dense(2)])]),
    Concat([Dense(2), Sigmoid()]),
    Graph(
        {"a": Dense(4), "product": Multiply(), "b": Dense(3)},
        ["input -> a", "a, input -> product -> b -> output"],
    ),
]


def every_layer() -> list[Layer]:
    """One of each class that layerkit has."""
    made = {type(layer) for layer in WITH_OPTIONS}
    classes: list[Any] = choices_for(Layer)
    others = [c for c in classes if c.__module__.startswith("layerkit.layers.") and c not in made]
    return WITH_OPTIONS + [cls() for cls in others]


@pytest.fixture
def busy() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(run, calls)]


# Predicting


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("layer", every_layer(), ids=lambda layer: type(layer).__name__)
def test_every_layer_serves_several_threads(layer: Layer) -> None:
    body: Layer = Sequential([layer])
    if isinstance(layer, Add | Join | Multiply):
        edges = ["input -> a", "input -> b", "a, b -> both -> output"]
        body = Graph({"a": Dense(4), "b": Dense(4), "both": layer}, edges)
    net = Network(body, MeanSquaredError(), (4,))
    x = np.abs(np.round(20 * X)) if isinstance(layer, Embedding) else X
    net.adapt(x)
    sizes = [300 - 30 * i for i in range(THREADS)]
    expected = [net.outputs(x[:size]) for size in sizes]

    def ask(i: int) -> None:
        for _ in range(30):
            np.testing.assert_array_equal(net.outputs(x[: sizes[i]]), expected[i])

    at_once([partial(ask, i) for i in range(THREADS)])


def everything() -> Network:
    body = Sequential(
        [
            Standardize(),
            Dense(32, init=LSUV()),
            BatchNorm(),
            ReLU(),
            Residual(Sequential([LayerNorm(), Dense(32), ReLU(), Dropout(0.3), Dense(32)])),
            GaussianNoise(0.1),
            Dense(3),
        ]
    )
    return Network(body, SoftmaxCrossEntropy(), (4,)).initialize(2)


@pytest.mark.usefixtures("busy")
def test_a_trained_network_serves_several_threads() -> None:
    """Predictions and probabilities, of few examples and of several chunks."""
    net = everything()
    fit(net, Adam(), X, T, epochs=3)
    x = np.concatenate([X] * 8)
    parts = [x[i : i + 1 + 290 * i] for i in range(THREADS)]
    expected = [(net.predict(part), net.predict_proba(part)) for part in parts]

    def ask_all(i: int) -> None:
        for _ in range(20):
            np.testing.assert_array_equal(net.predict(parts[i]), expected[i][0])
            np.testing.assert_array_equal(net.predict_proba(parts[i]), expected[i][1])

    at_once([partial(ask_all, i) for i in range(THREADS)])


def test_several_threads_may_measure() -> None:
    """Between any two lines of one measurement, another is made."""
    net, a = everything().adapt(X), np.arange(1, 301)
    expected, other = evaluate(net, X, T, a), (X[:7], T[:7])
    lines = 0

    def interrupt(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if event == "line" and frame.f_code.co_filename == evaluation.__file__:
            lines += 1
            evaluate(net, *other)
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        found = evaluate(net, X, T, a)
    finally:
        sys.settrace(before)
    assert found == expected
    assert lines > 10


# Training


def trained(seed: int, callbacks: Sequence[Callback] = ()) -> Array:
    net = everything().initialize(seed)
    options: dict[str, Any] = {"epochs": 3, "batch_size": 16, "seed": seed, "average": EMA(0.9)}
    fit(net, Momentum(lr=0.05), X, T, test=(X, T), metrics=["f1"], callbacks=callbacks, **options)
    return net.arena.values.copy()


@pytest.mark.usefixtures("busy")
def test_trainings_in_several_threads_are_those_of_each_alone() -> None:
    expected = [trained(seed) for seed in range(4)]
    assert not np.array_equal(expected[0], expected[1])
    found = at_once([partial(trained, seed) for seed in range(4)])
    np.testing.assert_array_equal(found, expected)


def test_trainings_that_take_turns_are_those_of_each_alone() -> None:
    """Epoch by epoch, and one training inside of another's callback."""
    options: dict[str, Any] = {"epochs": 3, "batch_size": 16}
    nets, alone = [everything() for _ in range(2)], [everything() for _ in range(2)]
    for _ in zip(
        *(train(net, Adam(), X, T, seed=i, **options) for i, net in enumerate(nets)), strict=True
    ):
        pass
    for i, net in enumerate(alone):
        fit(net, Adam(), X, T, seed=i, **options)
        np.testing.assert_array_equal(net.arena.values, nets[i].arena.values)

    class Inside(Callback):
        def batch_end(self, progress: Progress) -> None:
            if progress.step == 7:
                self.found = trained(5)

    inside = Inside()
    np.testing.assert_array_equal(trained(4, [inside]), trained(4))
    np.testing.assert_array_equal(inside.found, trained(5))


def global_state() -> tuple[Any, Any]:
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    return random.getstate(), (legacy["state"]["key"].tobytes(), legacy["state"]["pos"])


def test_the_global_generators_are_neither_used_nor_touched() -> None:
    def run() -> Array:
        data = Data(validation_size=0.2).load(seed=3)
        assert data.validation is not None
        body = Sequential([Dense(16, init=LSUV()), BatchNorm(), ReLU(), Dropout(0.2), Dense(10)])
        net = Network(body, SoftmaxCrossEntropy(), (64,))
        fit(
            net,
            Adam(),
            data.train.x,
            data.train.t,
            validation=(data.validation.x, data.validation.t),
            metrics=["f1_macro", "roc_auc", "top_3_accuracy"],
            class_weight="balanced",
            augmentation=ImageAugmentation((8, 8), shift=1, rotate=5, elastic=0.5, elastic_sigma=2),
            average=EMA(0.9),
            gradient_accumulation_steps=2,
            epochs=2,
        )
        return net.arena.values.copy()

    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = global_state()
        results.append(run())
        assert global_state() == before
    np.testing.assert_array_equal(results[0], results[1])


WORKER = """
import numpy as np
from layerkit import *
from layerkit.progress import Progress

def work(seed):
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    body = Sequential([Standardize(), Dense(16), ReLU(), Dropout(0.3), Dense(3)])
    net = Network(body, SoftmaxCrossEntropy(), (4,)).initialize(seed)
    fit(net, Adam(), x, t, epochs=2, batch_size=16, seed=seed)
    return net.arena.values.tobytes(), net.predict_proba(x).tobytes()

def ask(net, x):
    return net.predict_proba(x)
"""


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of threads, by fork
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_other_processes_find_the_same_numbers(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"worker_{method}"
    (tmp_path / f"{name}.py").write_text(WORKER)
    monkeypatch.syspath_prepend(tmp_path)
    worker: Any = __import__(name)
    expected = [worker.work(seed) for seed in range(4)]
    net = everything()
    fit(net, Adam(), X, T, epochs=1)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        assert list(pool.map(worker.work, range(4))) == expected
        answer = pool.submit(worker.ask, net, X).result()
    np.testing.assert_array_equal(answer, net.predict_proba(X))


# Many steps


def tiny() -> Network:
    return Network(Sequential([Dense(4), Dropout(0.1), Dense(2)]), SoftmaxCrossEntropy(), (2,))


class Meter(Callback):
    """Resident memory in bytes, page faults and open files at the end of each epoch."""

    def train_begin(self, progress: Progress) -> None:
        self.resident: list[int] = []
        self.faults: list[int] = []
        self.files: list[int] = []

    def epoch_end(self, progress: Progress) -> None:
        self.faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident.append(pages * resource.getpagesize())
        self.files.append(len(os.listdir("/proc/self/fd")))


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.slow
def test_a_hundred_thousand_steps_leave_nothing_behind() -> None:
    x, t = RNG.normal(size=(1000, 2)), RNG.integers(0, 2, 1000)
    meter = Meter()
    options: dict[str, Any] = {"batch_size": 1, "measure_train": False, "callbacks": [meter]}
    fit(tiny(), Adam(), x, t, epochs=110, **options)
    assert meter.resident[-1] - meter.resident[9] < 500_000  # 5 bytes for each step
    assert (meter.faults[-1] - meter.faults[9]) / 100_000 < 0.01
    assert meter.files[-1] == meter.files[9]


def test_steps_leave_no_object_behind() -> None:
    net, optimizer = tiny(), Adam()

    def steps(number: int) -> int:
        for _ in range(number):
            train_step(net, optimizer, X[:5, :2], T[:5] > 0)
        fit(net, SGD(), X[:, :2], T > 0, epochs=number // 100, batch_size=10)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    steps(100)
    before = steps(100)
    assert steps(300) - before < 1000  # bytes, for 390 steps
    tracemalloc.stop()


@linux
def test_checkpoints_leave_no_file_open(tmp_path: Path) -> None:
    meter = Meter()
    checkpoints = Checkpoints(folder=str(tmp_path), every=5)
    fit(
        tiny(),
        Adam(),
        X[:, :2],
        T > 0,
        epochs=5,
        batch_size=10,
        callbacks=[meter],
        checkpoints=checkpoints,
    )
    assert len(set(meter.files)) == 1
