import copy
import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Adam,
    Array,
    Augmentation,
    ConfigError,
    DataError,
    Dense,
    DivergenceError,
    ImageAugmentation,
    Layer,
    LayerkitError,
    MeanSquaredError,
    Momentum,
    Network,
    Optimizer,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    permutation_importance,
)
from layerkit.callbacks import Callback
from layerkit.files.mapped import CHUNK
from layerkit.layers.watch import watched
from layerkit.metrics import evaluate_metrics, report
from layerkit.progress import Progress, Record
from layerkit.streams import stream
from layerkit.training.batches import Arrays
from layerkit.training.evaluation import evaluate
from layerkit.training.loop import fit, train, train_step
from layerkit.training.options import Training

pytestmark = pytest.mark.filterwarnings("ignore::layerkit.training.scale.ScaleWarning")

RNG = np.random.default_rng(11)
X = RNG.normal(size=(103, 4))
T = (X[:, 0] + X[:, 1] > 0).astype(int)


def network(seed: int = 1, dtype: Any = "float32") -> Network:
    body = Sequential([Dense(8), Sigmoid(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), (4,), dtype).initialize(seed)


def state_of(net: Network, optimizer: Optimizer, rng: np.random.Generator) -> Any:
    memory = {name: slot.tobytes() for name, slot in optimizer.memory.items()}
    return net.arena.values.tobytes(), optimizer.t, memory, rng.bit_generator.state


# Every example, every epoch


class Notes(Layer):
    """Writes down the first feature of every example that it is trained on."""

    def build(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        self.seen: list[list[float]] = []
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        if train:
            self.seen.append(x[:, 0].tolist())
        return x

    def backward(self, dy: Array) -> Array:
        return dy


@pytest.mark.parametrize("batch_size", [1, 7, 34, 51, 102, 103, 104, 1000])
def test_every_example_is_used_once_per_epoch_in_a_new_order(batch_size: int) -> None:
    notes = Notes()
    net = Network(Sequential([notes, Dense(2)]), SoftmaxCrossEntropy(), (1,), "float64")
    x = np.arange(103.0)[:, None]
    list(train(net, SGD(lr=1e-6), x, T, epochs=3, batch_size=batch_size))
    per_epoch = math.ceil(103 / batch_size)
    assert len(notes.seen) == 3 * per_epoch
    orders = []
    for epoch in range(3):
        seen = notes.seen[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert {len(batch) for batch in seen[:-1]} <= {batch_size}
        order = [value for batch in seen for value in batch]
        assert sorted(order) == list(range(103))
        orders.append(order)
    assert orders[0] != orders[1] != orders[2] != orders[0] != sorted(orders[0])


def test_examples_stay_with_their_labels() -> None:
    net = Network(Dense(20), SoftmaxCrossEntropy(), (1,))
    source = Arrays(net, np.arange(20)[:, None], np.arange(20), np.arange(20) / 2, batch_size=6)
    for x, t, a, rows in source.epoch(np.random.default_rng(0)):
        np.testing.assert_array_equal(x[:, 0], t)
        np.testing.assert_array_equal(a, t / 2)
        np.testing.assert_array_equal(rows, t)


def test_an_epoch_is_a_step_for_each_batch() -> None:
    """Against the same steps written out."""
    net, by_hand = network(dtype="float64"), network(dtype="float64")
    optimizer, steps = Momentum(lr=0.5), Momentum(lr=0.5)
    list(train(net, optimizer, X, T, epochs=2, batch_size=40, seed=5))
    rng = stream(5, "batches")
    for _ in range(2):
        order = rng.permutation(len(X))
        for start in (0, 40, 80):
            rows = order[start : start + 40]
            by_hand.gradient(X[rows], T[rows])
            steps.step(by_hand.arena.values, by_hand.arena.grads)
    np.testing.assert_array_equal(net.arena.values, by_hand.arena.values)
    assert optimizer.t == 6


# What is promised of a run


def test_the_same_seed_gives_the_same_bits() -> None:
    def weights(seed: int) -> bytes:
        net = network()
        list(train(net, Adam(lr=0.01), X, T, epochs=2, batch_size=10, seed=seed))
        return net.arena.values.tobytes()

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)


def test_no_global_randomness_is_used() -> None:
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    list(train(network(), SGD(), X, T, epochs=1))
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_learns_and_the_records_say_so(dtype: str) -> None:
    net = network(dtype=dtype)
    records = list(train(net, Adam(lr=0.05), X, T, test=(X[:30], T[:30]), epochs=30, batch_size=16))
    assert [record.epoch for record in records] == list(range(1, 31))
    assert [record.seconds for record in records] == sorted(record.seconds for record in records)
    assert records[-1].train_loss < 0.1 < records[0].train_loss
    assert (records[-1].train_accuracy, records[-1].train_loss) == evaluate(net, X, T)
    assert (records[-1].test_accuracy, records[-1].test_loss) == evaluate(net, X[:30], T[:30])
    assert net.arena.values.dtype == dtype


def test_without_test_data_the_test_figures_are_nan() -> None:
    (record,) = train(network(), SGD(), X, T, epochs=1)
    assert math.isnan(record.test_accuracy)
    assert math.isnan(record.test_loss)
    assert "test" not in str(record)
    assert "test acc=0.50, test loss=0.70" in str(Record(1, 1.0, 1.0, 0.1, 0.5, 0.7))


def test_leaving_the_loop_stops_the_training() -> None:
    net, optimizer = network(), SGD()
    for record in train(net, optimizer, X, T, epochs=50, batch_size=103):
        if record.epoch == 3:
            break
    assert optimizer.t == 3


def test_data_are_left_as_they_are() -> None:
    x, t = X.copy(), T.copy()
    x.flags.writeable = t.flags.writeable = False
    list(train(network(dtype="float64"), SGD(), x, t, epochs=1, batch_size=10))
    np.testing.assert_array_equal(x, X)


def test_images_of_bytes_train_as_their_floats_do() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 4)).astype(np.uint8)
    weights = []
    for x in (images, (images / np.float32(255)).astype(np.float32)):
        net = network()
        list(train(net, SGD(lr=1.0), x, np.arange(50) % 2, epochs=2, batch_size=16))
        weights.append(net.arena.values)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-5, atol=1e-7)


