"""How fast layerkit is, beside PyTorch, JAX, scikit-learn, the tutorial's code and the floor.

Each side runs in a process of its own, all with the same number of threads, and only one works at
a time: a round of each in turn, so that a disturbance of the machine meets all of them alike.

    python experiments/speed.py --threads 1 2 --data-dir FOLDER_WITH_MNIST
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from layerkit import Array, Network

PAUSE = 0.1
"""Seconds before each round: the threads of the side before may still be spinning."""
MEMORY_ROUNDS = 3
"""Peak memory hardly varies."""


@dataclass(frozen=True)
class Task:
    """A network and how to train it. `lr` belongs to v <- beta v + (1 - beta) g."""

    sizes: tuple[int, ...]
    activation: str
    momentum: float
    lr: float
    batch: int
    steps: int


SMALL = Task((784, 64, 10), "sigmoid", momentum=0.9, lr=4.0, batch=128, steps=100)
WIDE = Task((784, 512, 512, 10), "relu", momentum=0.0, lr=0.05, batch=128, steps=40)
DEEP = Task((32,) * 20 + (10,), "relu", momentum=0.0, lr=0.05, batch=32, steps=200)
TASKS = {"a": SMALL, "b": WIDE, "c": DEEP, "d": SMALL, "f": SMALL}
TITLES = {
    "a": "Training step, 784-64-10, sigmoid, momentum, batch 128",
    "b": "Training step, 784-512-512-10, ReLU, SGD, batch 128",
    "c": "Training step, 20 layers of 32, ReLU, SGD, batch 32",
    "d": "Probabilities of one example, 784-64-10",
    "e": "Import in a fresh process",
    "f": "Peak memory: load MNIST, an epoch as in the first table, accuracy and loss on all of it",
}
UNITS = dict.fromkeys("abcd", ("µs", 1e6)) | {"e": ("s", 1.0), "f": ("MB", 1e-6)}
PREDICTIONS = 2000
"""A round of one example at a time."""


@dataclass(frozen=True)
class Side:
    """One library's version of a task: `x` and `inputs` hold examples as it likes them best."""

    x: Any
    inputs: Callable[[Array], Any]
    train: Callable[[], None]
    """Trains for one epoch."""
    probabilities: Callable[[Any], Any]
    """Returns the probabilities of the classes, a row for each example of `inputs`."""


def scaled(x: Array, dtype: type = np.float32) -> Array:
    """Return images of bytes as 0 to 1, anything else as it is."""
    return np.divide(x, 255, dtype=dtype) if x.dtype == np.uint8 else x.astype(dtype)


def matrices(task: Task) -> list[Array]:
    """Initial weights (inputs, outputs), N(0, 1 / inputs)."""
    rng, pairs = np.random.default_rng(0), zip(task.sizes, task.sizes[1:], strict=False)
    return [rng.standard_normal(pair, np.float32) / np.float32(pair[0] ** 0.5) for pair in pairs]


def layerkit(task: Task, x: Array, t: Array, threads: int) -> Side:
    """`train` without measuring and `Network.predict_proba`; images stay bytes up to the batch."""
    network, train = trained(task, x, t, "numpy")
    return Side(x, lambda x: x, train, network.predict_proba)


def compiled(task: Task, x: Array, t: Array, threads: int) -> Side:
    """`train` with the compiled engine, and `Network.predictor`: arrays are made once."""
    network, train = trained(task, x, t, "compiled")
    return Side(x, lambda x: x, train, network.predictor())


def on_jax(task: Task, x: Array, t: Array, threads: int) -> Side:
    """`train` with the engine of JAX: the layers' recorded steps, compiled; images stay bytes."""
    network, train = trained(task, x, t, "jax")
    return Side(x, lambda x: x, train, network.predict_proba)


