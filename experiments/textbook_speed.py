"""How fast layers are that are written as on the page of a textbook, run plainly and compiled.

A row of the table is a network: microseconds of one training step, the median of interleaved
rounds, with layerkit's own layers, loss and optimizer, and with the plain ones of this file.

    python experiments/textbook_speed.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from layerkit import (
    SGD,
    Array,
    Dense,
    Layer,
    LeCunNormal,
    Loss,
    Momentum,
    Network,
    Optimizer,
    Param,
    ReLU,
    Sequential,
    Shape,
    Sigmoid,
    SoftmaxCrossEntropy,
    Zeros,
    train,
)

Engine = Literal["numpy", "compiled"]


class TextbookDense(Layer):
    """y = x W + b."""

    units: int

    def build(self, shape: Shape) -> Shape:
        self.W, self.b = (
            Param((shape[-1], self.units), LeCunNormal()),
            Param((self.units,), Zeros()),
        )
        return (self.units,)

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return x @ self.W.value + self.b.value

    def backward(self, dy: Array) -> Any:
        self.W.grad = self.x.T @ dy
        self.b.grad = dy.sum(axis=0)
        return dy @ self.W.value.T if self.wants_dx else None


class TextbookSigmoid(Layer):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, x: Array, train: bool = True) -> Array:
        self.y = y = 1 / (1 + np.exp(-x))
        return y

    def backward(self, dy: Array) -> Array:
        return dy * self.y * (1 - self.y)


class TextbookReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy: Array) -> Array:
        return dy * (self.x > 0)


class TextbookCrossEntropy(Loss):
    """Softmax and cross-entropy, of targets that are 1 for the right class."""

    def targets(self, t: Any, shape: Shape) -> Array:
        return np.eye(shape[-1], dtype=np.float32)[t]

    def losses(self, z: Array, t: Array) -> Array:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.p, self.t = e / e.sum(axis=1, keepdims=True), t
        return -np.log((self.p * t).sum(axis=1))

    def gradients(self) -> Array:
        return self.p - self.t


class TextbookSGD(Optimizer):
    """w <- w - lr g."""

    lr: float = 0.05

    def update(self, w: Array, g: Array) -> None:
        w -= self.lr * g


class TextbookMomentum(Optimizer):
    """v <- beta v + (1 - beta) g; w <- w - lr v."""

    lr: float = 0.1
    beta: float = 0.9
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v[...] = self.beta * v + (1 - self.beta) * g
        w -= self.lr * v


def network(loss: Loss, dense: Callable[[int], Layer], activation: Any, *sizes: int) -> Network:
    """Return a network of dense layers of these sizes."""
    layers = [layer for units in sizes[1:] for layer in (dense(units), activation())]
    return Network(Sequential(layers[:-1]), loss, shape=sizes[:1])


def steps(net: Network, optimizer: Optimizer, engine: Engine, batch: int) -> Callable[[], Any]:
    """Return a function that trains for an epoch of ten steps."""
    rng, (features,), classes = np.random.default_rng(0), net.shape, net.body.output_shape[-1]
    x, t = rng.random((10 * batch, features), np.float32), rng.integers(0, classes, 10 * batch)
    options: Any = {"batch_size": batch, "measure_train": False, "epochs": 10**6}
    return iter(train(net, optimizer, x, t, engine=engine, **options)).__next__


def row(name: str, plain: Any, own: Any, batch: int, rounds: int) -> str:
    """Return a row of the table: `plain` and `own` make a network and its optimizer."""
    engines: tuple[Engine, ...] = ("numpy", "compiled")
    pairs: list[tuple[Network, Optimizer]] = [make() for make in (own, own, plain, plain)]
    sides = [
        steps(net, optimizer, engine, batch)
        for (net, optimizer), engine in zip(pairs, 2 * engines, strict=True)
    ]
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            found.append((time.perf_counter() - start) / 10 * 1e6)
    return f"{name:24}" + "".join(f"{statistics.median(found[3:]):12.0f}" for found in times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    small, deep = (784, 64, 10), (*[32] * 21, 10)
    print(f"{'':24}{'layerkit':>12}{'compiled':>12}{'textbook':>12}{'compiled':>12}")
    with threadpool_limits(1):
        print(
            row(
                "784-64-10, batch 128",
                lambda: (
                    network(TextbookCrossEntropy(), TextbookDense, TextbookSigmoid, *small),
                    TextbookMomentum(),
                ),
                lambda: (network(SoftmaxCrossEntropy(), Dense, Sigmoid, *small), Momentum()),
                128,
                rounds,
            )
        )
        print(
            row(
                "20 layers of 32, batch 32",
                lambda: (
                    network(TextbookCrossEntropy(), TextbookDense, TextbookReLU, *deep),
                    TextbookSGD(),
                ),
                lambda: (network(SoftmaxCrossEntropy(), Dense, ReLU, *deep), SGD(0.05)),
                32,
                rounds,
            )
        )
