"""How fast the activations are, beside their formulas written in NumPy.

A formula and its derivative are written here as one would write them without layerkit, so that
nothing overflows. Forward and backward of both are timed in turn, in many rounds.

    python experiments/activation_speed.py
    python experiments/activation_speed.py --out experiments/results/activations.md
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

import layerkit as lk
from layerkit import Layer

Function = Callable[[Any], Any]

SHAPE = (128, 512)
REPEATS = 10
"""Calls in a row, of which a round takes the mean."""


# What several formulas have in common


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def swish_slope(x: Any, beta: float = 1.0) -> Any:
    """The derivative of x sigmoid(beta x)."""
    s = sigmoid(beta * x)
    return s * (1 + beta * x * (1 - s))


def tanh_slope(x: Any) -> Any:
    """1 - tanh(x)^2."""
    return 1 - np.tanh(x) ** 2


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where x > 0, else alpha (exp(x) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_slope(x: Any, alpha: float = 1.0) -> Any:
    """1 where x > 0, else alpha exp(x)."""
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def divide(above: Any, below: Any, otherwise: float) -> Any:
    """Above / below, where that is not 0 / 0."""
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below != 0)


# What takes more than a line


def sigmoid_slope(x: Any) -> Any:
    """Of Sigmoid."""
    y = sigmoid(x)
    return y * (1 - y)


def smooth_tanh(x: Any) -> Any:
    """SmoothTanh, with the defaults."""
    p, q = np.exp(x), np.exp(-x)
    return (p - q) / (p + q)


def mish_slope(x: Any) -> Any:
    """Of Mish."""
    t = np.tanh(softplus(x))
    return t + x * (1 - t * t) * sigmoid(x)


def elish_slope(x: Any) -> Any:
    """Of ELiSH."""
    s = sigmoid(x)
    return elu_slope(x) * s + elu(x) * s * (1 - s)


def gelu_slope(x: Any) -> Any:
    """Of GELU."""
    return ndtr(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def gelu_tanh(x: Any) -> Any:
    """GELU("tanh")."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def gelu_tanh_slope(x: Any) -> Any:
    """Of GELU("tanh")."""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    u = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u


def sqnl(x: Any) -> Any:
    """SQNL."""
    u = np.clip(x, -2, 2)
    return u - u * np.abs(u) / 4


SCALE, ALPHA = lk.SELU.SCALE, lk.SELU.ALPHA

FORMULAS: list[tuple[Layer, Function, Function]] = [
    (lk.BinaryStep(), lambda x: (x >= 0).astype(x.dtype), np.zeros_like),
    (lk.Sigmoid(), sigmoid, sigmoid_slope),
    (lk.Tanh(), np.tanh, tanh_slope),
    (
        lk.LeCunTanh(),
        lambda x: 1.7159 * np.tanh(2 / 3 * x),
        lambda x: 1.7159 * 2 / 3 * tanh_slope(2 / 3 * x),
    ),
    (
        lk.SmoothTanh(),
        smooth_tanh,
        lambda x: 1 - smooth_tanh(x) ** 2,
    ),
    (lk.Softsign(), lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    (lk.ArcTan(), np.arctan, lambda x: 1 / (1 + x * x)),
    (
        lk.ISRU(),
        lambda x: x / np.sqrt(1 + x * x),
        lambda x: 1 / np.sqrt(1 + x * x) / (1 + x * x),
    ),
    (
        lk.ISRLU(),
        lambda x: np.where(x > 0, x, x / np.sqrt(1 + x * x)),
        lambda x: np.where(x > 0, 1, 1 / np.sqrt(1 + x * x) / (1 + x * x)),
    ),
    (
        lk.SQNL(),
        sqnl,
        lambda x: 1 - np.abs(np.clip(x, -2, 2)) / 2,
    ),
    (lk.HardTanh(), lambda x: np.clip(x, -1, 1), lambda x: np.abs(x) < 1),
    (
        lk.HardSigmoid(),
        lambda x: np.clip(x + 3, 0, 6) / 6,
        lambda x: (np.abs(x) < 3) * (1 / 6),
    ),
    (
        lk.HardSwish(),
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(np.abs(x) < 3, (2 * x + 3) / 6, x > 0),
    ),
    (lk.ReLU(), lambda x: np.maximum(x, 0), lambda x: x > 0),
    (
        lk.LeakyReLU(),
        lambda x: np.maximum(x, 0.01 * x),
        lambda x: np.where(x > 0, 1, np.float32(0.01)),
    ),
    (lk.ReLU6(), lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6)),
    (lk.SquaredReLU(), lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0)),
    (lk.Threshold(), lambda x: np.where(x > 1, x, 0), lambda x: x > 1),
    (lk.ELU(), elu, elu_slope),
    (lk.SELU(), lambda x: SCALE * elu(x, ALPHA), lambda x: SCALE * elu_slope(x, ALPHA)),
    (lk.CELU(), elu, elu_slope),
    (lk.Softplus(), softplus, sigmoid),
    (lk.LogSigmoid(), lambda x: -softplus(-x), lambda x: sigmoid(-x)),
    (
        lk.Squareplus(),
        lambda x: (x + np.sqrt(x * x + 4)) / 2,
        lambda x: (1 + x / np.sqrt(x * x + 4)) / 2,
    ),
    (lk.SiLU(), lambda x: x * sigmoid(x), swish_slope),
    (lk.Mish(), lambda x: x * np.tanh(softplus(x)), mish_slope),
    (lk.ELiSH(), lambda x: elu(x) * sigmoid(x), elish_slope),
    (lk.GELU(), lambda x: x * ndtr(x), gelu_slope),
    (lk.GELU("tanh"), gelu_tanh, gelu_tanh_slope),
    (lk.GELU("sigmoid"), lambda x: x * sigmoid(1.702 * x), lambda x: swish_slope(x, 1.702)),
    (
        lk.BentIdentity(),
        lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x,
        lambda x: x / (2 * np.sqrt(x * x + 1)) + 1,
    ),
    (lk.SoftExponential(), lambda x: np.expm1(0.5 * x) / 0.5 + 0.5, lambda x: np.exp(0.5 * x)),
    (lk.Gaussian(), lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    (lk.Sinusoid(), np.sin, np.cos),
    (
        lk.Sinc(),
        lambda x: divide(np.sin(x), x, 1),
        lambda x: divide(x * np.cos(x) - np.sin(x), x * x, 0),
    ),
    (lk.HardShrink(), lambda x: x * (np.abs(x) > 0.5), lambda x: np.abs(x) > 0.5),
    (
        lk.SoftShrink(),
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        lambda x: np.abs(x) > 0.5,
    ),
    (lk.TanhShrink(), lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2),
]
"""An activation, its formula and the formula of its derivative.

All that have neither random nor learned slopes, but Identity, of which there is nothing to time.
"""