def trained(task: Task, x: Array, t: Array, engine: Any) -> tuple[Network, Callable[[], None]]:
    """Return a network of layerkit, and a function that trains it for an epoch."""
    import layerkit as lk

    activation = {"sigmoid": lk.Sigmoid, "relu": lk.ReLU}[task.activation]
    layers = [layer for units in task.sizes[1:] for layer in (lk.Dense(units), activation())]
    body, loss = lk.Sequential(layers[:-1]), lk.SoftmaxCrossEntropy()
    network = lk.Network(body, loss, shape=task.sizes[:1])
    optimizer = lk.Momentum(task.lr, task.momentum) if task.momentum else lk.SGD(task.lr)
    options: dict[str, Any] = {"epochs": 10**6, "batch_size": task.batch, "measure_train": False}
    epochs = iter(lk.train(network, optimizer, x, t, engine=engine, **options))

    def train() -> None:
        next(epochs)

    return network, train


def pytorch(
    task: Task, x: Array, t: Array, threads: int, change: Callable[[Any], Any] = lambda step: step
) -> Side:
    """Eager; batches by `index_select` from one float32 tensor, no DataLoader, fused SGD."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    activation = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[task.activation]
    pairs = zip(task.sizes, task.sizes[1:], strict=False)
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair), activation())]
    model, loss = nn.Sequential(*layers[:-1]), nn.CrossEntropyLoss()
    lr = task.lr * (1 - task.momentum)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=task.momentum, fused=True)
    examples, targets = torch.from_numpy(scaled(x)), torch.tensor(t).long()

    forward = change(lambda x, t: loss(model(x), t))

    def train() -> None:
        for rows in torch.randperm(len(examples)).split(task.batch):
            optimizer.zero_grad(set_to_none=True)
            forward(examples.index_select(0, rows), targets.index_select(0, rows)).backward()
            optimizer.step()

    def probabilities(x: Any) -> Any:
        with torch.inference_mode():
            return model(x).softmax(1)

    return Side(examples, lambda x: torch.from_numpy(scaled(x)), train, probabilities)


def compiled_pytorch(task: Task, x: Array, t: Array, threads: int) -> Side:
    """PyTorch with `torch.compile` of model and loss."""
    import torch

    return pytorch(task, x, t, threads, change=torch.compile)


def jax(task: Task, x: Array, t: Array, threads: int) -> Side:
    """`jit`; the steps of an epoch are one `lax.scan`, compiled before the first round."""
    import jax
    from jax import numpy as jnp
    from jax.tree_util import tree_map

    activation = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[task.activation]

    def logits(params: Any, x: Any) -> Any:
        for W, b in params[:-1]:
            x = activation(x @ W + b)
        W, b = params[-1]
        return x @ W + b

    def loss(params: Any, x: Any, t: Any) -> Any:
        log_p = jax.nn.log_softmax(logits(params, x))
        return -(jax.nn.one_hot(t, task.sizes[-1]) * log_p).sum(1).mean()

    def epoch(state: Any, x: Any, t: Any, order: Any) -> Any:
        def step(state: Any, rows: Any) -> Any:
            params, v = state
            g = jax.grad(loss)(params, x[rows], t[rows])
            if beta := task.momentum:
                v = g = tree_map(lambda v, g: beta * v + (1 - beta) * g, v, g)
            return (tree_map(lambda w, g: w - task.lr * g, params, g), v), None

        return jax.lax.scan(step, state, order)[0]

    def softmax(params: Any, x: Any) -> Any:
        return jax.nn.softmax(logits(params, x))

    run_epoch, run_softmax = jax.jit(epoch), jax.jit(softmax)
    params = [(jnp.asarray(W), jnp.zeros(W.shape[1])) for W in matrices(task)]
    state = params, tree_map(jnp.zeros_like, params) if task.momentum else None
    examples, targets = jnp.asarray(scaled(x)), jnp.asarray(t)
    rng = np.random.default_rng(0)

    def train() -> None:
        nonlocal state
        order = rng.permutation(len(examples) // task.batch * task.batch)
        batches = order.reshape(-1, task.batch)
        state = jax.block_until_ready(run_epoch(state, examples, targets, batches))

    def probabilities(x: Any) -> Any:
        return run_softmax(state[0], x).block_until_ready()

    return Side(examples, lambda x: jnp.asarray(scaled(x)), train, probabilities)


def keras(task: Task, x: Array, t: Array, threads: int) -> Side:
    """Keras 3 on JAX, by `compile` and `fit`."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    layers = [keras.layers.Dense(units, activation=task.activation) for units in task.sizes[1:-1]]
    model = keras.Sequential([*layers, keras.layers.Dense(task.sizes[-1])])
    lr = task.lr * (1 - task.momentum)
    optimizer = keras.optimizers.SGD(lr, momentum=task.momentum)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss)
    examples = scaled(x)

    def train() -> None:
        model.fit(examples, t, batch_size=task.batch, verbose=0)

    return Side(examples, scaled, train, lambda x: model.predict(x, verbose=0))


