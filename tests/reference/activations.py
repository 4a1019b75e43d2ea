"""Write activations.npz: activations and their gradients by PyTorch and JAX, in float64.

Run by hand, with torch and jax installed: ``python tests/reference/activations.py``
A key is the configuration of a layer and what is stored: x, dy, y, dx, and each parameter and its
gradient.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

Function = Callable[..., Any]

HARD = [0.1, 1e-3, 1e-8, 1e-30, 2.9, 7.0, 40.0, 750.0, 1e4]
LIBRARY: list[tuple[dict[str, Any], Function]] = [
    ({"type": "Identity"}, torch.nn.Identity()),
    ({"type": "Sigmoid"}, torch.sigmoid),
    ({"type": "Tanh"}, torch.tanh),
    ({"type": "Softsign"}, F.softsign),
    ({"type": "ReLU"}, F.relu),
    ({"type": "LeakyReLU"}, F.leaky_relu),
    ({"type": "LeakyReLU", "negative_slope": 0.3}, lambda x: F.leaky_relu(x, 0.3)),
    ({"type": "ReLU6"}, F.relu6),
    ({"type": "SquaredReLU"}, lambda x: F.relu(x).square()),
    ({"type": "CELU"}, F.celu),
    ({"type": "ELU"}, F.elu),
    ({"type": "ELU", "alpha": 2.5}, lambda x: F.elu(x, 2.5)),
    ({"type": "SELU"}, F.selu),
    ({"type": "GELU"}, F.gelu),
    ({"type": "GELU", "approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
    ({"type": "Softplus"}, lambda x: F.softplus(x, threshold=500)),
    ({"type": "Softplus", "beta": 3.0}, lambda x: F.softplus(x, 3, 500)),
    ({"type": "SiLU"}, F.silu),
    ({"type": "Mish"}, F.mish),
    ({"type": "HardSwish"}, F.hardswish),
    ({"type": "HardTanh"}, F.hardtanh),
    ({"type": "HardTanh", "min_val": -0.5, "max_val": 2.0}, lambda x: F.hardtanh(x, -0.5, 2.0)),
    ({"type": "HardShrink"}, F.hardshrink),
    ({"type": "HardShrink", "threshold": 1.5}, lambda x: F.hardshrink(x, 1.5)),
    ({"type": "SoftShrink"}, F.softshrink),
    ({"type": "SoftShrink", "threshold": 1.5}, lambda x: F.softshrink(x, 1.5)),
    ({"type": "TanhShrink"}, F.tanhshrink),
    ({"type": "Threshold"}, lambda x: F.threshold(x, 1.0, 0.0)),
    ({"type": "Threshold", "threshold": -0.2, "value": 3.0}, lambda x: F.threshold(x, -0.2, 3.0)),
    ({"type": "LogSigmoid"}, F.logsigmoid),
    ({"type": "ArcTan"}, torch.atan),
    ({"type": "Sinusoid"}, torch.sin),
    ({"type": "PReLU"}, lambda x, a: F.prelu(x, a)),
    ({"type": "Softmax"}, lambda x: F.softmax(x, -1)),
    ({"type": "LogSoftmax"}, lambda x: F.log_softmax(x, -1)),
    ({"type": "Softmin"}, lambda x: F.softmin(x, -1)),
    ({"type": "GLU"}, F.glu),
]


def halves(gate: Function) -> Function:
    def gated(x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, -1)
        return a * gate(b)

    return gated


def sinc(x: torch.Tensor) -> torch.Tensor:
    return torch.sinc(x / torch.pi)


def smooth_tanh(x: torch.Tensor) -> torch.Tensor:
    return (torch.exp(0.5 * x) - torch.exp(-x)) / (torch.exp(0.7 * x) + torch.exp(-2 * x))


def elish(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x >= 0, F.silu(x), torch.expm1(x) * torch.sigmoid(x))


def isrlu(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x >= 0, x, x / torch.sqrt(1 + 3 * x * x))


def sqnl(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x.abs() < 2, x - x * x.abs() / 4, x.sign())


def srelu(x: Any, tl: Any, al: Any, tr: Any, ar: Any) -> Any:
    return torch.where(x > tr, tr + ar * (x - tr), torch.where(x < tl, tl + al * (x - tl), x))


def apl(x: Any, slopes: Any, bends: Any) -> Any:
    hinges = torch.relu(bends[:, None] - x)
    return torch.relu(x) + (slopes[:, None] * hinges).sum(0)


def sparsemax(x: torch.Tensor) -> torch.Tensor:
    """By bisection for the support, then tau as its mean."""
    low, high = x.amax(-1, keepdim=True) - 1, x.amax(-1, keepdim=True)
    for _ in range(100):
        middle = (low + high) / 2
        above = (x - middle).clamp(min=0).sum(-1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    kept = (x > low.detach()).double()
    tau = ((x * kept).sum(-1, keepdim=True) - 1) / kept.sum(-1, keepdim=True)
    return (x - tau) * kept


FORMULAS: list[tuple[dict[str, Any], Function]] = [
    ({"type": "LeCunTanh"}, lambda x: 1.7159 * torch.tanh(2 * x / 3)),
    ({"type": "SmoothTanh", "a": 0.5, "b": 1.0, "c": 0.7, "d": 2.0}, smooth_tanh),
    ({"type": "GELU", "approximate": "sigmoid"}, lambda x: x * torch.sigmoid(1.702 * x)),
    ({"type": "SiLU", "beta": 1.5}, lambda x: x * torch.sigmoid(1.5 * x)),
    ({"type": "ELiSH"}, elish),
    ({"type": "Gaussian"}, lambda x: torch.exp(-x * x)),
    ({"type": "Sinc"}, sinc),
    ({"type": "BentIdentity"}, lambda x: (torch.sqrt(x * x + 1) - 1) / 2 + x),
    ({"type": "ISRU", "alpha": 3.0}, lambda x: x / torch.sqrt(1 + 3 * x * x)),
    ({"type": "ISRLU", "alpha": 3.0}, isrlu),
    ({"type": "SQNL"}, sqnl),
    ({"type": "SoftExponential", "alpha": 0.3}, lambda x: torch.expm1(0.3 * x) / 0.3 + 0.3),
    ({"type": "SoftExponential", "alpha": -0.1}, lambda x: torch.log(1 + 0.1 * (x - 0.1)) / 0.1),
    ({"type": "PReLU", "shared": False}, lambda x, a: torch.where(x > 0, x, a * x)),
    ({"type": "SReLU"}, srelu),
    ({"type": "APL"}, apl),
    ({"type": "Sparsemax"}, sparsemax),
    ({"type": "Maxout", "pieces": 3}, lambda x: x.unflatten(-1, (-1, 3)).amax(-1)),
    ({"type": "ReGLU"}, halves(F.relu)),
    ({"type": "GEGLU"}, halves(F.gelu)),
    ({"type": "SwiGLU"}, halves(F.silu)),
    ({"type": "Bilinear"}, halves(lambda b: b)),
]
BY_JAX: list[tuple[dict[str, Any], Function]] = [
    ({"type": "Squareplus"}, jax.nn.squareplus),
    ({"type": "Squareplus", "b": 0.1}, lambda x: jax.nn.squareplus(x, 0.1)),
    # PyTorch's own factors of these are in float32
    ({"type": "CELU", "alpha": 0.3}, lambda x: jax.nn.celu(x, 0.3)),
    ({"type": "HardSigmoid"}, jax.nn.hard_sigmoid),
]
PARAMS: dict[str, dict[str, tuple[int, ...]]] = {
    "PReLU": {"a": (1,)},
    "PReLU, not shared": {"a": (6,)},
    "SReLU": {"tl": (6,), "al": (6,), "tr": (6,), "ar": (6,)},
    "APL": {"slopes": (2, 6), "bends": (2, 6)},
}


def store(data: dict[str, Any], key: str, values: dict[str, Any]) -> None:
    data.update({f"{key} {name}": np.asarray(value) for name, value in values.items()})


def by_torch(config: dict[str, Any], f: Function, x: Any, rng: Any) -> dict[str, Any]:
    name = config["type"] + (", not shared" if config.get("shared") is False else "")
    params = {name: rng.normal(size=shape) for name, shape in PARAMS.get(name, {}).items()}
    inputs = [torch.tensor(v, requires_grad=True) for v in (x, *params.values())]
    y = f(*inputs)
    dy = rng.normal(size=y.shape)
    gradients = torch.autograd.grad(y, inputs, torch.tensor(dy))
    found = {f"d{name}": g for name, g in zip(["x", *params], gradients, strict=True)}
    return {"x": x, "dy": dy, "y": y.detach()} | params | found


def by_jax(f: Function, rng: Any) -> dict[str, Any]:
    x = np.array([[*HARD, *(-v for v in HARD)]])
    y, vjp = jax.vjp(f, x)
    dy = rng.normal(size=x.shape)
    return {"x": x, "dy": dy, "y": y, "dx": vjp(jax.numpy.asarray(dy))[0]}


def main() -> None:
    """Compute and write everything."""
    jax.config.update("jax_enable_x64", True)
    rng, data = np.random.default_rng(0), dict[str, Any]()
    for config, f in LIBRARY + FORMULAS:
        x = 2 * rng.normal(size=(6, 6))
        if (config, f) in LIBRARY:
            x = np.concatenate(
                [x, rng.permutation(HARD * 4).reshape(6, 6) * rng.choice([-1, 1], (6, 6))]
            )
        store(data, json.dumps(config), by_torch(config, f, x, rng))
    for config, f in BY_JAX:
        store(data, json.dumps(config), by_jax(f, rng))
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **data)


if __name__ == "__main__":
    main()
