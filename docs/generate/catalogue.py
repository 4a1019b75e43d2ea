"""The catalogue of the atlas: its classes, their order, and what is drawn of each."""

import importlib
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from docs.generate.pictures import WINDOW, Line
from layerkit import (
    APL,
    CELU,
    ELU,
    ISRLU,
    ISRU,
    SQNL,
    ArcTan,
    Average,
    BinaryStep,
    ChainedSchedule,
    Configurable,
    Constant,
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    CyclicSchedule,
    ExponentialSchedule,
    Gaussian,
    HardSigmoid,
    HardTanh,
    Initializer,
    InverseSqrtSchedule,
    InverseTimeSchedule,
    Layer,
    LeakyReLU,
    LeCunTanh,
    LinearSchedule,
    LogSoftmax,
    Loss,
    Maxout,
    MultiStepSchedule,
    OneCycleSchedule,
    Optimizer,
    PolynomialSchedule,
    ReLU6,
    Schedule,
    Sigmoid,
    SiLU,
    Sinc,
    Sinusoid,
    SmoothTanh,
    SoftExponential,
    Softplus,
    Softsign,
    Squareplus,
    SReLU,
    StepSchedule,
    Tanh,
    WarmupStableDecaySchedule,
)
from layerkit.config.tables import choices_for
from layerkit.guidance import is_own
from layerkit.layers.activations.gated import GLU
from layerkit.layers.activations.rows import RowActivation

FAMILIES: dict[type[Configurable], dict[str, str]] = {
    Layer: {
        "layers.activations.rectifiers": "ReLU and its relatives",
        "layers.activations.learned": "Learned rectifiers",
        "layers.activations.smooth": "Smooth relatives of ReLU",
        "layers.activations.swish": "Swish and its relatives",
        "layers.activations.sigmoids": "S-shaped",
        "layers.activations.curves": "Lines, waves, shrinking",
        "layers.activations.rows": "Activations of a whole row",
        "layers.activations.gated": "Gated linear units",
    },
    Optimizer: {
        "optimizers.classic": "Gradient descent and its momenta",
        "optimizers.adaptive": "Divided by the size of past gradients",
        "optimizers.adam": "Adam",
        "optimizers.adam_variants": "Variants of Adam",
        "optimizers.signs": "Sign-based",
        "optimizers.layerwise": "Layer-wise",
        "optimizers.lbfgs": "Second-order",
    },
    Schedule: {
        "optimizers.schedules.plain": "For a run of any length",
        "optimizers.schedules.ending": "Down to the end of the run",
        "optimizers.schedules.composed": "In several phases",
    },
    Loss: {
        "losses.regression": "Targets that are numbers",
        "losses.binary": "Labels that are true or false",
        "losses.classes": "Classes that exclude each other",
        "losses.class_variants": "Variants for such classes",
    },
    Initializer: {
        "initializers.plain": "Independent of the shape",
        "initializers.scaled": "By the number of inputs and outputs",
        "initializers.matrices": "Matrices",
    },
}
"""The modules with the classes of each kind, in the order of the page, and their headings."""