def flax(task: Task, x: Array, t: Array, threads: int) -> Side:
    """Flax NNX with Optax: a step by `nnx.jit`, in a loop over the batches."""
    import jax
    import optax
    from flax import nnx
    from jax import numpy as jnp

    activation = {"sigmoid": nnx.sigmoid, "relu": nnx.relu}[task.activation]
    rngs, pairs = nnx.Rngs(0), zip(task.sizes, task.sizes[1:], strict=False)
    layers = [layer for pair in pairs for layer in (nnx.Linear(*pair, rngs=rngs), activation)]
    model = nnx.Sequential(*layers[:-1])
    rule = optax.sgd(task.lr * (1 - task.momentum), task.momentum or None)
    optimizer = nnx.Optimizer(model, rule, wrt=nnx.Param)

    def take(model: Any, optimizer: Any, x: Any, t: Any) -> None:
        def loss(model: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), t).mean()

        optimizer.update(model, nnx.grad(loss)(model))

    step: Any = nnx.jit(take)
    examples, targets, rng = scaled(x), t.astype(np.int32), np.random.default_rng(0)

    def train() -> None:
        order = rng.permutation(len(examples) // task.batch * task.batch)
        for rows in order.reshape(-1, task.batch):
            step(model, optimizer, examples[rows], targets[rows])
        jax.block_until_ready(nnx.state(model))

    run = nnx.jit(lambda model, x: nnx.softmax(model(x)))
    return Side(examples, lambda x: jnp.asarray(scaled(x)), train, lambda x: run(model, x))


def scikit_learn(task: Task, x: Array, t: Array, threads: int) -> Side:
    """`MLPClassifier.partial_fit`, one epoch a call, with alpha=0; it checks its data each time."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        task.sizes[1:-1],
        {"sigmoid": "logistic", "relu": "relu"}[task.activation],
        solver="sgd",
        alpha=0,
        batch_size=task.batch,
        learning_rate_init=task.lr * (1 - task.momentum),
        momentum=task.momentum,
        nesterovs_momentum=False,
        random_state=0,
    )
    examples = scaled(x)

    def train() -> None:
        model.partial_fit(examples, t, classes=range(task.sizes[-1]))

    return Side(examples, scaled, train, model.predict_proba)


def tutorial(task: Task, x: Array, t: Array, threads: int) -> Side:
    """The computations of the tutorial as it prints them: float64, an example per column."""
    W1, W2 = (W.T.astype(np.float64) for W in matrices(task))
    w = {"W1": W1, "b1": np.zeros((len(W1), 1)), "W2": W2, "b2": np.zeros((len(W2), 1))}
    v = {name: np.zeros(param.shape) for name, param in w.items()}
    kept: dict[str, Array] = {}
    examples = scaled(x, np.float64)
    targets = np.array(t[:, None] == np.arange(len(W2)), np.float32)
    rng = np.random.default_rng(0)

    def forward(x: Array) -> Array:
        kept["X"] = x
        kept["Z1"] = np.matmul(w["W1"], x.T) + w["b1"]
        kept["A1"] = 1 / (1 + np.exp(-kept["Z1"]))
        z = np.matmul(w["W2"], kept["A1"]) + w["b2"]
        e = np.exp(z - z.max())
        return np.asarray(e / np.sum(e, axis=0))

    def gradients(y: Array, output: Array) -> dict[str, Array]:
        share, z = 1.0 / len(y), kept["Z1"]
        dZ2 = output - y.T
        dZ1 = np.matmul(w["W2"].T, dZ2) * (np.exp(-z) / (np.exp(-z) + 1) ** 2)
        return {
            "W1": share * np.matmul(dZ1, kept["X"]),
            "b1": share * np.sum(dZ1, axis=1, keepdims=True),
            "W2": share * np.matmul(dZ2, kept["A1"].T),
            "b2": share * np.sum(dZ2, axis=1, keepdims=True),
        }

    def train() -> None:
        order, size = rng.permutation(len(examples)), task.batch
        x, y = examples[order], targets[order]
        for begin in range(0, len(x), size):
            end = min(begin + size, len(x) - 1)  # leaves out the last example, as printed
            for name, g in gradients(y[begin:end], forward(x[begin:end])).items():
                v[name] = task.momentum * v[name] + (1.0 - task.momentum) * g
                w[name] = w[name] - task.lr * v[name]

    return Side(examples, lambda x: scaled(x, np.float64), train, lambda x: forward(x).T)


def floor(task: Task, x: Array, t: Array, threads: int) -> Side:
    """No network: only the products of matrices and the gathering of batches, in NumPy."""
    weights = matrices(task)
    dW = [np.empty_like(W) for W in weights]
    buffer = np.empty((task.batch, *x.shape[1:]), x.dtype)
    memory = np.empty((task.batch, *x.shape[1:]), np.float32)
    rng = np.random.default_rng(0)

    def train() -> None:
        order = rng.permutation(len(x))
        for start in range(0, len(x), task.batch):
            rows = order[start : start + task.batch]
            batch, _ = np.take(x, rows, axis=0, out=buffer[: len(rows)], mode="clip"), t[rows]
            if x.dtype == np.uint8:
                batch = np.divide(batch, 255, out=memory[: len(rows)], dtype=np.float32)
            kept = [batch]
            for W in weights:
                kept.append(np.dot(kept[-1], W))
            dy = kept.pop()
            for i in reversed(range(len(weights))):
                np.dot(kept[i].T, dy, out=dW[i])
                if i > 0:
                    dy = np.dot(dy, weights[i].T)

    def products(x: Array) -> Array:
        for W in weights:
            x = np.dot(x, W)
        return x

    return Side(x, scaled, train, products)


SIDES = {
    "layerkit": layerkit,
    "compiled layerkit": compiled,
    "layerkit on JAX": on_jax,
    "PyTorch": pytorch,
    "torch.compile": compiled_pytorch,
    "JAX": jax,
    "Keras on JAX": keras,
    "Flax NNX": flax,
    "scikit-learn": scikit_learn,
    "tutorial": tutorial,
    "floor": floor,
}
ABSENT = {
    "tutorial": "bce",
    "floor": "ef",
    "compiled layerkit": "ef",
    "layerkit on JAX": "de",
    "torch.compile": "def",
    "Keras on JAX": "def",
    "Flax NNX": "def",
}
"""Works that a side doesn't do: the tutorial's code has two layers."""
IMPORTS = {
    "layerkit": "layerkit",
    "NumPy": "numpy",
    "PyTorch": "torch",
    "JAX": "jax",
    "scikit-learn": "sklearn.neural_network",
}

NEEDS = IMPORTS | {
    "layerkit on JAX": "jax",
    "torch.compile": "torch",
    "Keras on JAX": "keras",
    "Flax NNX": "flax",
}
"""The module of each side; the others need NumPy alone."""


def prepare(folder: Path, data_dir: str | None) -> str:
    """Write MNIST to `folder` as plain IDX files, or noise of its shape; return a remark."""
    from layerkit import LayerkitError
    from layerkit.data import Data

    try:
        data = Data(name="mnist").load(seed=0, data_dir=data_dir)
        sets, remark = [(s.x, s.t) for s in (data.train, data.test)], "The images are MNIST's."
    except LayerkitError as error:
        rng, remark = np.random.default_rng(0), f"MNIST is not available ({error}): the "
        remark += "images are noise of its shape, on which the times don't depend."
        sets = [
            (rng.integers(0, 256, (n, 784), np.uint8), rng.integers(0, 10, n, np.uint8))
            for n in (60_000, 10_000)
        ]
    for part, (x, t) in zip(("train", "t10k"), sets, strict=True):
        for stem, array in (("images-idx3", x.reshape(-1, 28, 28)), ("labels-idx1", t)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            content = head + np.ascontiguousarray(array, np.uint8).tobytes()
            (folder / f"{part}-{stem}-ubyte").write_bytes(content)
    return remark


def read(folder: Path, part: str) -> tuple[Array, Array]:
    """Return images and labels as `prepare` wrote them, without help from layerkit."""
    x = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8, offset=16)
    return x.reshape(-1, 784), np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)


def examples(task: Task, folder: Path) -> tuple[Array, Array]:
    """Return as many examples as the steps of a round use: images, or noise for other shapes."""
    n, width = task.batch * task.steps, task.sizes[0]
    if width == 784:
        x, t = read(folder, "train")
        return x[:n].copy(), t[:n].copy()
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, width), np.float32), rng.integers(0, 10, n, np.uint8)


def answer(name: str, work: str, folder: Path, threads: int) -> None:
    """Print, for each line of standard input, the seconds of a step and the cores it kept busy."""
    task = TASKS[work]
    side = SIDES[name](task, *examples(task, folder), threads)
    run, steps = side.train, task.steps
    run()
    if work == "d":
        row, steps = side.inputs(scaled(examples(task, folder)[0][:1])), PREDICTIONS

        def run() -> None:
            for _ in range(PREDICTIONS):
                side.probabilities(row)

    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        run()
        seconds = time.perf_counter() - start
        print(seconds / steps, (time.process_time() - cpu) / seconds, flush=True)


def peak_memory(name: str, folder: Path, threads: int) -> None:
    """Print the bytes that this process needed at most, for an epoch on MNIST and an evaluation."""
    import resource

    if name == "layerkit":
        from layerkit.data import Data

        data = Data(name="mnist").load(seed=0, data_dir=str(folder))
        (x, t), test = (data.train.x, data.train.t), (data.test.x, data.test.t)
    else:
        (x, t), test = read(folder, "train"), read(folder, "t10k")
    side = SIDES[name](SMALL, x, t, threads)
    del x  # a side with a copy of its own needs no other
    side.train()
    evaluate(side, side.x, t)
    evaluate(side, side.inputs(test[0]), test[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak if sys.platform == "darwin" else 1024 * peak, 1)


def evaluate(side: Side, x: Any, t: Array) -> tuple[float, float]:
    """Return accuracy and loss."""
    p = np.asarray(side.probabilities(x))
    return float((p.argmax(axis=1) == t).mean()), -float(np.log(p[np.arange(len(t)), t]).mean())


def environment(threads: int) -> dict[str, str]:
    """Return the variables that give every library this number of threads."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NPROC",  # XLA's
    )
    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    xla = {"XLA_FLAGS": one} if threads == 1 else {}
    return os.environ | dict.fromkeys(names, str(threads)) | xla


