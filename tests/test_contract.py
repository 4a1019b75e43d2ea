"""The whole contract, for everything that layerkit registers."""

import importlib
import pkgutil
import sys
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import (
    APL,
    CELU,
    ELU,
    EMA,
    GEGLU,
    GELU,
    GLU,
    ISRLU,
    ISRU,
    LAMB,
    LARS,
    LBFGS,
    LSUV,
    SELU,
    SGD,
    SQNL,
    SWA,
    Adadelta,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    Adan,
    Add,
    AlphaDropout,
    AMSGrad,
    ArcTan,
    Array,
    Average,
    BatchNorm,
    BentIdentity,
    Bilinear,
    BinaryCrossEntropy,
    BinaryStep,
    Category,
    CenteredRMSProp,
    ChainedSchedule,
    Concat,
    Configurable,
    Constant,
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    CosineSimilarity,
    CyclicSchedule,
    Date,
    Dense,
    Dropout,
    ELiSH,
    Embedding,
    ExponentialSchedule,
    Eye,
    Flatten,
    Focal,
    Gaussian,
    GaussianNLL,
    GaussianNoise,
    GlorotNormal,
    GlorotUniform,
    Graph,
    GroupNorm,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    HeavyBall,
    HeNormal,
    HeUniform,
    Hinge,
    Huber,
    Identity,
    Initializer,
    InverseSqrtSchedule,
    InverseTimeSchedule,
    Join,
    KLDivergence,
    Lambda,
    Layer,
    LayerNorm,
    LeakyReLU,
    LeCunNormal,
    LeCunTanh,
    LeCunUniform,
    LinearSchedule,
    Lion,
    LogCosh,
    LogSigmoid,
    LogSoftmax,
    Loss,
    Maxout,
    MeanAbsoluteError,
    MeanSquaredError,
    Mish,
    Momentum,
    MultiMargin,
    Multiply,
    MultiStepSchedule,
    Muon,
    NAdam,
    Nesterov,
    Normal,
    Number,
    OneCycleSchedule,
    Ones,
    Optimizer,
    Orthogonal,
    Poisson,
    PolynomialSchedule,
    PReLU,
    Quantile,
    RAdam,
    ReGLU,
    ReLU,
    ReLU6,
    Reshape,
    Residual,
    RMSNorm,
    RMSProp,
    Rprop,
    RReLU,
    Schedule,
    Sequential,
    Shape,
    Sigmoid,
    SiLU,
    Sinc,
    Sinusoid,
    SmoothTanh,
    SoftExponential,
    Softmax,
    SoftmaxCrossEntropy,
    Softmin,
    Softplus,
    SoftShrink,
    Softsign,
    Sparse,
    Sparsemax,
    SquaredHinge,
    SquaredReLU,
    Squareplus,
    SReLU,
    Standardize,
    StepSchedule,
    Sum,
    SwiGLU,
    Table,
    Take,
    Tanh,
    TanhShrink,
    Threshold,
    TruncatedNormal,
    Uniform,
    WarmupStableDecaySchedule,
    Zeros,
    from_config,
    to_config,
)
from layerkit.config.tables import choices_for
from layerkit.testing import (
    check_initializer,
    check_layer,
    check_loss,
    check_optimizer,
    check_schedule,
)

