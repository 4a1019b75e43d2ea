"""A training that is stopped and resumed ends as if it had never stopped, bit for bit."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    SGD,
    SWA,
    Adam,
    AlphaDropout,
    Array,
    Average,
    BatchNorm,
    Category,
    ChainedSchedule,
    ConfigError,
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    CyclicSchedule,
    Date,
    Dense,
    Dropout,
    ExponentialSchedule,
    FileError,
    GaussianNoise,
    ImageAugmentation,
    InverseSqrtSchedule,
    InverseTimeSchedule,
    Lambda,
    Layer,
    LinearSchedule,
    Momentum,
    MultiStepSchedule,
    Network,
    Number,
    OneCycleSchedule,
    Optimizer,
    PolynomialSchedule,
    PReLU,
    ReLU,
    RReLU,
    Schedule,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    StepSchedule,
    Table,
    Training,
    WarmupStableDecaySchedule,
    fit,
    train,
)
from layerkit.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ProgressBar,
    ReduceLROnPlateau,
)
from layerkit.config.tables import choices_for
from layerkit.files.checkpoints import Checkpoints, read_tree, write_tree
from layerkit.files.mapped import Subset
from layerkit.training.resume import (
    ResumeWarning,
    _only_goes_on,
    compare,
    describe_environment,
    digest,
)
from tests.files.mutations import mutated

NUMBERS = np.random.default_rng(0)
X = NUMBERS.normal(size=(14, 9)).astype(np.float32)
T = NUMBERS.integers(0, 3, 14)
BATCHES = [(X[i : i + 4], T[i : i + 4]) for i in range(0, 14, 4)]
STEPS = 8  # two epochs of four batches, the last of which is smaller


class Pause(Callback):
    """Leaves the training after some steps, as a signal does."""

    step: int

    def batch_end(self, progress: Any) -> None:
        if progress.step == self.step:
            progress.pause("a test")


@dataclass
class Case:
    """A training that can be made anew, as in another process."""

    layers: Callable[[], list[Layer]] = lambda: [Dense(5), ReLU()]
    optimizer: Callable[[], Optimizer] = lambda: Adam(lr=0.05)
    callbacks: Callable[[], list[Callback]] = list
    options: dict[str, Any] = field(default_factory=dict)
    dtype: Any = "float32"
    data: Callable[[Path], tuple[Any, ...]] = lambda folder: (X, T)

    def run(self, folder: Path, until: int = 0, resume: Any = True, **changes: Any) -> Network:
        """Train from the newest checkpoint on, if there is one, and return the network."""
        body = Sequential([*self.layers(), Dense(3)])
        network = Network(body, SoftmaxCrossEntropy(), shape=(9,), dtype=self.dtype)
        options = {"epochs": 2, "batch_size": 4, "seed": 1} | self.options | changes
        fit(
            network.adapt(X) if self.data is batches else network,
            self.optimizer(),
            *self.data(folder.parent),
            checkpoints=Checkpoints(folder),
            callbacks=[*self.callbacks(), Pause(until)],
            resume=resume,
            **options,
        )
        return network


def state(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint has, but for times."""
    tree = Checkpoints(folder).load().tree
    del tree["seconds"]
    for record in tree["records"].values():
        del record["seconds"]
    return tree


def assert_same(a: Any, b: Any, place: str = "") -> None:
    """Fail unless two trees are equal in every bit."""
    assert type(a) is type(b), place
    if isinstance(a, dict):
        assert list(a) == list(b), place
        for key in a:
            assert_same(a[key], b[key], f"{place}/{key}")
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), place
    else:
        assert repr(a) == repr(b), place


def batches(folder: Path) -> tuple[Any, ...]:
    return (BATCHES,)


def mapped(folder: Path) -> tuple[Any, ...]:
    path = folder / "x.npy"
    if not path.exists():
        np.save(path, X)
    return np.load(path, mmap_mode="r"), T


NUMBERED = [Number(f"column {i}", gaps=i == 0) for i in range(7)]
COLUMNS = [*NUMBERED, Category("word", ["a", "b"], embedding=2), Date("day", "2024-01-01")]


def coded(folder: Path) -> tuple[Any, ...]:
    """A table whose cells are numbers already."""
    x = X.copy()
    x[:, 7] = np.arange(14) % 3
    x[3, [0, 5, 7, 8]] = np.nan
    return x, T