@dataclass(frozen=True)
class Result:
    """The times of a side; `ratio`, `lowest` and `highest` compare it with layerkit by rounds."""

    work: str
    threads: int
    side: str
    median: float
    ratio: float
    lowest: float
    highest: float
    cores: float
    figures: list[float]


@contextmanager
def clocked(name: str, work: str, folder: str, threads: int) -> Iterator[Callable[[], list[float]]]:
    """Yield a function that does a round: it returns the result and how many cores were busy.

    The process stays and does a round when asked; for imports and memory each round has its own.
    """
    command = [sys.executable, __file__, "--threads", str(threads), "--worker", name, work, folder]
    if work == "e":
        code = f"import time; s = time.perf_counter(); import {IMPORTS[name]}"
        command = [sys.executable, "-c", f"{code}; print(time.perf_counter() - s, 1)"]
    pipe, env = subprocess.PIPE, environment(threads)

    def heard(line: str) -> str:
        return line or sys.exit(f"{name} failed in work {work}: its error is above.")

    def figures(line: str) -> list[float]:
        return [float(word) for word in heard(line).split()]

    if work in "ef":
        yield lambda: figures(subprocess.run(command, stdout=pipe, text=True, env=env).stdout)
        return
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as process:
        lines: Iterator[str] = iter(process.stdout or ())

        def ask() -> list[float]:
            print("go", file=process.stdin, flush=True)
            return figures(next(lines, ""))

        heard(next(lines, ""))
        yield ask