COLUMNS = [
    Category("city", ["Ulm", "Bonn"], gaps=True),
    Number("age", gaps=True),
    Date("sold", "2024-02-01", gaps=True),
    Category("street", ["a", "b", "c"], embedding=2, gaps=True),
    Date("born", "1970-01-01", cycles=["day"]),
    Category("door", ["x"], embedding=3),
]
LAYERS: list[tuple[Layer, Shape]] = [
    (Dense(4), (3,)),
    (Dense(1, init=HeUniform()), (1,)),
    (Dense(4, bias=False), (3,)),
    (Dense(4), (2, 3)),
    (Dense(2, bias=False), (2, 2, 3)),
    (ReLU(), (3,)),
    (ReLU(), (2, 3, 4)),
    (Sigmoid(), (3,)),
    (Sigmoid(), (2, 3, 4)),
    (Identity(), (3,)),
    (BinaryStep(), (3,)),
    (Tanh(), (3,)),
    (LeCunTanh(), (3,)),
    (SmoothTanh(), (3,)),
    (SmoothTanh(a=0.5, b=1.0, c=0.7, d=2.0), (2, 3)),
    (Softsign(), (3,)),
    (LeakyReLU(), (3,)),
    (LeakyReLU(negative_slope=0.3), (2, 3)),
    (PReLU(), (3,)),
    (PReLU(shared=False), (2, 3)),
    (RReLU(), (3,)),
    (RReLU(lower=0.5, upper=0.5), (2, 3)),
    (ReLU6(), (3,)),
    (SquaredReLU(), (3,)),
    (ELU(), (3,)),
    (ELU(alpha=2.0), (2, 3)),
    (CELU(), (3,)),
    (CELU(alpha=0.5), (2, 3)),
    (SELU(), (3,)),
    (GELU(), (3,)),
    (GELU(approximate="tanh"), (2, 3)),
    (GELU(approximate="sigmoid"), (3,)),
    (Softplus(), (3,)),
    (Softplus(beta=2.0), (2, 3)),
    (SiLU(), (3,)),
    (SiLU(beta=2.0), (2, 3)),
    (Mish(), (3,)),
    (ELiSH(), (3,)),
    (HardSigmoid(), (3,)),
    (HardSwish(), (3,)),
    (HardTanh(), (3,)),
    (HardTanh(min_val=-0.5, max_val=2.0), (2, 3)),
    (HardShrink(), (3,)),
    (HardShrink(threshold=0.0), (2, 3)),
    (SoftShrink(), (3,)),
    (SoftShrink(threshold=0.1), (2, 3)),
    (TanhShrink(), (3,)),
    (Threshold(), (3,)),
    (Threshold(threshold=-0.5, value=2.0), (2, 3)),
    (LogSigmoid(), (3,)),
    (Gaussian(), (3,)),
    (Sinusoid(), (3,)),
    (Sinc(), (3,)),
    (ArcTan(), (3,)),
    (BentIdentity(), (3,)),
    (ISRU(), (3,)),
    (ISRU(alpha=3.0), (2, 3)),
    (ISRLU(), (3,)),
    (ISRLU(alpha=3.0), (2, 3)),
    (SQNL(), (3,)),
    (SoftExponential(), (3,)),
    (SoftExponential(alpha=0.0), (3,)),
    (SoftExponential(alpha=-0.2), (2, 3)),
    (Squareplus(), (3,)),
    (Squareplus(b=0.1), (2, 3)),
    (SReLU(), (3,)),
    (SReLU(t_left=Constant(-0.5), a_right=Constant(0.3)), (2, 3)),
    (SReLU(t_left=Constant(0.5), t_right=Constant(-0.5)), (3,)),
    (APL(), (3,)),
    (APL(hinges=3, a=Constant(0.3)), (2, 3)),
    (Softmax(), (3,)),
    (Softmax(), (2, 4)),
    (Softmax(axis=-2), (2, 3)),
    (LogSoftmax(), (3,)),
    (LogSoftmax(), (2, 4)),
    (LogSoftmax(axis=-2), (2, 3)),
    (Softmin(), (3,)),
    (Softmin(), (2, 4)),
    (Softmin(axis=-2), (2, 3)),
    (Sparsemax(), (3,)),
    (Sparsemax(), (2, 4)),
    (Sparsemax(axis=-2), (2, 3)),
    (Maxout(), (4,)),
    (Maxout(pieces=3), (2, 6)),
    (Maxout(pieces=3, axis=-2), (6, 3)),
    (GLU(), (4,)),
    (GLU(), (2, 6)),
    (GLU(axis=-2), (4, 3)),
    (ReGLU(), (4,)),
    (GEGLU(), (4,)),
    (SwiGLU(), (2, 6)),
    (Bilinear(), (4,)),
    (Dropout(0.4), (3,)),
    (Dropout(0.0), (2, 3)),
    (AlphaDropout(0.4), (2, 3)),
    (GaussianNoise(0.3), (3,)),
    (RMSNorm(), (4,)),
    (RMSNorm(eps=0.1), (2, 3)),
    (RMSNorm(scale=False), (2, 3)),
    (RMSNorm(axes=2), (2, 2, 3)),
    (LayerNorm(), (4,)),
    (LayerNorm(eps=0.1), (2, 3)),
    (LayerNorm(scale=False, shift=False), (2, 3)),
    (LayerNorm(axes=2, scale=False), (2, 2, 3)),
    (LayerNorm(axes=2, shift=False), (2, 3)),
    (GroupNorm(2), (4,)),
    (GroupNorm(groups=3, eps=0.1), (2, 2, 3)),
    (GroupNorm(groups=2, scale=False, shift=False), (2, 4)),
    (BatchNorm(), (3,)),
    (BatchNorm(momentum=1.0, eps=0.1), (2, 2, 3)),
    (BatchNorm(scale=False), (2, 3)),
    (BatchNorm(scale=False, shift=False), (3,)),
    (Standardize(), (3,)),
    (Standardize(), (2, 3)),
    (Table([Number("age"), Number("height", gaps=True), Date("born", "1970-01-01")]), (3,)),
    (Table(COLUMNS), (6,)),
    (Flatten(), (3,)),
    (Flatten(), (2, 3, 2)),
    (Reshape((3, 2)), (2, 3)),
    (Take([2, 0]), (3,)),
    (Take([-1, 0, 0, 2]), (2, 3)),
    (Take([1], axis=-2), (2, 3)),
    (Embedding(n=5, dim=2), (3,)),
    (Embedding(n=5, dim=1), (2, 3)),
    (Lambda(np.sin, np.cos), (2, 3)),
    (Sequential([Dense(4), BatchNorm(), Sigmoid(), Dropout(), Dense(2)]), (3,)),
    (Sequential([Dense(5), Sigmoid(), Dense(4), ReLU(), Dense(2)]), (3,)),
    (Sequential([ReLU(), Sequential([Dense(3)]), Sigmoid()]), (4,)),
    (Residual(Sequential([Dense(2), Sigmoid(), Dense(3)])), (3,)),
    (Residual(Dense(2), shortcut=Dense(2)), (3,)),
    (Residual(Sigmoid()), (2, 3)),
    (Sum([Dense(2), Sequential([Dense(3), Sigmoid(), Dense(2)]), Dense(2)]), (3,)),
    (Sum([Sigmoid()]), (3,)),
    (Concat([Dense(2), Sigmoid(), Sequential([Dense(1), ReLU()])]), (3,)),
    (Concat([Sigmoid(), ReLU()]), (2, 3)),
    (Graph({"a": Dense(2)}, ["input -> a -> output"]), (3,)),
    (
        Graph(
            {
                "a": Dense(3),
                "b": Sigmoid(),
                "c": Dense(3),
                "d": Residual(Dense(6)),
                "product": Multiply(),
                "both": Join(),
                "all": Join(),
            },
            [
                *("a -> b", "input -> a", "a, b, b -> product -> c"),
                *("c, a -> both -> d", "d, c, d -> all -> output"),
            ],
        ),
        (2,),
    ),
    (
        Graph(
            {"square": Multiply(), "a": Dense(2), "all": Join()},
            ["input, input -> square -> a", "a, input, a -> all -> output"],
        ),
        (3,),
    ),
    (Concat([Sigmoid()]), (3,)),
    (Sum([Dense(2)]), (3,)),
    (Concat([Sigmoid(), ReLU()], axis=-2), (2, 3)),
]
SEVERAL_INPUTS: list[tuple[Layer, list[Shape]]] = [
    (Add(), [(3,), (3,)]),
    (Add(), [(2, 3)] * 3),
    (Multiply(), [(3,), (3,)]),
    (Multiply(), [(2, 3)] * 3),
    (Join(), [(3,), (1,), (2,)]),
    (Join(), [(2, 3), (2, 1)]),
    (Join(axis=-2), [(1, 3), (2, 3)]),
    (Join(axis=-2), [(2, 1, 3), (2, 4, 3)]),
]
NUMBERS = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.3], [1.0, 1.0, 1.0], [-0.2, 4.0, 0.1]])
BITS = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]])
LABELS = [0, 2, 1, 2, 0]
# not quite 1 in sum: what is reported has to be what is differentiated all the same
SHARES = np.array([[0.5008, 0.5, 0], [0, 0.9992, 0], [0.2, 0.3, 0.5]])
LOSSES: list[tuple[Loss, Shape, Any]] = [
    (SoftmaxCrossEntropy(), (3,), LABELS),
    (SoftmaxCrossEntropy(), (2,), np.array([1, 0, 1], np.uint8)),
    (SoftmaxCrossEntropy(), (3,), np.eye(3)),
    (SoftmaxCrossEntropy(), (4,), np.full((5, 4), 0.25, np.float32)),
    (SoftmaxCrossEntropy(), (3,), SHARES),
    (SoftmaxCrossEntropy(label_smoothing=0.1), (3,), LABELS),
    (SoftmaxCrossEntropy(class_weight=[1.0, 0.0, 2.5]), (3,), LABELS),
    (SoftmaxCrossEntropy(ignore_label=-100), (3,), [0, -100, 1, 2, 0]),
    (SoftmaxCrossEntropy(0.1, class_weight=[1.0, 0.5, 3.0], ignore_label=2), (3,), LABELS),
    (SoftmaxCrossEntropy(0.1, class_weight=[1.0, 0.5, 3.0]), (3,), SHARES),
    (Focal(), (3,), LABELS),
    (Focal(gamma=0.0), (3,), LABELS),
    (Focal(gamma=0.5), (2,), [0, 1, 1, 0]),
    (KLDivergence(), (3,), SHARES),
    (MultiMargin(), (3,), LABELS),
    (MultiMargin(margin=0.5, power=2), (3,), LABELS),
    (BinaryCrossEntropy(), (3,), BITS),
    (BinaryCrossEntropy(), (1,), [0, 1, 1]),
    (BinaryCrossEntropy(), (2, 3), np.stack([BITS[:2], BITS[2:], BITS[1:3]])),
    (BinaryCrossEntropy(pos_weight=[1.0, 0.0, 3.0]), (3,), 0.9 * BITS),
    (Hinge(), (3,), BITS),
    (SquaredHinge(), (1,), [0, 1, 1]),
    (MeanSquaredError(), (3,), NUMBERS),
    (MeanSquaredError(), (1,), NUMBERS[:, 0]),
    (MeanSquaredError(), (2, 2), NUMBERS[:, :2, None] * [1.0, 2.0]),
    (MeanAbsoluteError(), (3,), NUMBERS),
    (Huber(), (3,), NUMBERS),
    (Huber(delta=0.3), (1,), NUMBERS[:, :1]),
    (LogCosh(), (3,), NUMBERS),
    (Quantile(), (3,), NUMBERS),
    (Quantile(quantiles=(0.1, 0.5, 0.9)), (3,), NUMBERS[:, 0]),
    (Poisson(), (3,), abs(NUMBERS)),
    (GaussianNLL(), (6,), NUMBERS),
    (GaussianNLL(), (2,), NUMBERS[:, 0]),
    (CosineSimilarity(), (3,), NUMBERS),
]
OPTIMIZERS: list[Optimizer] = [
    SGD(),
    SGD(lr=4.0),
    Momentum(),
    Momentum(lr=4.0, beta=0.0),
    HeavyBall(),
    Nesterov(),
    Rprop(),
    Rprop(lr=1.0, eta_plus=1.01, max_step=2.0),
    Lion(),
    Lion(lr=0.1, beta1=0.0, beta2=0.0),
    AdaGrad(),
    RMSProp(),
    RMSProp(lr=0.001, alpha=0.0),
    CenteredRMSProp(),
    CenteredRMSProp(lr=0.001, alpha=0.5, eps=1e-3),
    Adadelta(),
    Adadelta(lr=0.1, rho=0.0, eps=0.1),
    Adam(),
    Adam(lr=0.1, beta1=0.0, beta2=0.0, eps=1e-3),
    AdamW(),
    AdamW(lr=0.1, weight_decay=0.0),
    AMSGrad(),
    Adamax(),
    NAdam(),
    NAdam(lr=0.1, beta1=0.0, beta2=0.0, momentum_decay=0.0),
    RAdam(),
    RAdam(lr=0.1, beta1=0.0, beta2=0.0),
    Adan(),
    LARS(),
    LARS(lr=1.0, trust=0.1, weight_decay=0.1),
    LAMB(),
    LAMB(lr=0.01, weight_decay=0.1),
    Muon(),
    LBFGS(),
    LBFGS(lr=0.5, history_size=1),
]
SHAPES: list[Shape] = [(7,), (40, 30), (30, 40), (3, 3, 4, 5)]
INITIALIZERS: list[tuple[Initializer, list[Shape]]] = [
    (Zeros(), SHAPES),
    (Ones(), SHAPES),
    (Constant(0.25), SHAPES),
    (Normal(), SHAPES),
    (Normal(mean=-1.0, std=3.0), SHAPES),
    (Uniform(), SHAPES),
    (Uniform(low=2.0, high=3.0), SHAPES),
    (TruncatedNormal(), SHAPES),
    (LeCunNormal(), SHAPES),
    (LeCunUniform(), SHAPES),
    (HeNormal(), SHAPES),
    (HeUniform(), SHAPES),
    (GlorotNormal(), SHAPES),
    (GlorotUniform(), SHAPES),
    (Orthogonal(), SHAPES[1:]),
    (Orthogonal(gain=1.5), SHAPES[1:]),
    (Eye(), SHAPES[1:3]),
    (Eye(gain=-2.0), SHAPES[1:3]),
    (Sparse(sparsity=0.9), SHAPES[1:]),
    (LSUV(), SHAPES[1:]),
]


