"""The whole contract, for everything that layerkit registers."""

import importlib
import pkgutil
import sys
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import (
    SGD,
    Adam,
    Configurable,
    Constant,
    Dense,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    Layer,
    LeCunNormal,
    LeCunUniform,
    Loss,
    Momentum,
    Nesterov,
    Ones,
    Optimizer,
    ReLU,
    RMSProp,
    Sequential,
    Shape,
    Sigmoid,
    SoftmaxCrossEntropy,
    Zeros,
)
from layerkit.config import choices_for
from layerkit.testing import check_initializer, check_layer, check_loss, check_optimizer

LAYERS: list[tuple[Layer, Shape]] = [
    (Dense(4), (3,)),
    (Dense(1, init=HeUniform()), (1,)),
    (ReLU(), (3,)),
    (ReLU(), (2, 3, 4)),
    (Sigmoid(), (3,)),
    (Sigmoid(), (2, 3, 4)),
    (Sequential([Dense(5), Sigmoid(), Dense(4), ReLU(), Dense(2)]), (3,)),
    (Sequential([ReLU(), Sequential([Dense(3)]), Sigmoid()]), (4,)),
]
LOSSES: list[tuple[Loss, Shape, Any]] = [
    (SoftmaxCrossEntropy(), (3,), [0, 2, 1, 2, 0]),
    (SoftmaxCrossEntropy(), (2,), np.array([1, 0, 1], np.uint8)),
    (SoftmaxCrossEntropy(), (3,), np.eye(3)),
    (SoftmaxCrossEntropy(), (4,), np.full((5, 4), 0.25, np.float32)),
    # not quite 1 in sum: what is reported has to be what is differentiated all the same
    (SoftmaxCrossEntropy(), (3,), np.array([[0.5008, 0.5, 0], [0, 0.9992, 0], [0.2, 0.3, 0.5]])),
]
OPTIMIZERS: list[Optimizer] = [
    SGD(),
    SGD(lr=4.0),
    Momentum(),
    Momentum(lr=4.0, beta=0.0),
    Nesterov(),
    RMSProp(),
    RMSProp(lr=0.001, alpha=0.0),
    Adam(),
    Adam(lr=0.1, beta1=0.0, beta2=0.0, eps=1e-3),
]
INITIALIZERS: list[Initializer] = [
    Zeros(),
    Ones(),
    Constant(0.25),
    LeCunNormal(),
    LeCunUniform(),
    HeNormal(),
    HeUniform(),
    GlorotNormal(),
    GlorotUniform(),
]


def named(value: object) -> str:
    return repr(value) if isinstance(value, Configurable) else ""


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers_keep_the_contract(layer: Layer, shape: Shape) -> None:
    check_layer(layer, shape)


@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=named)
def test_losses_keep_the_contract(loss: Loss, shape: Shape, targets: Any) -> None:
    check_loss(loss, shape, targets)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=named)
def test_optimizers_keep_the_contract(optimizer: Optimizer) -> None:
    check_optimizer(optimizer)


@pytest.mark.parametrize("shape", [(40, 30), (7,), (3, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("init", INITIALIZERS, ids=named)
def test_initializers_keep_the_contract(init: Initializer, shape: Shape) -> None:
    check_initializer(init, shape)


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        (Layer, [layer for layer, _ in LAYERS]),
        (Loss, [loss for loss, _, _ in LOSSES]),
        (Optimizer, OPTIMIZERS),
        (Initializer, INITIALIZERS),
    ],
)
def test_everything_registered_is_checked(kind: Any, examples: list[Configurable]) -> None:
    for module in pkgutil.walk_packages(layerkit.__path__, "layerkit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    registered = {cls for cls in choices_for(kind) if is_layerkits(cls)}
    assert registered == {type(example) for example in examples}
    assert registered <= {getattr(layerkit, name) for name in layerkit.__all__}


def is_layerkits(cls: type) -> bool:
    """Whether the class stands in layerkit's code, not in an example of its documentation."""
    module = sys.modules.get(cls.__module__)
    return cls.__module__.startswith("layerkit.") and hasattr(module, cls.__name__)