MANY: list[Callable[[], Layer]] = [
    lambda: Dropout(0.3),
    lambda: AlphaDropout(0.3),
    lambda: GaussianNoise(0.3),
    RReLU,
    BatchNorm,
    Standardize,
    PReLU,
]
SCHEDULES: list[Schedule] = [
    ConstantSchedule(0.5),
    StepSchedule(every=3),
    MultiStepSchedule(milestones=[3, 6]),
    ExponentialSchedule(gamma=0.9),
    InverseTimeSchedule(decay=0.1),
    InverseSqrtSchedule(warmup=3),
    LinearSchedule(),
    PolynomialSchedule(power=2.0),
    CosineSchedule(warmup=2),
    WarmupStableDecaySchedule(warmup=2),
    OneCycleSchedule(),
    CosineRestartsSchedule(period=5),
    CyclicSchedule(up=3),
    ChainedSchedule([ConstantSchedule(), CosineSchedule()], milestones=[5]),
]
AVERAGES: list[Average] = [EMA(0.8), SWA(start=0.3), SWA(start=0.5, every=3)]
HELD_OUT = {"validation": (X[:5], T[:5])}


def with_layer(make: Callable[[], Layer]) -> Case:
    return Case(lambda: [Dense(5), make()])


def with_optimizer(cls: Any) -> Case:
    return Case(optimizer=cls)


CASES = {
    **{type(make()).__name__: with_layer(make) for make in MANY},
    **{
        cls.__name__: with_optimizer(cls)
        for cls in choices_for(Optimizer)
        if cls.__module__.startswith("layerkit.")
    },
    **{
        type(schedule).__name__: Case(
            optimizer=functools.partial(Momentum, lr=0.1, schedules={"lr": schedule})
        )
        for schedule in SCHEDULES
    },
    **{
        repr(average): Case(
            lambda: [Dense(5), BatchNorm(), Dropout(0.3)], options={"average": average}
        )
        for average in AVERAGES
    },
    "every option": Case(
        lambda: [Dense(5), BatchNorm(), RReLU(), Dropout(0.3)],
        lambda: Adam(lr=0.05, weight_decay=0.1, l1=0.01, clip_norm=1.0, rates={"*.b": 0.5}),
        options={
            "average": EMA(0.7),
            "augmentation": ImageAugmentation((3, 3), rotate=20.0, elastic=0.3),
        },
    ),
    "augmentation": Case(options={"augmentation": ImageAugmentation((3, 3), shift=1.0)}),
    "accumulation": Case(options={"gradient_accumulation_steps": 2, "batch_size": 2}),
    "weights": Case(options={"class_weight": "balanced", "sample_weight": np.arange(1.0, 15.0)}),
    "without measuring": Case(options={"measure_train": False}),
    "metrics": Case(options={"metrics": ["f1_macro"], **HELD_OUT, "test": (X[5:], T[5:])}),
    "float64": Case(lambda: [Dense(5), Dropout(0.3)], dtype="float64"),
    "bytes": Case(data=lambda folder: ((40 * X).astype(np.uint8), T)),
    "batches": Case(lambda: [Standardize(), Dense(5), Dropout(0.3)], data=batches),
    "batches put together": Case(
        data=batches, options={"gradient_accumulation_steps": 2, "epochs": 4}
    ),
    "a function of batches": Case(data=lambda folder: (lambda: iter(BATCHES),)),
    "a table": Case(lambda: [Table(COLUMNS), Dense(5)], data=coded),
    "a mapped file": Case(data=mapped),
    "another generator": Case(options={"seed": None}),
    "a function as layer": Case(lambda: [Dense(5), Lambda(np.sin, np.cos)]),
    "early stopping": Case(
        lambda: [Dense(5), BatchNorm(), Dropout(0.3)],
        lambda: SGD(lr=3.0),
        lambda: [EarlyStopping(patience=1)],
        options=HELD_OUT | {"epochs": 9},
    ),
    "plateaus": Case(
        optimizer=lambda: Adam(lr=1.0),
        callbacks=lambda: [ReduceLROnPlateau(patience=1, min_delta=10.0), ProgressBar()],
        options=HELD_OUT | {"epochs": 3},
    ),
}


def changes(name: str) -> dict[str, Any]:
    """A generator goes on where it is, so each training gets a new one."""
    kind = np.random.MT19937
    return {"seed": np.random.Generator(kind(3))} if name == "another generator" else {}