# What is refused, at once and without a trace

NAN = np.where(X[5, 2] == X, math.nan, X)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"batch_size": 0}, ConfigError, r"batch_size = 0: should be greater than 0"),
        ({"batch_size": -1}, ConfigError, r"batch_size = -1"),
        ({"batch_size": True}, ConfigError, r"batch_size = True: should be a whole number"),
        ({"batch_size": 2.0}, ConfigError, r"batch_size = 2.0"),
        ({"batch_size": "8"}, ConfigError, r"batch_size = '8'"),
        ({"batch_size": None}, ConfigError, r"batch_size = None"),
        ({"metrics": ["f1"]}, ConfigError, r"measure them on; pass validation=\(x, t\)"),
        ({"epochs": 0}, ConfigError, r"epochs = 0"),
        ({"epochs": True}, ConfigError, r"epochs = True"),
        ({"epochs": math.inf}, ConfigError, r"epochs = inf"),
        ({"x": NAN}, DataError, r"x\[5, 2\] is nan"),
        ({"x": X[:0], "t": T[:0]}, DataError, "no examples"),
        ({"x": X[:100]}, DataError, r"100 examples with targets of shape \(103,\)"),
        ({"x": X[:, :2]}, ShapeError, "examples have shape"),
        ({"t": T[None]}, DataError, r"103 examples with targets of shape \(1, 103\)"),
        ({"t": T - 1}, DataError, "label -1 of example"),
        ({"t": T + 1}, DataError, "label 2 of example"),
        ({"test": (NAN, T)}, DataError, r"x\[5, 2\] is nan"),
        ({"test": (X, T[1:])}, DataError, "103 examples with targets"),
        ({"test": (X[:0], T[:0])}, DataError, "no examples"),
        ({"test": (X, T + 1)}, DataError, "label 2 of example"),
        ({"seed": -1}, ConfigError, "seed = -1: should be greater than or equal to 0"),
    ],
)
def test_a_refused_training_changes_nothing(
    changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    net, optimizer, rng = network(), Adam(), np.random.default_rng(3)
    list(train(net, optimizer, X, T, epochs=1, seed=rng))
    before = state_of(net, optimizer, rng)
    with pytest.raises(error, match=sentence):
        train(net, optimizer, **{"x": X, "t": T, "seed": rng, **changes})
    assert state_of(net, optimizer, rng) == before


def test_an_optimizer_of_another_network_is_refused_and_nothing_changes() -> None:
    net, optimizer, rng = network(), Adam(), np.random.default_rng(3)
    optimizer.step(np.ones(5), np.ones(5))
    before = state_of(net, optimizer, rng)
    with pytest.raises(ShapeError, match=r"this Adam began with float64 \(5,\); make a new one"):
        list(train(net, optimizer, X, T, seed=rng))
    assert state_of(net, optimizer, rng) == before


# Divergence


@pytest.mark.filterwarnings("error")
def test_a_learning_rate_that_is_too_big_is_found_where_it_strikes() -> None:
    layers: list[Layer] = [Dense(8), ReLU(), Dense(8), ReLU(), Dense(2)]
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), (4,))
    with pytest.raises(DivergenceError) as caught:
        list(train(net, SGD(lr=1e20), X, T, epochs=5, batch_size=50))
    assert caught.value.place in {"epoch 1", "epoch 2"}
    assert caught.value.__notes__ == [f"at {caught.value.place}"]
    message = str(caught.value)
    assert message.startswith(("batch 2: the loss is", "batch 3: the loss is"))
    assert "body.layers." in message
    assert "Try a smaller learning rate than SGD(lr=1e+20)" in message


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"body.layers.2.W": math.nan}, r"not finite is in body\.layers\.2\.W"),
        ({"body.layers.0.W": 3e38}, r"in the output of body\.layers\.0"),
        ({"body.layers.2.W": 3e38}, r"in the output of body\.layers\.2"),
    ],
)
def test_the_first_layer_that_is_not_finite_is_named(
    weights: dict[str, float], sentence: str
) -> None:
    layers: list[Layer] = [Dense(8), ReLU(), Dense(2)]
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), (4,))
    for address, value in weights.items():
        net.params()[address].value[...] = value
    before = net.arena.values.copy()
    with pytest.raises(DivergenceError, match=sentence) as caught:
        list(train(net, SGD(), 100 * abs(X), T, epochs=1, batch_size=50))
    assert str(caught.value).startswith("batch 1: the loss is ")
    assert caught.value.place == "epoch 1"
    np.testing.assert_array_equal(net.arena.values, before)
    with pytest.raises(DivergenceError, match=sentence):
        evaluate(net, 100 * abs(X), T)
    assert all("forward" not in vars(layer) for _, layer in net.layers())