def installed(module: str) -> bool:
    """Look for a package without importing it."""
    return find_spec(module.partition(".")[0]) is not None


def sides(work: str) -> dict[str, bool]:
    """Return the sides that take part in a work, and whether they are installed."""
    if work == "e":
        return {name: installed(module) for name, module in IMPORTS.items()}
    names = [name for name in SIDES if work not in ABSENT.get(name, "")]
    return {name: installed(NEEDS.get(name, "numpy")) for name in names}


def compare(work: str, threads: int, rounds: int, folder: str) -> list[Result]:
    """Let the sides take turns. The first round is not counted: files may not be in memory yet."""
    with ExitStack() as stack:
        clocks = {
            name: stack.enter_context(clocked(name, work, folder, threads))
            for name, present in sides(work).items()
            if present
        }
        found: dict[str, list[list[float]]] = {name: [] for name in clocks}
        for _ in range(rounds + 1):
            for name, clock in clocks.items():
                time.sleep(PAUSE)
                found[name].append(clock())
    figures = {name: [figure for figure, _ in pairs[1:]] for name, pairs in found.items()}
    results = []
    for name, own in figures.items():
        ratios = [a / b for a, b in zip(own, figures["layerkit"], strict=True)]
        cores = median(cores for _, cores in found[name][1:])
        compared = median(ratios), min(ratios), max(ratios)
        results.append(Result(work, threads, name, median(own), *compared, cores, own))
    return results