@pytest.mark.parametrize("name", CASES)
def test_stopping_after_every_single_step_changes_nothing(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    whole = case.run(tmp_path / "whole", **changes(name))
    for step in range(1, state(tmp_path / "whole")["progress"]["step"]):
        case.run(tmp_path / "parts", until=step, **changes(name))
        assert state(tmp_path / "parts")["progress"]["step"] == step
    parts = case.run(tmp_path / "parts", **changes(name))
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))
    np.testing.assert_array_equal(whole.arena.values, parts.arena.values)
    np.testing.assert_array_equal(whole.arena.states, parts.arena.states)


FULL = CASES["every option"]


class Crashing(Callback):
    """Ends a training in the midst of a step: nothing is saved."""

    step: int

    def batch_end(self, progress: Any) -> None:
        if progress.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("every", [None, 1, 3, 100])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_crash_costs_the_steps_since_the_last_checkpoint(
    every: int | None, step: int, tmp_path: Path
) -> None:
    FULL.run(tmp_path / "whole")
    options = FULL.options | {"epochs": 2, "batch_size": 4, "seed": 1}
    network = Network(Sequential([*FULL.layers(), Dense(3)]), SoftmaxCrossEntropy(), shape=(9,))
    checkpoints = Checkpoints(tmp_path / "parts", every=every)
    with pytest.raises(KeyboardInterrupt):
        fit(
            network,
            FULL.optimizer(),
            *(X, T),
            checkpoints=checkpoints,
            callbacks=[Crashing(step)],
            **options,
        )
    last = max(4 * ((step - 1) // 4), (step - 1) // every * every if every else 0)
    assert [int(path.stem[5:]) for path in checkpoints.paths()][:1] == ([last] if last else [])
    FULL.run(tmp_path / "parts")
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))


def test_a_loop_that_is_left_goes_on_after_its_last_record(tmp_path: Path) -> None:
    FULL.run(tmp_path / "whole")
    options = FULL.options | {"epochs": 2, "batch_size": 4, "seed": 1}
    for _ in range(2):
        network = Network(Sequential([*FULL.layers(), Dense(3)]), SoftmaxCrossEntropy(), shape=(9,))
        loop: Any = train(
            network,
            FULL.optimizer(),
            *(X, T),
            checkpoints=Checkpoints(tmp_path / "parts"),
            resume=True,
            **options,
        )
        for _ in loop:
            break
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))


def test_fit_returns_the_records_of_all_epochs(tmp_path: Path) -> None:
    def records(until: int) -> list[Any]:
        network = Network(Dense(3), SoftmaxCrossEntropy(), shape=(9,))
        return fit(
            network,
            SGD(),
            *(X, T),
            epochs=3,
            batch_size=4,
            checkpoints=Checkpoints(tmp_path),
            callbacks=[Pause(until)],
            resume=True,
        )

    assert [record.epoch for record in records(until=6)] == [1]
    assert [record.epoch for record in records(until=0)] == [1, 2, 3]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    finished = records(until=0)
    assert [record.epoch for record in finished] == [1, 2, 3]
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}, "nothing to do"
    seconds = [record.seconds for record in finished]
    assert seconds == sorted(seconds)


def test_a_finished_training_leaves_the_network_that_it_had(tmp_path: Path) -> None:
    case = CASES["early stopping"]
    first, again = case.run(tmp_path / "run"), case.run(tmp_path / "run")
    assert state(tmp_path / "run")["stopped"]
    np.testing.assert_array_equal(first.arena.values, again.arena.values)
    case.run(tmp_path / "run", resume="force", epochs=12)
    assert len(state(tmp_path / "run")["records"]) > 2


def test_the_best_network_is_the_same_after_a_resumption(tmp_path: Path) -> None:
    for name, steps in (("whole", [0]), ("parts", [1, 5, 7, 0])):
        path = tmp_path / f"{name}.safetensors"
        for step in steps:
            case = Case(
                callbacks=functools.partial(list, [ModelCheckpoint(path)]), options=HELD_OUT
            )
            case.run(tmp_path / name, until=step)
    assert (tmp_path / "whole.safetensors").read_bytes() == path.read_bytes()


