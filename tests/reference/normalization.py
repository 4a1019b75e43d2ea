"""Compute the normalizations with PyTorch, in float64: what tests/test_normalization.py reads.

Run from the root of the project, with PyTorch installed::

    python tests/reference/normalization.py
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

RNG = np.random.default_rng(0)
# what is normalized, with the features along the last axis
INPUTS: dict[str, Array] = {
    "rows": RNG.normal(size=(5, 6)),
    "two": RNG.normal(size=(2, 6)),
    "images": RNG.normal(1, 3, size=(3, 2, 4, 6)),
    "far": 1e4 + 1e-2 * RNG.normal(size=(5, 6)),
    "big": 1e18 * RNG.normal(size=(5, 6)),
    "small": 1e-4 * RNG.normal(size=(5, 6)),
    "constant features": np.where(np.arange(6) % 2, 0.1, RNG.normal(size=(5, 6))),
    "constant examples": np.where(np.arange(5)[:, None] % 2, 0.1, RNG.normal(size=(5, 6))),
    "zeros": np.zeros((5, 6)),
}
GAMMA, BETA = RNG.normal(size=6), RNG.normal(size=6)


def layers() -> dict[str, torch.nn.Module]:
    """Torch layers by our names for them; those with states are new."""
    return {
        "LayerNorm()": torch.nn.LayerNorm(6),
        "LayerNorm(eps=0.1)": torch.nn.LayerNorm(6, eps=0.1),
        "RMSNorm()": torch.nn.RMSNorm(6),
        "RMSNorm(eps=0.1)": torch.nn.RMSNorm(6, eps=0.1),
        "GroupNorm(groups=2)": torch.nn.GroupNorm(2, 6),
        "GroupNorm(groups=1, eps=0.1)": torch.nn.GroupNorm(1, 6, eps=0.1),
        "BatchNorm()": torch.nn.BatchNorm1d(6),
        "BatchNorm(momentum=0.4, eps=0.1)": torch.nn.BatchNorm1d(6, momentum=0.4, eps=0.1),
    }


def run(layer: Any, x: Array, dy: Array) -> tuple[Array, dict[str, Array]]:
    """Return y and the gradients. PyTorch has the features on the second axis, but for two."""
    last = isinstance(layer, torch.nn.LayerNorm | torch.nn.RMSNorm)
    given = torch.tensor(x, requires_grad=True)
    moved = given.flatten(1, -2).movedim(-1, 1) if x.ndim > 2 and not last else given
    layer.zero_grad()
    y = layer(moved)
    if x.ndim > 2 and not last:
        y = y.movedim(1, -1).reshape(given.shape)
    y.backward(torch.tensor(dy))
    gradients = {"dx": given.grad, "dgamma": layer.weight.grad}
    if getattr(layer, "bias", None) is not None:
        gradients["dbeta"] = layer.bias.grad
    return y.detach().numpy(), {name: grad.numpy().copy() for name, grad in gradients.items()}


def main() -> None:
    """Write one array for each result, named as in ``BatchNorm()/rows/train/dx``."""
    results: dict[str, Any] = {"gamma": GAMMA, "beta": BETA}
    for case, x in INPUTS.items():
        dy = RNG.normal(size=x.shape)
        results |= {f"{case}/x": x, f"{case}/dy": dy}
        for name, layer in layers().items():
            layer.double()
            layer.load_state_dict(
                {"weight": torch.tensor(GAMMA), "bias": torch.tensor(BETA)}
                if getattr(layer, "bias", None) is not None
                else {"weight": torch.tensor(GAMMA)},
                strict=False,
            )
            # three batches, so that running statistics have something to run through
            for factor in (1, 2, 3):
                y, gradients = run(layer, factor * x, dy)
            found = {"y": y, **gradients}
            results |= {f"{name}/{case}/train/{what}": value for what, value in found.items()}
            if isinstance(layer, torch.nn.BatchNorm1d):
                results |= {
                    f"{name}/{case}/mean": layer.running_mean.numpy().copy(),
                    f"{name}/{case}/variance": layer.running_var.numpy().copy(),
                }
                layer.eval()
                y, gradients = run(layer, x, dy)
                found = {"y": y, **gradients}
                results |= {f"{name}/{case}/eval/{what}": value for what, value in found.items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **results)


if __name__ == "__main__":
    main()
