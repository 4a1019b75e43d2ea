"""Make losses.json: losses and gradients by PyTorch, which tests/test_losses.py compares with.

Run by hand, where torch is installed: python tests/reference/losses.py

Weighted means are made without any weights: PyTorch sees each row as often as its weight says.
What PyTorch has no function for is written as a formula, and differentiated by PyTorch.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

CASES: list[dict[str, Any]] = []
WEIGHTS = [2, 0, 1, 3, 1, 1, 2, 1]
N = len(WEIGHTS)


def normal(*shape: int, seed: int) -> Any:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape).round(3))


def add(loss: dict[str, Any], z: Any, t: Any, mean: Callable[..., Any], **options: Any) -> None:
    """Add a loss with these outputs and targets: as a mean over all rows, and a weighted one."""
    for weights in (None, WEIGHTS):
        times = torch.tensor(weights or [1] * N)
        leaf = z.clone().requires_grad_()
        value = mean(leaf.repeat_interleave(times, 0), t.repeat_interleave(times, 0), **options)
        value.backward()
        data = {"z": z, "t": t, "dz": leaf.grad}
        CASES.append(
            {
                "loss": loss,
                "sample_weight": weights,
                "value": value.item(),
                **{name: array.tolist() for name, array in data.items()},
            }
        )


def divergence(z: Any, t: Any) -> Any:
    return functional.kl_div(torch.log_softmax(z, 1), t, reduction="batchmean")


def focal(z: Any, t: Any, gamma: float) -> Any:
    ce = functional.cross_entropy(z, t, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


def hinge(z: Any, t: Any, power: int) -> Any:
    return (functional.relu(1 - (2 * t - 1) * z) ** power).mean()


def log_cosh(z: Any, t: Any) -> Any:
    return (torch.logaddexp(z - t, t - z) - math.log(2)).mean()


def pinball(z: Any, t: Any, q: Any) -> Any:
    t = t.reshape(len(z), -1)
    return (q * functional.relu(t - z) + (1 - q) * functional.relu(z - t)).mean()


def gaussian(z: Any, t: Any) -> Any:
    mean, log_variance = z.chunk(2, 1)
    return functional.gaussian_nll_loss(mean, t, log_variance.exp(), eps=1e-300)


def cosine(z: Any, t: Any) -> Any:
    return (1 - functional.cosine_similarity(z, t)).mean()


def logits() -> Any:
    """Ordinary ones, zeros, ties, and large ones: 40, 750, 1e4."""
    z = 2 * normal(N, 4, seed=1)
    z[1] = 0
    z[2] = torch.tensor([3.0, 3.0, -1.0, 3.0])
    z[3] = torch.tensor([40.0, -40.0, 0.0, 39.0])
    z[4] = torch.tensor([-750.0, 750.0, 0.0, 750.0])
    z[5] = torch.tensor([1e4, -1e4, 1e4, 0.0])
    return z


def classes() -> None:
    z, t = logits(), torch.tensor([0, 3, 2, 3, 0, 1, 1, 2])
    rows = torch.softmax(normal(N, 4, seed=2), 1)
    rows[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    rows[1] = torch.tensor([0.5, 0.0, 0.0, 0.5])
    c = [1.0, 0.5, 0.0, 3.0]
    settings: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"label_smoothing": 0.1}, {"label_smoothing": 0.1}),
        ({"class_weight": c}, {"weight": torch.tensor(c)}),
        (
            {"class_weight": c, "label_smoothing": 0.3},
            {"weight": torch.tensor(c), "label_smoothing": 0.3},
        ),
    ]
    for ours, torchs in settings:
        table = {"type": "SoftmaxCrossEntropy", **ours}
        add(table, z, t, functional.cross_entropy, **torchs)
        add(table, z, rows, functional.cross_entropy, **torchs)
        for label, new in [(-100, torch.where(t == 1, -100, t)), (3, t)]:
            options = {**torchs, "ignore_index": label}
            add({**table, "ignore_label": label}, z, new, functional.cross_entropy, **options)
    add({"type": "KLDivergence"}, z, rows, divergence)
    for gamma in (0.0, 0.5, 1.0, 2.0, 5.0):
        # at probabilities of 1 autograd knows no derivative of powers below 1
        tame = z if gamma >= 1 else z.clamp(-8, 8)
        add({"type": "Focal", "gamma": gamma}, tame, t, focal, gamma=gamma)
    for p, margin in [(1, 1.0), (1, 2.5), (2, 1.0), (2, 0.5)]:
        table = {"type": "MultiMargin", "power": p, "margin": margin}
        add(table, z, t, functional.multi_margin_loss, p=p, margin=margin)


def labels() -> None:
    z, t = logits(), (normal(N, 4, seed=3) > 0).double()
    w = [1.0, 0.0, 3.0, 0.2]
    for targets in (t, torch.sigmoid(normal(N, 4, seed=4))):
        bce, table = functional.binary_cross_entropy_with_logits, {"type": "BinaryCrossEntropy"}
        add(table, z, targets, bce)
        add({**table, "pos_weight": w}, z, targets, bce, pos_weight=torch.tensor(w))
    z[6] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    add({"type": "Hinge"}, z, t, hinge, power=1)
    add({"type": "SquaredHinge"}, z, t, hinge, power=2)


def numbers(D: int) -> None:
    z, t = normal(N, D, seed=5), normal(N, D, seed=6)
    z[1] = t[1]
    z[2] = t[2] = 0
    z[3] = t[3] + 0.5
    z[4], t[4] = 1e4, -1e4
    z[5], t[5] = -1e4, 0.25
    z[6] = t[6] + 1e-8
    add({"type": "MeanSquaredError"}, z, t, functional.mse_loss)
    add({"type": "MeanAbsoluteError"}, z, t, functional.l1_loss)
    for delta in (1.0, 0.5):
        add({"type": "Huber", "delta": delta}, z, t, functional.huber_loss, delta=delta)
    add({"type": "LogCosh"}, z, t, log_cosh)
    for q in (0.1, 0.5):
        add({"type": "Quantile", "quantiles": [q]}, z, t, pinball, q=q)
    levels = [0.05, 0.5, 0.9]
    if len(levels) == D:
        add({"type": "Quantile", "quantiles": levels}, z, t[:, 0], pinball, q=torch.tensor(levels))
        z[1], z[2], z[3] = t[1], -3 * t[1], 1e-4 * z[3]
        t[2] = t[1]
        add({"type": "CosineSimilarity"}, z, t, cosine)
    z, variances = normal(N, D, seed=5), normal(N, D, seed=9)
    z[1] = t[1]
    variances[3], variances[5] = 300, -30
    add({"type": "GaussianNLL"}, torch.cat([z, variances], 1), t, gaussian)
    rates, counts = normal(N, D, seed=7), normal(N, D, seed=8).abs().ceil()
    rates[3], rates[4], counts[1] = 20, -1e4, 0
    add({"type": "Poisson"}, rates, counts, functional.poisson_nll_loss)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    classes()
    labels()
    numbers(D=1)
    numbers(D=3)
    lines = ",\n".join(json.dumps(case, allow_nan=False) for case in CASES)
    path = Path(__file__).with_suffix(".json")
    path.write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')