# Measuring


@pytest.mark.parametrize("rows", [1, CHUNK, CHUNK + 1])
def test_evaluation_is_the_mean_over_all_examples(rows: int) -> None:
    net, rng = network(dtype="float64"), np.random.default_rng(0)
    x, t = rng.normal(size=(rows, 4)), rng.integers(0, 2, rows)
    p = net.predict_proba(x)
    accuracy, loss = evaluate(net, x, t)
    assert loss == pytest.approx(-np.log(p[np.arange(rows), t]).mean(), rel=1e-12)
    assert accuracy == pytest.approx((p.argmax(axis=1) == t).mean(), rel=1e-12)


def test_evaluation_leaves_parameters_and_gradients_alone() -> None:
    net = network()
    net.gradient(X, T)
    before = net.arena.values.copy(), net.arena.grads.copy()
    evaluate(net, X, T)
    np.testing.assert_array_equal((net.arena.values, net.arena.grads), before)


def test_watching_ends_with_an_error_too() -> None:
    net = network()
    with pytest.raises(KeyError), watched(net.layers(), lambda address, name, method: method):
        raise KeyError
    assert all("forward" not in vars(layer) for _, layer in net.layers())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((network, SGD), "optimizer = <class .*should be of type Optimizer, such as SGD()"),
        ((network, "adam"), "optimizer = 'adam': should be of type Optimizer"),
        ((Dense, SGD()), "network = <class .*should be of type Network"),
    ],
)
def test_classes_and_names_are_no_objects(arguments: Any, message: str) -> None:
    net, optimizer = arguments
    net = net() if net is network else net
    with pytest.raises(ConfigError, match=message):
        fit(net, optimizer, X, T)


def test_a_layer_is_no_network() -> None:
    layer: Any = Sequential([Dense(3)])
    for call in (evaluate, report, permutation_importance, partial(evaluate_metrics, metrics=[])):
        with pytest.raises(ConfigError, match=r"network = .*: should be of type Network; the arg"):
            call(layer, X, T)


@pytest.mark.parametrize("name", ["test", "validation"])
@pytest.mark.parametrize("given", [X, (X,), 3])
def test_test_data_are_a_pair_or_an_iterable_of_batches(name: str, given: Any) -> None:
    with pytest.raises(LayerkitError, match=r"should be \(x, t\)") as caught:
        fit(network(), SGD(), X, T, **{name: given})
    assert caught.value.place == name or given == (X,)


def test_training_options() -> None:
    assert Training() == Training(epochs=10, batch_size=128, seed=0, threads=1)
    wrong: dict[str, Any] = {"epochs": 0, "batch_size": 0, "seed": -1, "threads": 0}
    for option, bad in wrong.items():
        with pytest.raises(ConfigError, match=rf"Training\.{option} = {bad}"):
            Training(**{option: bad})


# Those who listen