SCHEDULES: list[Schedule] = [
    ConstantSchedule(),
    ConstantSchedule(0.25),
    StepSchedule(every=30),
    StepSchedule(every=1, gamma=0.01),
    MultiStepSchedule(milestones=[30, 60], gamma=0.5),
    ExponentialSchedule(gamma=0.5),
    ExponentialSchedule(gamma=0.5, every=50),
    InverseTimeSchedule(decay=0.1),
    InverseSqrtSchedule(warmup=20),
    LinearSchedule(),
    LinearSchedule(steps=60, warmup=10, end=0.1),
    PolynomialSchedule(power=0.5),
    CosineSchedule(warmup=99),
    WarmupStableDecaySchedule(warmup=5),
    WarmupStableDecaySchedule(decay=1.0),
    OneCycleSchedule(),
    OneCycleSchedule(steps=1),
    OneCycleSchedule(rise=0.01, curve="linear"),
    CosineRestartsSchedule(period=7),
    CosineRestartsSchedule(period=1, growth=2, end=0.2),
    CyclicSchedule(up=10),
    CyclicSchedule(up=10, down=3, mode="triangular2", low=0.0),
    CyclicSchedule(up=1, mode="exp_range", gamma=0.5),
    ChainedSchedule([LinearSchedule(warmup=5), CosineSchedule()], milestones=[20]),
    ChainedSchedule([ConstantSchedule(), StepSchedule(every=3)], milestones=[1000]),
    ChainedSchedule(
        [
            LinearSchedule(warmup=5, steps=30, end=0.5),
            ChainedSchedule([OneCycleSchedule(), CosineRestartsSchedule(4)], milestones=[40]),
        ],
        milestones=[30],
    ),
]
AVERAGES: list[Average] = [EMA(), EMA(decay=0.0), SWA(), SWA(start=0.0, every=3)]


