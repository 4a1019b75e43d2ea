"""The trainer: iterating over epochs, the doors of a step, and what its sums are."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    LBFGS,
    SGD,
    Adam,
    Array,
    BatchNorm,
    Dense,
    DivergenceError,
    Dropout,
    ImageAugmentation,
    LinearSchedule,
    Momentum,
    Network,
    Optimizer,
    Record,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    evaluate,
    fit,
    train,
)
from layerkit.arrays import Shape
from layerkit.callbacks import Callback
from layerkit.losses.base import mean_loss
from layerkit.progress import Progress
from layerkit.streams import stream
from layerkit.training.batches import Arrays, Batch
from layerkit.training.trainer import Attendant, Trainer

NUMBERS = np.random.default_rng(0)
X = NUMBERS.normal(size=(23, 4))
T = NUMBERS.integers(0, 3, 23)
A = NUMBERS.uniform(0, 2, 23)
IMAGES = NUMBERS.integers(0, 256, (23, 4)).astype(np.uint8)


def network(dtype: Any = "float32", shape: Shape = (4,)) -> Network:
    body = Sequential([Standardize(), Dense(6), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)])
    return Network(body, SoftmaxCrossEntropy(), shape, dtype).initialize(1)


def plain(dtype: Any = "float64") -> Network:
    body = Sequential([Dense(5), ReLU(), Dense(3)])
    return Network(body, SoftmaxCrossEntropy(), (4,), dtype).initialize(1)


def state_of(trainer: Trainer) -> Any:
    """Every bit of what the steps to come depend on, but the counts of the loop."""
    state = trainer.state_dict()
    del state["progress"], state["attendants"]
    state["generators"]["order"] = trainer.rng.bit_generator.state
    return as_bytes(state)


def as_bytes(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: as_bytes(value) for key, value in tree.items()}
    return (tree.dtype.str, tree.tobytes()) if isinstance(tree, np.ndarray) else tree


# Iterating


def test_iterating_gives_the_record_of_each_epoch_and_run_all_of_them() -> None:
    trainer = train(plain(), SGD(), X, T, epochs=3, batch_size=8)
    found = list(trainer)
    assert [record.epoch for record in found] == [1, 2, 3]
    assert trainer.progress.records == found
    twin = train(plain(), SGD(), X, T, epochs=3, batch_size=8).run()
    assert [record.train_loss for record in twin] == [record.train_loss for record in found]


def test_nothing_is_trained_before_the_first_record_is_asked_for() -> None:
    net = plain()
    before = net.arena.values.copy()
    trainer = train(net, SGD(), X, T)
    records = iter(trainer)
    np.testing.assert_array_equal(net.arena.values, before)
    assert next(records).epoch == 1
    assert (net.arena.values != before).any()


@pytest.mark.parametrize("options", [{}, {"average": EMA(0.5)}, {"test": (X, T)}])
def test_breaking_off_and_iterating_again_goes_on_with_the_next_epoch(
    options: dict[str, Any],
) -> None:
    whole = train(network(), Adam(lr=0.05), X, T, epochs=5, batch_size=8, **options)
    parts = train(network(), Adam(lr=0.05), X, T, epochs=5, batch_size=8, **options)
    records = whole.run()
    seen = []
    for stop in (1, 3, 4):
        for record in parts:
            seen.append(record.epoch)
            if record.epoch == stop:
                break
        assert evaluate(parts.network, X, T)[1] == records[stop - 1].train_loss
    assert seen == [1, 2, 3, 4]
    assert [record.epoch for record in parts.run()] == [1, 2, 3, 4, 5]
    assert state_of(whole) == state_of(parts)
    assert [r.train_loss for r in records] == [r.train_loss for r in parts.progress.records]
    assert list(parts) == []
    assert [record.epoch for record in parts.run()] == [1, 2, 3, 4, 5]


def test_seconds_go_on_where_they_were() -> None:
    trainer = train(plain(), SGD(), X, T, epochs=2)
    for _ in trainer:
        break
    trainer.run()
    first, second = (record.seconds for record in trainer.progress.records)
    assert 0 < first < second


def test_callbacks_hear_of_each_beginning_and_end() -> None:
    heard: list[str] = []

    class Hears(Callback):
        def train_begin(self, progress: Progress) -> None:
            heard.append(f"begin {progress.step}")

        def train_end(self, progress: Progress) -> None:
            heard.append(f"end {progress.step}")

    trainer = train(plain(), SGD(), X, T, epochs=2, batch_size=23, callbacks=[Hears()])
    for _ in trainer:
        break
    trainer.run()
    assert heard == ["begin 0", "end 1", "begin 1", "end 2"]


def test_a_training_that_is_paused_within_an_epoch_is_left_there() -> None:
    class Pauses(Callback):
        def batch_end(self, progress: Progress) -> None:
            if progress.step == 4:
                progress.pause("enough")

    whole = train(network(), Momentum(), X, T, epochs=3, batch_size=8)
    whole.run()
    trainer = train(network(), Momentum(), X, T, epochs=3, batch_size=8, callbacks=[Pauses()])
    assert [record.epoch for record in trainer] == [1]
    progress = trainer.progress
    assert (progress.epoch, progress.batch, progress.step) == (2, 1, 4)
    assert (progress.paused, progress.finished, progress.leaving) == ("enough", False, True)
    assert list(trainer) == [], "it is paused"
    progress.paused = None
    assert [record.epoch for record in trainer] == [2, 3]
    assert state_of(whole) == state_of(trainer)
    losses = [[record.train_loss for record in t.progress.records] for t in (whole, trainer)]
    assert losses[0] == losses[1]


def test_what_is_finished_is_not_paused() -> None:
    class Pauses(Callback):
        def batch_end(self, progress: Progress) -> None:
            progress.pause("a signal in the last batch")

    trainer = train(plain(), SGD(), X, T, epochs=1, batch_size=23, callbacks=[Pauses()])
    assert [record.epoch for record in trainer] == [1]
    assert (trainer.progress.finished, trainer.progress.paused) == (True, None)


# The doors of a step


class Shifted(ImageAugmentation):
    """Random numbers of its own at each batch."""

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        return x + np.asarray(rng.normal(size=x.shape), x.dtype)


DOORS: dict[str, tuple[Callable[[], Optimizer], dict[str, Any]]] = {
    "SGD": (SGD, {}),
    "Momentum": (lambda: Momentum(lr=0.1, weight_decay=0.1, clip_norm=0.5), {}),
    "Adam": (lambda: Adam(lr=0.05, rates={"*.b": 0.5}), {}),
    "a schedule": (lambda: Adam(schedules={"lr": LinearSchedule()}), {}),
    "accumulation": (Adam, {"gradient_accumulation_steps": 3, "batch_size": 4}),
    "sample weights": (Adam, {"sample_weight": A}),
    "class weights": (Adam, {"class_weight": "balanced", "gradient_accumulation_steps": 2}),
    "augmentation": (Adam, {"augmentation": Shifted(image=(2, 2))}),
    "images": (Adam, {"x": IMAGES}),
    "images, augmented and accumulated": (
        Momentum,
        {
            "x": IMAGES,
            "augmentation": ImageAugmentation(shift=1.0, image=(2, 2)),
            "gradient_accumulation_steps": 2,
        },
    ),
    "LBFGS": (LBFGS, {}),
    "LBFGS, accumulated": (LBFGS, {"gradient_accumulation_steps": 3, "batch_size": 4}),
    "batches": (Adam, {"x": [(X[i : i + 8], T[i : i + 8]) for i in (0, 8, 16)], "t": None}),
    "batches put together": (
        SGD,
        {
            "x": [(X[i : i + 8], T[i : i + 8], A[i : i + 8]) for i in (0, 8, 16)],
            "t": None,
            "gradient_accumulation_steps": 2,
        },
    ),
}


@pytest.mark.parametrize("name", DOORS)
def test_a_loop_of_ones_own_takes_the_same_steps_bit_for_bit(name: str) -> None:
    optimizer, changes = DOORS[name]
    options = {"x": X, "t": T, "batch_size": 8, "epochs": 1, "measure_train": False, **changes}
    whole, own = (train(network().adapt(X), optimizer(), **options) for _ in range(2))
    record = whole.run()[0]
    total = weight = 0.0
    before = own.network.arena.values.copy()
    for batch in own.batches():
        sums = own.gradient(batch)
        own.apply()
        total, weight = total + sums[0], weight + sums[1]
    assert (own.network.arena.values != before).any()
    assert state_of(own) == state_of(whole)
    assert record.train_loss == mean_loss(total, weight)


def test_each_pass_over_the_batches_has_an_order_of_its_own() -> None:
    """As in the epochs of `fit`."""
    trainer = train(plain(), SGD(lr=0.3), X, T, batch_size=8, epochs=3)
    orders = []
    for _ in range(3):
        rows = []
        for batch in trainer.batches():
            trainer.gradient(batch)
            trainer.apply()
            assert batch.rows is not None
            rows += batch.rows.tolist()
        orders.append(rows)
        assert sorted(rows) == list(range(23))
    assert orders[0] != orders[1] != orders[2] != orders[0]
    net = plain()
    fit(net, SGD(lr=0.3), X, T, batch_size=8, epochs=3)
    np.testing.assert_array_equal(net.arena.values, trainer.network.arena.values)


def test_a_step_of_ones_own_counts() -> None:
    trainer = train(plain(), SGD(), X, T, batch_size=8, average=EMA(0.0))
    losses = []
    for batch in trainer.batches():
        loss = trainer.network.loss.mean(trainer.network.outputs(batch.x), batch.t)
        trainer.step(batch)
        assert trainer.progress.loss == pytest.approx(loss, rel=1e-12)
        losses.append(loss)
        assert trainer.progress.size == len(batch.t)
    assert (trainer.progress.step, trainer.optimizer.t) == (3, 3)
    assert trainer.progress.mean_loss == pytest.approx(
        (losses[0] * 8 + losses[1] * 8 + losses[2] * 7) / 23
    )


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("weights", [None, A])
def test_the_sums_and_the_gradient_are_those_of_the_whole_batch(
    parts: int, weights: Array | None
) -> None:
    net = plain()
    trainer = train(
        net, SGD(), X, T, sample_weight=weights, batch_size=4, gradient_accumulation_steps=parts
    )
    for batch in trainer.batches():
        total, weight = trainer.gradient(batch)
        g = net.arena.grads.copy()
        losses = -np.log(net.predict_proba(batch.x)[np.arange(len(batch.t)), batch.t])
        a = np.ones(len(batch.t)) if weights is None else weights[batch.rows]
        assert weight == pytest.approx(a.sum(), rel=1e-12)
        assert total == pytest.approx((a * losses).sum(), rel=1e-12)
        assert net.gradient(batch.x, batch.t, a) == pytest.approx(total / weight, rel=1e-12)
        np.testing.assert_allclose(g, net.arena.grads, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_batch_in_which_nothing_counts(parts: int) -> None:
    """Its sums and its gradient are 0; the loss of the epoch is the mean of what counts."""
    a = np.zeros(8)
    a[3] = 2.0
    net = plain()
    options: Any = {"batch_size": 2 // parts, "gradient_accumulation_steps": parts}
    trainer = train(net, SGD(), X[:8], T[:8], sample_weight=a, measure_train=False, **options)
    sums = []
    for batch in trainer.batches():
        sums.append(trainer.gradient(batch))
        assert net.arena.grads.any() == (sums[-1] != (0.0, 0.0))
    assert sorted(weight for _, weight in sums) == [0, 0, 0, 2]
    loss = -math.log(net.predict_proba(X[3:4])[0, T[3]])
    assert sum(total for total, _ in sums) == pytest.approx(2 * loss, rel=1e-12)


def test_what_is_done_between_the_doors_counts() -> None:
    """Half of each gradient is half of the rate."""
    net, half = plain(), plain()
    trainer = train(net, SGD(lr=1.0), X, T, batch_size=8)
    for batch in trainer.batches():
        trainer.gradient(batch)
        net.arena.grads *= 0.5
        trainer.apply()
    fit(half, SGD(lr=0.5), X, T, batch_size=8, epochs=1)
    np.testing.assert_array_equal(net.arena.values, half.arena.values)


class Halving(Trainer):
    """A subclass whose gradient is another one."""

    def gradient(self, batch: Batch) -> tuple[float, float]:
        sums = super().gradient(batch)
        self.network.arena.grads *= 0.5
        return sums


def test_the_gradient_of_a_subclass_is_used_by_the_loop() -> None:
    net, half = plain(), plain()
    optimizer = SGD(lr=1.0)
    optimizer.bind(net.arena, steps=6)
    source = Arrays(net, X, T, batch_size=8)
    progress = Progress(net, optimizer, epochs=2, batches=source.batches)
    trainer = Halving(progress, source, 3)
    records = trainer.run()
    wanted = fit(half, SGD(lr=0.5), X, T, epochs=2, batch_size=8, seed=3, measure_train=False)
    np.testing.assert_array_equal(net.arena.values, half.arena.values)
    assert [record.train_loss for record in records] == [record.train_loss for record in wanted]


def test_a_gradient_put_on_the_trainer_is_used_by_the_loop() -> None:
    net, by_hand, noise = plain(), plain(), np.random.default_rng(7)
    trainer = train(net, Momentum(lr=0.1), X, T, epochs=2, batch_size=8)
    gradient, drawn = trainer.gradient, []

    def noisy(batch: Batch) -> tuple[float, float]:
        sums = gradient(batch)
        drawn.append(noise.normal(size=net.arena.grads.shape))
        net.arena.grads += drawn[-1]
        return sums

    trainer.gradient = noisy  # type: ignore[method-assign]
    trainer.run()
    rng, optimizer = stream(0, "batches"), Momentum(lr=0.1)
    added = iter(drawn)
    for _ in range(2):
        order = rng.permutation(23)
        for start in (0, 8, 16):
            rows = order[start : start + 8]
            by_hand.gradient(X[rows], T[rows])
            optimizer.step(by_hand.arena.values, by_hand.arena.grads + next(added))
    np.testing.assert_array_equal(net.arena.values, by_hand.arena.values)


def test_an_apply_put_on_the_trainer_is_used_by_the_loop() -> None:
    """It may leave steps out."""
    net, trainer_calls = plain(), []
    before = net.arena.values.copy()
    trainer = train(net, SGD(), X, T, epochs=1, batch_size=8)
    trainer.apply = lambda: trainer_calls.append(1)  # type: ignore[method-assign]
    trainer.run()
    assert len(trainer_calls) == 3
    np.testing.assert_array_equal(net.arena.values, before)


def test_a_step_with_a_gradient_that_is_not_finite_changes_nothing() -> None:
    net = plain()
    trainer = train(net, Adam(), X, T, epochs=1, batch_size=8)
    gradient = trainer.gradient

    def lost(batch: Batch) -> tuple[float, float]:
        sums = gradient(batch)
        net.arena.grads[0] = math.nan
        return sums

    trainer.gradient = lost  # type: ignore[method-assign]
    before = net.arena.values.copy(), trainer.optimizer.t
    with pytest.raises(DivergenceError):
        trainer.run()
    np.testing.assert_array_equal(net.arena.values, before[0])
    assert trainer.optimizer.t == before[1]
    assert trainer.progress.step == 0


# Those who reach in


class Notes(Attendant):
    """Writes down when it is called."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def epoch_begin(self, trainer: Trainer) -> None:
        self.lines.append(f"epoch {trainer.progress.epoch}")

    def step_end(self, trainer: Trainer) -> None:
        self.lines.append(f"step {trainer.progress.step}")

    def batch_end(self, trainer: Trainer, leaving: bool) -> None:
        self.lines.append(f"batch {trainer.progress.batch}" + ", leaving" * leaving)

    def epoch_trained(self, trainer: Trainer) -> None:
        self.lines.append("trained")

    def epoch_end(self, trainer: Trainer) -> None:
        self.lines.append(f"measured {trainer.progress.record.epoch}")

    def train_end(self, trainer: Trainer) -> None:
        self.lines.append("end")

    def failed(self, trainer: Trainer, batch: Batch | None) -> None:
        self.lines.append("failed" if batch is None else f"failed with {len(batch.t)}")