class Journal(Callback):
    def train_begin(self, progress: Progress) -> None:
        self.lines: list[Any] = [progress.examples]

    def epoch_begin(self, progress: Progress) -> None:
        self.lines.append(f"begin {progress.epoch}")

    def batch_begin(self, progress: Progress) -> None:
        self.lines.append(progress.batch)

    def batch_end(self, progress: Progress) -> None:
        self.lines += [progress.batch, progress.size]
        assert type(progress.loss) is float

    def epoch_end(self, progress: Progress) -> None:
        self.lines.append(f"end {progress.record.epoch}")

    def train_end(self, progress: Progress) -> None:
        self.lines.append("end")


def test_callbacks_hear_everything_in_order() -> None:
    first, second = Journal(), Journal()
    records = fit(
        network(), SGD(), X, T, callbacks=[first, second], epochs=2, batch_size=50, seed=1
    )
    epoch = [0, 1, 50, 1, 2, 50, 2, 3, 3]
    assert first.lines == [103, "begin 1", *epoch, "end 1", "begin 2", *epoch, "end 2", "end"]
    assert second.lines == first.lines
    assert [record.epoch for record in records] == [1, 2]


def test_listening_changes_nothing() -> None:
    silent, heard = network(), network()
    fit(silent, Adam(), X, T, epochs=2)
    fit(heard, Adam(), X, T, epochs=2, callbacks=[Journal()])
    np.testing.assert_array_equal(silent.arena.values, heard.arena.values)


def test_own_loops_take_the_same_steps() -> None:
    net, whole = network(), network()
    optimizer = Adam(rates={"*.b": 0.5}, clip_norm=0.1)
    x = X.astype(np.float32)
    losses = [train_step(net, optimizer, x, T) for _ in range(5)]
    fit(whole, Adam(rates={"*.b": 0.5}, clip_norm=0.1), x, T, epochs=5, batch_size=103)
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(net.arena.values, whole.arena.values, rtol=1e-5)


def test_a_step_takes_a_gradient_whose_square_is_too_large() -> None:
    net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    net.arena.values[:] = [1, 0]
    assert train_step(net, SGD(lr=1e-30), [[1e13]], [0.0]) == pytest.approx(1e26)
    assert net.arena.grads[0] == pytest.approx(2e26)


def test_a_divergence_in_the_last_batch_is_told_with_advice() -> None:
    net = Network(Sequential([Dense(4), ReLU(), Dense(2)]), SoftmaxCrossEntropy(), shape=(3,))
    with pytest.raises(DivergenceError, match="Try a smaller learning rate") as caught:
        fit(net, SGD(lr=1e38), 100 * np.eye(3), [0, 1, 0], epochs=1)
    assert caught.value.place == "epoch 1"


def test_an_optimizer_that_remembers_another_network_is_refused() -> None:
    optimizer = Momentum(lr=0.1)
    nets = [Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,)) for _ in range(2)]
    x, t = np.eye(3), [0, 1, 0]
    for _ in range(2):  # going on with the same network is fine
        fit(nets[0], optimizer, x, t, epochs=1)
    before = nets[1].arena.values.copy()
    with pytest.raises(ShapeError, match="steps on other parameters, those of another network or"):
        fit(nets[1], optimizer, x, t, epochs=1)
    np.testing.assert_array_equal(nets[1].arena.values, before)
    net, optimizer = copy.deepcopy((nets[0], optimizer))
    fit(net, optimizer, x, t, epochs=1)
    net.initialize(0)
    before = net.arena.values.copy()
    for step in (partial(fit, epochs=1), train_step):
        with pytest.raises(ShapeError, match="or from before initialize; make a new one"):
            step(net, optimizer, x, t)
    np.testing.assert_array_equal(net.arena.values, before)
    train_step(net, Momentum(lr=0.1), x, t)
    assert (net.params()["body.W"].value.ravel() != before[:6]).any()


class Doubles(Augmentation):
    """Gives more examples than it gets."""

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        return np.concatenate([x, x])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": "forced"}, "resume = 'forced': should be False, True or 'force'"),
        ({"augmentation": ImageAugmentation(image=(7, 7))}, r"images of shape \(4,\); should be"),
        ({"augmentation": Doubles()}, r"returns float32 \(4, 4\); should be float32 \(2, 4\)"),
    ],
)
def test_what_would_fail_in_the_first_step_is_refused_before_it(
    options: dict[str, Any], message: str
) -> None:
    net, optimizer = Network(Dense(2), SoftmaxCrossEntropy(), (4,)), SGD()
    with pytest.raises(LayerkitError, match=message):
        fit(net, optimizer, np.eye(4), [0, 1, 0, 1], **options)
    assert optimizer.t == 0