def section(results: list[Result]) -> str:
    """Write the table of a work."""
    work, threads = results[0].work, results[0].threads
    unit, factor = UNITS[work]
    of = {result.side: result for result in results}
    lines = [
        f"## {TITLES[work]} ({threads} thread{'s' * (threads > 1)})\n",
        f"| | {unit} | times layerkit | lowest | highest |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, present in sides(work).items():
        if present:
            r = of[name]
            size = f"{factor * r.median:,.0f}" if work in "abcf" else f"{factor * r.median:.3g}"
            lines.append(f"| {name} | {size} | {r.ratio:.2f} | {r.lowest:.2f} | {r.highest:.2f} |")
        else:
            lines.append(f"| {name} | not installed | | | |")
    least = min(result.cores for result in results)
    if least < 0.9:
        lines.append(f"\nThe machine was busy: a side got {least:.2f} of a core. Measure again.")
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    """Describe the machine on which the numbers were measured."""
    from threadpoolctl import threadpool_info

    from layerkit import __version__

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    blas: dict[str, Any] = next((lib for lib in threadpool_info() if lib["user_api"] == "blas"), {})
    packages = {"numpy": "numpy", "torch": "torch", "jax": "jax", "scikit-learn": "sklearn"}
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "blas": " ".join(str(blas.get(key)) for key in ("internal_api", "version", "architecture")),
        "versions": {"python": platform.python_version(), "layerkit": __version__}
        | {name: version(name) for name, module in packages.items() if installed(module)},
    }