# What is refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 7}, "training.batch_size = 7; the checkpoint has 4"),
        ({"epochs": 1}, "training.epochs = 1; the checkpoint has 2"),
        ({"seed": 4}, "training.seed = 4; the checkpoint has 1"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps = 2; the checkpoint has"),
        ({"average": EMA(0.5)}, "training.average.decay = 0.5; the checkpoint has 0.7"),
        ({"average": None}, "training.average.decay = nothing; the checkpoint has 0.7"),
        ({"augmentation": None}, "training.augmentation.rotate = nothing; the checkpoint has 20.0"),
        ({"class_weight": {0: 2.0}}, "training.class_weight.0 = 2.0; the checkpoint has nothing"),
        ({"measure_train": False}, "training.measure_train = False; the checkpoint has True"),
        ({"metrics": ["f1_macro"], **HELD_OUT}, "training.metrics.0 = f1_macro; the checkpoint"),
        (HELD_OUT, "data.validation.x = float32 (5, 9) sha256:"),
        ({"sample_weight": np.ones(14)}, "data.train.sample_weight = float64 (14,) sha256:"),
        (
            {"case": Case(lambda: [Dense(6), ReLU()])},
            "body.layers.0.units = 6; the checkpoint has 5",
        ),
        (
            {"case": Case(optimizer=lambda: Adam(lr=0.1))},
            "optimizer.lr = 0.1; the checkpoint has 0.05",
        ),
        ({"case": Case(optimizer=SGD)}, "optimizer.type = SGD; the checkpoint has Adam"),
        ({"case": Case(dtype="float64")}, "network.dtype = float64; the checkpoint has float32"),
        ({"case": Case(data=lambda folder: (X + 1, T))}, "data.train.x = float32 (14, 9) sha256:"),
        ({"case": Case(data=lambda folder: (X, T[::-1]))}, "data.train.t = int64 (14,) sha256:"),
        ({"case": Case(data=batches)}, "data.train.batches = 4; the checkpoint has nothing"),
        (
            {"case": Case(callbacks=lambda: [EarlyStopping(monitor="train_loss")])},
            "training.callbacks.EarlyStopping.patience = 3; the checkpoint has nothing",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_training_is_refused(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    FULL.run(tmp_path / "run", until=3)
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    changes = dict(changes)
    case = changes.pop("case", FULL)
    with pytest.raises(ConfigError) as caught:
        case.run(tmp_path / "run", **changes)
    assert sentence in str(caught.value)
    assert "step-00000003.safetensors comes from another training" in str(caught.value)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}


def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    network, optimizer = Network(Dense(3), SoftmaxCrossEntropy(), shape=(9,)), Adam()
    checkpoints = Checkpoints(tmp_path)
    fit(network, optimizer, X, T, epochs=1, batch_size=4, checkpoints=checkpoints)
    values, t = network.arena.values.copy(), optimizer.t
    with pytest.raises(ConfigError, match="comes from another training"):
        fit(network, optimizer, X, T, epochs=2, checkpoints=checkpoints, resume=True)
    np.testing.assert_array_equal(network.arena.values, values)
    assert optimizer.t == t


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (Adam, {}),
        (Adam, {"average": EMA(0.7)}),
        (lambda: SGD(schedules={"lr": StepSchedule(every=3)}), {}),
        (lambda: SGD(schedules={"lr": CosineSchedule(steps=6)}), {}),
    ],
)
def test_more_epochs_go_on_where_the_others_ended(
    tmp_path: Path, optimizer: Callable[[], Optimizer], options: dict[str, Any]
) -> None:
    case = Case(lambda: [Dense(5), Dropout(0.3)], optimizer, options=options)
    case.run(tmp_path / "long", epochs=5)
    case.run(tmp_path / "short", epochs=2)
    case.run(tmp_path / "short", epochs=5)
    assert_same(state(tmp_path / "long"), state(tmp_path / "short"))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (lambda: SGD(schedules={"lr": CosineSchedule()}), {}),
        (SGD, {"average": SWA(start=0.5)}),
    ],
)
def test_more_epochs_that_change_the_steps_before_need_force(
    tmp_path: Path, optimizer: Callable[[], Optimizer], options: dict[str, Any]
) -> None:
    case = Case(optimizer=optimizer, options=options)
    case.run(tmp_path, epochs=2)
    with pytest.raises(ConfigError, match="epochs = 5; the checkpoint has 2"):
        case.run(tmp_path, epochs=5)
    with pytest.warns(ResumeWarning, match=r"by force with training.epochs = 5; .* has 2"):
        case.run(tmp_path, epochs=5, resume="force")