SETTINGS: dict[type[Configurable], list[Any]] = {
    APL: [APL(hinges=2, a=Constant(-0.3))],
    BinaryStep: [BinaryStep(), BinaryStep(straight_through=True)],
    CELU: [CELU(), CELU(alpha=0.5), CELU(alpha=2.0)],
    ELU: [ELU(), ELU(alpha=0.5), ELU(alpha=2.0)],
    HardTanh: [HardTanh(), HardTanh(min_val=-2.0, max_val=2.0)],
    ISRLU: [ISRLU(), ISRLU(alpha=4.0)],
    ISRU: [ISRU(), ISRU(alpha=4.0)],
    LeakyReLU: [LeakyReLU(), LeakyReLU(0.2)],
    Maxout: [Maxout(3)],
    SReLU: [SReLU(a_right=Constant(0.4))],
    SiLU: [SiLU(), SiLU(beta=0.5), SiLU(beta=5.0)],
    SmoothTanh: [SmoothTanh(), SmoothTanh(c=1.5, d=1.5), SmoothTanh(a=0.5, c=0.5)],
    SoftExponential: [SoftExponential(), SoftExponential(0.0), SoftExponential(-0.5)],
    Softplus: [Softplus(), Softplus(beta=3.0)],
    Squareplus: [Squareplus(), Squareplus(b=0.5)],
    ChainedSchedule: [
        ChainedSchedule(
            [ConstantSchedule(), CosineSchedule(end=0.3), CosineSchedule()], milestones=[30, 60]
        )
    ],
    ConstantSchedule: [ConstantSchedule(), ConstantSchedule(0.5)],
    CosineRestartsSchedule: [
        CosineRestartsSchedule(period=25),
        CosineRestartsSchedule(period=15, growth=2),
    ],
    CosineSchedule: [CosineSchedule(), CosineSchedule(warmup=20, end=0.2)],
    CyclicSchedule: [
        CyclicSchedule(up=10),
        CyclicSchedule(up=10, mode="triangular2"),
        CyclicSchedule(up=5, down=15, mode="exp_range", gamma=0.97),
    ],
    ExponentialSchedule: [ExponentialSchedule(gamma=0.98), ExponentialSchedule(0.5, every=10)],
    InverseSqrtSchedule: [InverseSqrtSchedule(warmup=10), InverseSqrtSchedule(warmup=30)],
    InverseTimeSchedule: [InverseTimeSchedule(decay=0.02), InverseTimeSchedule(decay=0.2)],
    LinearSchedule: [LinearSchedule(), LinearSchedule(warmup=20, end=0.2)],
    MultiStepSchedule: [MultiStepSchedule([40, 70]), MultiStepSchedule([40, 70, 85], gamma=0.5)],
    OneCycleSchedule: [OneCycleSchedule(), OneCycleSchedule(rise=0.5, curve="linear")],
    PolynomialSchedule: [
        PolynomialSchedule(power=2.0),
        PolynomialSchedule(power=0.5),
        PolynomialSchedule(power=2.0, warmup=20, end=0.2),
    ],
    StepSchedule: [StepSchedule(every=40), StepSchedule(every=20, gamma=0.5)],
    WarmupStableDecaySchedule: [
        WarmupStableDecaySchedule(warmup=10),
        WarmupStableDecaySchedule(warmup=10, decay=0.5),
    ],
}
"""The objects that are drawn of a class, if not the one with its defaults."""

WINDOWS = {
    ReLU6: (-5.0, 10.0, -1.5, 7.5),
    **dict.fromkeys((Sigmoid, HardSigmoid), (-5.0, 5.0, -0.25, 1.25)),
    **dict.fromkeys((Tanh, SmoothTanh, Softsign, ISRU, SQNL), (-5.0, 5.0, -1.25, 1.25)),
    **dict.fromkeys((LeCunTanh, ArcTan, HardTanh), (-5.0, 5.0, -2.25, 2.25)),
    **dict.fromkeys((Gaussian, Sinusoid), (-5.0, 5.0, -1.25, 1.25)),
    BinaryStep: (-5.0, 5.0, -0.25, 1.25),
    Sinc: (-15.0, 15.0, -1.2, 1.2),
    RowActivation: (-5.0, 5.0, -0.75, 1.25),
    LogSoftmax: (-5.0, 5.0, -5.0, 1.5),
    GLU: WINDOW,
    Maxout: WINDOW,
}
"""Other parts of the plane than usual."""

LINES = {
    RowActivation: Line([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
    Maxout: Line([-1.0, 0.25, 1.0], [-2.0, 0.0, -1.0]),
    GLU: Line([0.0, 1.0], [1.0, 0.0]),
}
"""The rows that row-wise activations are drawn for."""

Value, Usual = TypeVar("Value"), TypeVar("Usual")


def registered(kind: type[Any]) -> list[type[Any]]:
    """All of layerkit's own classes of a kind that have a place in the atlas, in its order."""
    modules = [importlib.import_module(f"layerkit.{name}") for name in FAMILIES[kind]]
    known = set(choices_for(kind))
    return [
        cls
        for module in modules
        for cls in vars(module).values()
        if isinstance(cls, type) and cls in known and cls.__module__ == module.__name__
    ]


@cache
def option_names() -> set[str]:
    """The words that formulas use as names: options, and some that stand for a number."""
    kinds = (*FAMILIES, Average)
    ours = (cls for cls in Configurable.registry.values() if not is_own(cls))
    classes = [cls for cls in ours if issubclass(cls, kinds)]
    found = {option.name for cls in classes for option in fields(cls)}
    return {name for name in found if len(name) > 1} | {
        *("d_model", "factor", "height", "kept", "n_in", "n_out"),
        *("rest", "share", "step", "variance"),
    }


def drawn(cls: type[Any]) -> list[Any]:
    """The objects of a class that its picture shows."""
    return SETTINGS[cls] if cls in SETTINGS else [cls()]


def for_class(table: dict[type[Any], Value], cls: type[Any], usual: Usual) -> Value | Usual:
    """The entry of a class, or of what it is derived from."""
    return next((table[base] for base in cls.__mro__ if base in table), usual)