def picture(results: list[Result], folder: Path) -> None:
    """Draw the ratios of the works a to d at the first number of threads."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    shown = [r for r in results if r.work in "abcd" and r.threads == results[0].threads]
    works = sorted({r.work for r in shown})
    counts = [sum(r.work == work for r in shown) for work in works]
    figure, axes = plt.subplots(
        len(works),
        figsize=(8, 0.28 * sum(counts) + len(works)),
        height_ratios=counts,
        squeeze=False,
    )
    colours = {"layerkit": "#0072B2", "floor": "#BBBBBB"}
    for work, ax in zip(works, axes[:, 0], strict=True):
        bars = sorted((r for r in shown if r.work == work), key=lambda r: -r.ratio)
        names = [r.side for r in bars]
        drawn = ax.barh(
            names, [r.ratio for r in bars], color=[colours.get(n, "#E69F00") for n in names]
        )
        ax.bar_label(drawn, [f"{r.ratio:.2f}" for r in bars], padding=4)
        ax.axvline(1, color="#0072B2", linewidth=1, linestyle=":", zorder=0)
        ax.set_title(TITLES[work], loc="left", fontsize=10, fontweight="bold")
        ax.set_xlim(0, 1.1 * max(r.ratio for r in bars))
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel(f"time, layerkit = 1 (threads: {shown[0].threads}); shorter is faster")
    figure.tight_layout()
    figure.savefig(folder / "speed.png", dpi=150)


def introduction(about: dict[str, Any], remark: str, rounds: int) -> str:
    """Say what was measured, where and how."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        "# Speed\n",
        f"{about['cpu']}, {about['cores']} cores, {about['system']}; {about['blas']}; {versions}.",
        f"Medians of {rounds} interleaved rounds (memory: {MEMORY_ROUNDS}), each side in its own",
        "process with the same number of threads. *Times layerkit*: the ratio to layerkit in the",
        f"same round; median, lowest, highest. {remark}\n",
        *(f"- **{name}**: {inspect.getdoc(side)}" for name, side in SIDES.items()),
    ]
    return "\n".join(lines) + "\n"


def prepared(folder: str, data_dir: str | None) -> str:
    """Let another process prepare the data: this one has to stay small.

    On Linux the peak memory of a process is at least the size of the one that started it.
    """
    command = [sys.executable, __file__, "--prepare", folder]
    command += ["--data-dir", data_dir] if data_dir else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("The data could not be prepared: the error is above.")
    return done.stdout.strip()


def bench(args: argparse.Namespace) -> None:
    """Measure all works, and write the table, the numbers and the picture."""
    args.out.mkdir(parents=True, exist_ok=True)
    first, *others = args.threads
    plan = [(work, first) for work in args.only]
    plan += [(work, threads) for threads in others for work in args.only if work in "abcd"]
    results, sections = [], []
    with tempfile.TemporaryDirectory() as folder:
        remark = prepared(folder, args.data_dir)
        print(remark, end="\n\n", flush=True)
        for work, threads in plan:
            rounds = MEMORY_ROUNDS if work == "f" else args.rounds
            found = compare(work, threads, rounds, folder)
            results += found
            sections.append(section(found))
            print(sections[-1], flush=True)
    about = machine()
    text = "\n".join([introduction(about, remark, args.rounds), *sections])
    (args.out / "speed.md").write_text(text, encoding="utf-8")
    figures = {"machine": about, "remark": remark, "results": [asdict(r) for r in results]}
    (args.out / "speed.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if any(work in "abcd" for work in args.only):
        picture(results, args.out)
    print(f"written: {args.out / 'speed.md'}, speed.json, speed.png")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="default: 1")
    parser.add_argument("--rounds", type=int, default=9, help="at least 7; default: 9")
    parser.add_argument(
        "--only", nargs="+", choices=TITLES, default=list(TITLES), help="default: all works"
    )
    parser.add_argument("--data-dir", help="folder of MNIST's files; default: LAYERKIT_DATA")
    results = Path(__file__).parent / "results"
    parser.add_argument("--out", type=Path, default=results, help=f"default: {results.name}")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rounds < 7:
        parser.error(f"--rounds {args.rounds}: should be at least 7, a median of fewer says little")
    if min(args.threads) < 1:
        parser.error(f"--threads {min(args.threads)}: should be at least 1")
    return args


def main() -> None:
    """Measure, or do a worker's part of it."""
    args = parse()
    if not installed("layerkit"):
        sys.exit("layerkit is not installed; in its folder: pip install -e '.[bench]'")
    if args.prepare:
        print(prepare(args.prepare, args.data_dir))
    elif args.worker:
        name, work, folder = args.worker
        if work == "f":
            peak_memory(name, Path(folder), args.threads[0])
        else:
            answer(name, work, Path(folder), args.threads[0])
    else:
        bench(args)


if __name__ == "__main__":
    main()