def attended(callbacks: Any = (), epochs: int = 2, lr: float = 0.1) -> tuple[Trainer, Notes]:
    net, optimizer, notes = plain(), SGD(lr=lr), Notes()
    source = Arrays(net, X, T, batch_size=12)
    optimizer.bind(net.arena)
    progress = Progress(net, optimizer, epochs, source.batches)
    return Trainer(progress, source, 0, callbacks=callbacks, attendants=[notes]), notes


EPOCH = ["step 1", "batch 1", "step 2", "batch 2", "trained", "measured 1"]


def test_attendants_are_called_in_order() -> None:
    trainer, notes = attended()
    trainer.run()
    second = ["step 3", "batch 1", "step 4", "batch 2", "trained", "measured 2", "end"]
    assert notes.lines == ["epoch 1", *EPOCH, "epoch 2", *second]


def test_attendants_know_where_a_training_is_left() -> None:
    class Leaves(Callback):
        def batch_end(self, progress: Progress) -> None:
            if progress.step == 3:
                progress.stop("enough")

    trainer, notes = attended([Leaves()])
    assert [record.epoch for record in trainer] == [1]
    assert notes.lines[7:] == ["epoch 2", "step 3", "batch 1, leaving", "end"]


def test_attendants_are_called_when_a_step_fails() -> None:
    trainer, notes = attended(lr=1e308)
    with np.errstate(all="ignore"), pytest.raises(DivergenceError) as caught:
        trainer.run()
    assert caught.value.place == "epoch 1"
    assert notes.lines == ["epoch 1", "step 1", "batch 1", "failed with 11", "end"]