def named(value: object) -> str:
    return repr(value) if isinstance(value, Configurable) else ""


def numbers_for(layer: Layer, shape: Shape) -> Array | None:
    """Examples for a layer that doesn't take any numbers."""
    if isinstance(layer, Table) and len(columns := layer.columns or []) > 3:
        most = [len(c.categories or []) + 1 if isinstance(c, Category) else 9 for c in columns]
        x = np.indices((7, *shape)).sum(axis=0) % most + 0.0
        x[0] = np.nan
        return x
    return np.indices((7, *shape)).sum(axis=0) % layer.n if isinstance(layer, Embedding) else None


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers_keep_the_contract(layer: Layer, shape: Shape) -> None:
    check_layer(layer, shape, examples=numbers_for(layer, shape))


@pytest.mark.parametrize(("layer", "shapes"), SEVERAL_INPUTS, ids=named)
def test_layers_of_several_inputs_keep_the_contract(layer: Layer, shapes: list[Shape]) -> None:
    check_layer(layer, *shapes)


@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=named)
def test_losses_keep_the_contract(loss: Loss, shape: Shape, targets: Any) -> None:
    check_loss(loss, shape, targets)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=named)
def test_optimizers_keep_the_contract(optimizer: Optimizer) -> None:
    check_optimizer(optimizer)


@pytest.mark.parametrize(("init", "shapes"), INITIALIZERS, ids=named)
def test_initializers_keep_the_contract(init: Initializer, shapes: list[Shape]) -> None:
    for shape in shapes:
        check_initializer(init, shape)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=named)
def test_schedules_keep_the_contract(schedule: Schedule) -> None:
    check_schedule(schedule)


@pytest.mark.parametrize("average", AVERAGES, ids=named)
def test_shares_of_averages_are_shares(average: Average) -> None:
    shares = [average.share(step, 20) for step in range(20)]
    assert shares[0] == 1
    assert all(0 <= share <= 1 for share in shares)
    assert from_config(to_config(average), type(average)) == average


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        (Layer, [layer for layer, _ in LAYERS] + [layer for layer, _ in SEVERAL_INPUTS]),
        (Loss, [loss for loss, _, _ in LOSSES]),
        (Optimizer, OPTIMIZERS),
        (Initializer, [init for init, _ in INITIALIZERS]),
        (Schedule, SCHEDULES),
        (Average, AVERAGES),
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
