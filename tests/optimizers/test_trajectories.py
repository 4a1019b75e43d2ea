"""The paths of optimizers through a hilly landscape: PyTorch's and optax's, step by step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import Arena, Array, Configurable, Optimizer, Param, Zeros, from_config
from layerkit.config.tables import choices_for
from tests.reference.landscape import height, slope

REFERENCE = Path(__file__).parents[1] / "reference"
DATA = np.load(REFERENCE / "optimizers.npz")
ABOUT: dict[str, Any] = json.loads(str(DATA["about"]))
CASES: dict[str, dict[str, Any]] = ABOUT["cases"]

OURS = {c.__name__ for c in choices_for(Optimizer) if c.__module__.startswith("layerkit.opt")}


def follow(optimizer: Optimizer, start: Array, again: bool = False) -> Array:
    """Return where the steps of the reference lead."""
    shapes = {name: tuple(shape) for name, shape in ABOUT["shapes"].items()}
    arena = Arena({name: Param(shape, Zeros()) for name, shape in shapes.items()}, "float64")
    arena.values = start
    w, g, path = arena.values, arena.grads, []

    def evaluate() -> float:
        g[:] = slope(w)
        return float(height(w))

    optimizer.bind(arena)
    for t in range(1, max(ABOUT["steps"]) + 1):
        evaluate()
        optimizer.step(w, g, evaluate if again else None)
        if t in ABOUT["steps"]:
            path.append(w.copy())
    return np.stack(path)


@pytest.mark.parametrize(
    "name", CASES, ids=[f"{name}-{case['optimizer']['type']}" for name, case in CASES.items()]
)
def test_the_path_is_that_of_the_reference(name: str) -> None:
    case = CASES[name]
    for start, path in zip(DATA["starts"], DATA[name], strict=True):
        kind: Any = Configurable.registry[case["optimizer"]["type"]]
        ours = follow(from_config(case["optimizer"], kind), start, case["again"])
        np.testing.assert_allclose(ours, path, rtol=0, atol=1e-10 * abs(path).max())


def test_every_optimizer_has_a_path() -> None:
    named = {case["optimizer"]["type"] for case in CASES.values()}
    assert named == OURS