def test_attendants_are_called_when_the_last_step_went_too_far() -> None:
    class Spoils(Callback):
        def batch_end(self, progress: Progress) -> None:
            if progress.batch == 2:
                progress.network.arena.values[0] = math.inf

    trainer, notes = attended([Spoils()])
    with pytest.raises(DivergenceError, match="after the last batch"):
        trainer.run()
    assert notes.lines == ["epoch 1", "step 1", "batch 1", "step 2", "batch 2", "failed", "end"]


def test_everyone_is_called_at_the_end_whatever_fails() -> None:
    ended: list[int] = []

    class EndsLast(Callback):
        number: int

        def train_end(self, progress: Progress) -> None:
            ended.append(self.number)
            raise ValueError(self.number)

    trainer, notes = attended([EndsLast(1), EndsLast(2)], epochs=1)
    with pytest.raises(ValueError, match="1") as caught:
        trainer.run()
    assert caught.value.__notes__ == [
        "in train_end of the callback EndsLast(number=1)",
        "then ValueError: 2; in train_end of the callback EndsLast(number=2)",
    ]
    assert (ended, notes.lines[-1]) == ([1, 2], "end")


def test_what_a_callback_raises_says_where() -> None:
    class Fails(Callback):
        def epoch_begin(self, progress: Progress) -> None:
            raise ValueError("no")

    trainer, notes = attended([Fails()])
    with pytest.raises(ValueError, match="no") as caught:
        trainer.run()
    assert caught.value.__notes__[0] == "in epoch_begin of the callback Fails()"
    assert notes.lines == ["end"]


# Going back


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
def test_a_trainer_that_goes_back_takes_the_same_steps_again(steps: int) -> None:
    trainer = train(
        network(),
        Adam(lr=0.05),
        IMAGES,
        T,
        epochs=9,
        batch_size=4,
        average=EMA(0.5),
        augmentation=Shifted(image=(2, 2)),
    )
    for number, batch in enumerate(trainer.batches()):
        if number == steps:
            break
        trainer.step(batch)
        trainer.progress.batch += 1
    kept, found = copy.deepcopy(trainer.state_dict()), []
    for _ in range(2):
        trainer.load_state_dict(kept)
        assert as_bytes(trainer.state_dict()) == as_bytes(kept)
        for batch in trainer.batches():
            trainer.step(batch)
        found.append((state_of(trainer), as_bytes(trainer.state_dict()["attendants"])))
    assert found[0] == found[1]


def test_records_are_those_of_progress() -> None:
    records: list[Record] = fit(plain(), SGD(), X, T, epochs=2, test=(X[:5], T[:5]))
    assert list(records[0].measured()) == [
        "train_accuracy",
        "train_loss",
        "test_accuracy",
        "test_loss",
    ]