def test_of_a_long_training_few_steps_are_compared() -> None:
    asked = []

    class AskedInTurn(Schedule):
        def factor(self, step: int, steps: int) -> float:
            asked.append(step)
            return 1.0

    planned = 1_000_000
    progress: Any = SimpleNamespace(epochs=planned + 1, batches=1, options=Training())
    trainer: Any = SimpleNamespace(
        progress=progress, optimizer=SGD(schedules={"lr": AskedInTurn()})
    )
    asked.clear()
    assert _only_goes_on(trainer, {"training": {"epochs": planned}})
    assert len(asked) <= 2000
    assert (min(asked), max(asked)) == (0, planned - 1)


def test_by_force_an_option_of_the_optimizer_changes(tmp_path: Path) -> None:
    case = Case(optimizer=lambda: Adam(lr=0.5, beta1=0.8))
    Case().run(tmp_path / "run", until=3)
    with pytest.warns(ResumeWarning, match="by force with optimizer"):
        case.run(tmp_path / "run", until=5, resume="force")
    case.run(tmp_path / "run")
    numbers = state(tmp_path / "run")["optimizer"]["numbers"]
    assert (numbers["lr"], numbers["beta1"]) == (0.5, 0.8)


@pytest.mark.parametrize("options", [{}, {"clip_value": 1.0}, {"clip_norm": 0.5}], ids=repr)
def test_by_force_a_limit_of_the_gradient_goes_or_changes(
    options: dict[str, Any], tmp_path: Path
) -> None:
    net = Network(Dense(3), SoftmaxCrossEntropy(), shape=(9,))
    fit(net, SGD(clip_norm=0.01), X, T, epochs=2, checkpoints=Checkpoints(tmp_path))
    optimizer = SGD(**options)
    with pytest.warns(ResumeWarning, match="by force with optimizer.clip"):
        train(net, optimizer, X, T, epochs=2, checkpoints=Checkpoints(tmp_path), resume="force")
    assert optimizer == SGD(**options)


def test_by_force_other_batches_begin_the_epoch_anew(tmp_path: Path) -> None:
    case = Case()
    case.run(tmp_path / "run", until=6)
    with pytest.warns(ResumeWarning) as told:
        case.run(tmp_path / "run", batch_size=7, resume="force")
    assert [str(line.message) for line in told] == [
        "continues by force with training.batch_size = 7; the checkpoint has 4",
        "begins epoch 2 anew",
    ]
    assert state(tmp_path / "run")["progress"]["step"] == 6 + 2


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (Case(lambda: [Dense(6), ReLU()]), r"network.values = float32 \(81,\)"),
        (Case(optimizer=Momentum), "memory.m"),
        (Case(dtype="float64"), "float64"),
        (Case(lambda: [Dense(5), Dropout(0.3)]), "generators.body.layers.1"),
        (Case(options={"average": EMA()}), "attendants.AveragedWeights.values"),
        (Case(options={"augmentation": ImageAugmentation((3, 3))}), "generators.augmentation"),
    ],
)
def test_no_force_makes_an_array_fit(case: Case, sentence: str, tmp_path: Path) -> None:
    Case().run(tmp_path / "run", until=3)
    with pytest.raises(ConfigError, match=f"even by force:(.|\n)*{sentence}"):
        case.run(tmp_path / "run", resume="force")


def test_where_to_go_on_has_to_be_said(tmp_path: Path) -> None:
    network = Network(Dense(3), SoftmaxCrossEntropy(), shape=(9,))
    with pytest.raises(ConfigError, match="from where"):
        fit(network, SGD(), X, T, resume=True)
    Case().run(tmp_path / "run", until=1)
    with pytest.raises(ConfigError, match="has some of another training"):
        Case().run(tmp_path / "run", resume=False)


# What is told


@pytest.mark.parametrize("name", ["threads", "blas", "numpy", "python", "layerkit", "simd"])
def test_another_environment_is_told_and_not_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Case().run(tmp_path / "run", until=3)
    here = describe_environment()
    monkeypatch.setattr(
        "layerkit.training.resume.describe_environment", lambda: here | {name: "something else"}
    )
    with pytest.warns(ResumeWarning) as told:
        Case().run(tmp_path / "run", until=5)
    assert [str(line.message) for line in told] == [
        f"resumes with another environment.{name} = something else; the checkpoint has {here[name]}"
    ]
    with warnings.catch_warnings(action="error"):
        Case().run(tmp_path / "run")  # the last checkpoint comes from here