@dataclass(frozen=True)
class Result:
    """Microseconds of an activation, forward and backward, and its ratios to the formulas."""

    name: str
    time: float
    both: float
    forward: float
    backward: float


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    for _ in range(REPEATS):
        call()
    return (time.perf_counter() - start) / REPEATS


def compare(layer: Layer, f: Function, slope: Function, rounds: int) -> Result:
    """Let both take turns, after a look whether they agree."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *SHAPE), np.float32)
    np.testing.assert_allclose(layer.forward(x), f(x), atol=1e-3)
    np.testing.assert_allclose(layer.backward(dy), dy * slope(x), atol=1e-3)
    calls: list[Callable[[], object]] = [
        *(lambda: layer.forward(x), lambda: f(x)),
        *(lambda: layer.backward(dy), lambda: dy * slope(x)),
    ]
    times = [[seconds(call) for call in calls] for _ in range(rounds)]
    return Result(
        repr(layer),
        1e6 * median(ours[0] + ours[2] for ours in times),
        median((y + dx) / (y_bare + dx_bare) for y, y_bare, dx, dx_bare in times),
        median(y / y_bare for y, y_bare, _, _ in times),
        median(dx / dx_bare for _, _, dx, dx_bare in times),
    )


def table(results: list[Result], rounds: int) -> str:
    """Write the table, the slowest first."""
    lines = [
        "# Speed of the activations\n",
        f"layerkit {lk.__version__}, NumPy {np.__version__}, Python {platform.python_version()}; "
        "one thread.",
        f"Medians of {rounds} rounds, in which an activation and its formula in bare NumPy take",
        f"turns, with arrays {SHAPE} in float32. A ratio is the time of the activation divided by",
        "that of the formula, of forward and backward together and of each alone. Where it is",
        "below 1, the activation keeps for backward what the formula computes again, or needs",
        "fewer passes; where it is above, it is exact where the formula loses digits, overflows",
        "or hides a nan.\n",
        "| activation | µs | both | forward | backward |",
        "|---|---:|---:|---:|---:|",
    ]
    for r in sorted(results, key=lambda result: -result.both):
        lines.append(
            f"| {r.name} | {r.time:.0f} | {r.both:.2f} | {r.forward:.2f} | {r.backward:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=51, help="default: 51")
    parser.add_argument("--out", type=Path, help="a file to write the table to")
    args = parser.parse_args()
    np.ones(2**21)  # and freed: the allocator no longer returns small arrays, as after loading data
    with threadpool_limits(1):
        results = [compare(*formulas, args.rounds) for formulas in FORMULAS]
    text = table(results, args.rounds)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
