"""Which one, when? Activations, initial weights, optimizers, schedules and losses, compared.

    python experiments/which.py

trains some hundred small networks on data that need no download, in a few minutes, and writes the
tables of docs/which.md. Every choice is trained with several learning rates, and the best one is
that with the highest accuracy on images held out of the training images. What is shown is measured
on the test images, as a mean over three seeds.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from layerkit import (
    ELU,
    GELU,
    SGD,
    Adam,
    AdamW,
    Array,
    CosineSchedule,
    Dense,
    DivergenceError,
    GlorotNormal,
    HeavyBall,
    HeNormal,
    Huber,
    Initializer,
    Layer,
    LeakyReLU,
    LeCunNormal,
    LinearSchedule,
    Lion,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Nesterov,
    Network,
    Normal,
    OneCycleSchedule,
    Optimizer,
    ReLU,
    RMSProp,
    Schedule,
    Sequential,
    Sigmoid,
    SiLU,
    SoftmaxCrossEntropy,
    StepSchedule,
    Tanh,
    evaluate,
    fit,
)
from layerkit.data import Data

PAGE = Path(__file__).parents[1] / "docs/which.md"
SEEDS = range(3)
EPOCHS = 20
STEPS = 36  # of an epoch
RATES = (0.001, 0.003, 0.01, 0.03)
DEEP = 10
Make = Callable[[float], Optimizer]


# training runs


@cache
def images() -> dict[str, tuple[Array, Array]]:
    """The small digits: 1,150 images for training, 287 for validation, 360 for the test."""
    digits = Data(name="digits").load(seed=0)
    x, t = digits.train.x, digits.train.t
    test = digits.test.x, digits.test.t
    return {"train": (x[:1150], t[:1150]), "validation": (x[1150:], t[1150:]), "test": test}


def hidden(
    activation: Callable[[], Layer], layers: int = 1, init: Initializer | None = None
) -> Network:
    """A network for the digits with some hidden layers of 64 units."""
    parts = [part for _ in range(layers) for part in (Dense(64, init), activation())]
    return Network(Sequential([*parts, Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))


def accuracy(network: Network, make: Make, rate: float, epochs: int) -> tuple[float, float]:
    """Return the accuracies on validation and test images in percent; guessing if it diverges."""
    found = []
    for seed in SEEDS:
        net = network.initialize(seed)
        try:
            with np.errstate(all="ignore"):
                fit(net, make(rate), *images()["train"], epochs=epochs, batch_size=32, seed=seed)
        except DivergenceError:
            found.append([10.0, 10.0])
            continue
        found.append([100 * evaluate(net, *images()[part])[0] for part in ("validation", "test")])
    validation, test = np.mean(found, axis=0)
    return float(validation), float(test)


def tried(
    network: Network, make: Make, rates: Sequence[float], epochs: int
) -> tuple[float, float, list[float]]:
    """Return the best rate, the test accuracy there, and the rates that are nearly as good."""
    found = {rate: accuracy(network, make, rate, epochs) for rate in rates}
    best = max(rates, key=lambda rate: found[rate][0])
    good = [rate for rate in rates if found[rate][0] > found[best][0] - 2]
    return best, found[best][1], good


# the tables

Rows = Iterator[Sequence[str]]


def activations(epochs: int) -> Rows:
    """Activations, in a network of one hidden layer and of ten."""
    yield "", "one hidden layer, %", f"{DEEP} hidden layers, %"
    for activation in (Sigmoid, Tanh, ReLU, LeakyReLU, ELU, SiLU, GELU):
        found = [tried(hidden(activation, n), Adam, RATES, epochs)[1] for n in (1, DEEP)]
        yield activation.__name__, *(f"{test:.1f}" for test in found)


def initializers(epochs: int) -> Rows:
    """Initial weights of a deep network: the size of the signal after it, and what is learned."""
    yield "", "ReLU: size after ten layers", "ReLU, %", "Tanh: size", "Tanh, %"
    inits = Normal(1.0), Normal(0.01), LeCunNormal(), GlorotNormal(), HeNormal()
    for init in inits:
        cells = [f"{type(init).__name__}({init.std:g})" if isinstance(init, Normal) else ""]
        cells[0] = cells[0] or type(init).__name__
        for activation in (ReLU, Tanh):
            network = hidden(activation, DEEP, init)
            inside = network.initialize(0).outputs(
                images()["train"][0], of=f"body.layers.{2 * DEEP - 1}"
            )
            cells += [f"{np.sqrt(np.mean(inside**2)):.1g}"]
            cells += [f"{tried(network, Adam, RATES[:3], epochs)[1]:.1f}"]
        yield cells


def optimizers(epochs: int) -> Rows:
    """Optimizers, each with its best rate, and the rates that are nearly as good."""
    yield "", "best rate", "test accuracy, %", "nearly as good"
    large = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    small = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]
    rules: list[tuple[type[Optimizer], list[float]]] = [
        *((rule, large) for rule in (SGD, HeavyBall, Nesterov)),
        *((rule, small) for rule in (RMSProp, Adam, AdamW, Lion)),
    ]
    for rule, rates in rules:
        best, test, good = tried(hidden(ReLU), rule, rates, epochs)
        yield rule.__name__, f"{best:g}", f"{test:.1f}", f"{min(good):g}\u00a0…\u00a0{max(good):g}"


def schedules(epochs: int) -> Rows:
    """Schedules of the learning rate, each with its best rate."""
    yield "", "best rate", "HeavyBall, %", "best rate", "Adam, %"
    steps = epochs * STEPS
    kinds: dict[str, Schedule | None] = {
        "none": None,
        "StepSchedule": StepSchedule(every=max(1, steps // 3)),
        "LinearSchedule": LinearSchedule(),
        "CosineSchedule": CosineSchedule(),
        "OneCycleSchedule": OneCycleSchedule(),
    }
    for name, kind in kinds.items():
        cells = [name]
        for rule, rates in ((HeavyBall, (0.01, 0.03, 0.1, 0.3)), (Adam, (*RATES[1:], 0.1))):
            make = partial(scheduled, rule, kind)
            best, test, _ = tried(hidden(ReLU), make, rates, epochs)
            cells += [f"{best:g}", f"{test:.1f}"]
        yield cells


def scheduled(rule: Callable[..., Optimizer], schedule: Schedule | None, rate: float) -> Optimizer:
    """An optimizer with a schedule of its learning rate, if any."""
    return rule(lr=rate, schedules={"lr": schedule} if schedule else {})


def losses(epochs: int) -> Rows:
    """Losses of numbers, with and without targets that are far off."""
    yield "", "clean targets", "5% of the targets are far off"
    for loss in (MeanSquaredError(), Huber(), MeanAbsoluteError()):
        yield type(loss).__name__, *(f"{error(loss, bad, epochs):.3f}" for bad in (0.0, 0.05))


def error(loss: Loss, bad: float, epochs: int) -> float:
    """Return the mean absolute error on clean examples, after a training run with `bad` targets."""
    errors = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, (2000, 3))
        t = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2]
        given = t[:1000] + 20 * (rng.random(1000) < bad) * rng.random(1000)
        body = Sequential([Dense(64), Tanh(), Dense(1)])
        net = Network(body, loss, shape=(3,)).initialize(seed)
        optimizer = Adam(lr=0.01, schedules={"lr": CosineSchedule()})
        fit(net, optimizer, x[:1000], given, epochs=2 * epochs, batch_size=32, seed=seed)
        errors.append(abs(net.predict(x[1000:]) - t[1000:]).mean())
    return float(np.mean(errors))


TABLES = {
    table.__name__: table for table in (activations, initializers, optimizers, schedules, losses)
}


def written(page: str, name: str, epochs: int) -> str:
    """Return the page with a table anew, after the comment with its name."""
    head, *rows = TABLES[name](epochs)
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    new, count = re.subn(rf"(<!-- {name} -->\n\n)(\|.*\n)*", rf"\g<1>{table}\n", page)
    if count != 1:
        raise ValueError(f"the page has {count} places for {name}; should have one")
    return new


def main() -> None:
    """Compute all tables, and write them into the page as they come."""
    parser = argparse.ArgumentParser(description="Compare choices, and write docs/which.md.")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each training run")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    for name in TABLES:
        page = written(options.page.read_text(encoding="utf-8"), name, options.epochs)
        options.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