def test_the_threads_that_count_are_those_of_the_training(tmp_path: Path) -> None:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        Case().run(tmp_path / "run", until=3)
    assert state(tmp_path / "run")["origin"]["environment"]["threads"] == "1"


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_taken(
    harm: str, tmp_path: Path
) -> None:
    FULL.run(tmp_path / "whole")
    for step in (3, 5):
        FULL.run(tmp_path / "parts", until=step)
    newest = Checkpoints(tmp_path / "parts").paths()[0]
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes({"cut": bytes(content[:-9]), "flipped": bytes(content), "empty": b""}[harm])
    with pytest.warns(ResumeWarning, match=r"step-0+5.*damaged.*before it is step-0+4"):
        FULL.run(tmp_path / "parts")
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))


def test_a_part_that_is_missing_or_mistyped_is_refused_or_makes_no_difference(
    tmp_path: Path,
) -> None:
    case = Case(
        lambda: [Dense(5), BatchNorm(), Dropout(0.3)],
        callbacks=lambda: [
            EarlyStopping(patience=9, monitor="train_loss"),
            ReduceLROnPlateau(monitor="train_loss"),
        ],
        options={"average": EMA(), "metrics": ["f1_macro"], "validation": (X, T)},
    )
    case.run(tmp_path / "whole")
    case.run(tmp_path / "run", until=6)
    (path, _), whole = Checkpoints(tmp_path / "run").paths(), state(tmp_path / "whole")
    refused = 0
    for i, (what, changed) in enumerate(mutated(read_tree(path), 200)):
        folder = tmp_path / str(i)
        folder.mkdir()
        write_tree(folder / path.name, changed)
        try:
            with warnings.catch_warnings(action="ignore"):
                case.run(folder)
        except FileError:
            refused += 1
        except ConfigError:
            assert what.startswith("origin."), what
        else:
            again = state(folder)
            for tree in (again, whole):  # which metrics an epoch has is free
                tree["records"]["1"]["metrics"] = {}
            again["origin"]["environment"] = whole["origin"]["environment"]
            assert_same(again, whole, what)
    assert refused > 60


def test_with_none_that_is_whole_nothing_begins(tmp_path: Path) -> None:
    FULL.run(tmp_path / "run", until=3)
    for path in Checkpoints(tmp_path / "run").paths():
        path.write_bytes(b"")
    with pytest.raises(FileError, match="has no checkpoint that can be loaded"):
        FULL.run(tmp_path / "run")


def test_it_costs_nothing_without_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> None:
        raise AssertionError

    for name in ("describe_environment", "digest"):
        monkeypatch.setattr(f"layerkit.training.resume.{name}", never)
    fit(Network(Dense(3), SoftmaxCrossEntropy(), shape=(9,)), SGD(), X, T, epochs=1)


# Parts


def test_a_digest_depends_on_the_numbers_and_not_on_where_they_are(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3000, 4))
    np.save(tmp_path / "x.npy", x)
    rows = np.arange(3000)
    same: list[Array | Subset] = [
        x,
        np.asfortranarray(x),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        Subset(x, rows),
    ]
    assert len({digest(a) for a in same}) == 1
    changed = x.copy()
    changed[2999, 3] = np.nextafter(changed[2999, 3], 9)
    others = [x, changed, x[:-1], x.reshape(3000, 2, 2), x.view(np.int64), x[::-1]]
    assert len({digest(a) for a in others}) == len(others)
    assert digest(Subset(x, rows[::-1])) == digest(x[::-1])


def test_places_are_compared_also_where_one_side_has_none() -> None:
    differing = compare({"a": [1, {"b": 2}], "c": 1}, {"a": [1], "d": 0})
    assert list(differing.values()) == [
        "d = 0; the checkpoint has nothing",
        "a.1.b = nothing; the checkpoint has 2",
        "c = nothing; the checkpoint has 1",
    ]
    assert compare({"a": {}, "b": [], "c": None}, {}) == {}


def test_an_environment_may_know_nothing_of_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "show_config", lambda mode: {})  # as in browsers
    assert describe_environment()["simd"] == ""
