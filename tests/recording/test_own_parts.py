"""Own layers, losses and optimizers: recorded to the bit, or refused in a sentence with its line.

Each case is the body of a method, as a user writes it, and the beginning of what is said of it.
"""

import copy
import doctest
import linecache
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import (
    Array,
    Dense,
    Graph,
    Layer,
    Loss,
    MeanSquaredError,
    Network,
    Optimizer,
    Reshape,
    Sequential,
    Sigmoid,
)
from layerkit.errors import RecordingError
from layerkit.recording import record
from tests.recording.test_recording import assert_predicts, assert_steps, batch

DECISION = "a decision by the values of an array; what is done may depend on shapes and options "
TAKEN = "numbers are taken out of an array, and would be the same in all steps; leave it an array"
LOOP = "the operations differ from batch to batch: "
ELSEWHERE = "an array of shape (11, 3) that differs from batch to batch and was made where nothing "
OTHER = "gives other numbers with another batch than was recorded: something depends on values, "
NUMBER = "a number that differs from batch to batch, "
SIZE = "the size of what "
LAYERS = [
    # recorded
    ("return x**2 + 2.0**-abs(x)", ""),
    ("y = x * 2; y += 1; y[x < 0] = 0; return y", ""),
    ("y = np.empty_like(x); y[:, 0] = x[:, 0]; y[:, 1:] = 2 * x[:, 1:]; return y", ""),
    ("y = np.empty(x.shape, x.dtype); np.multiply(x, 2, out=y); return y", ""),
    ("y = np.zeros(x.shape, x.dtype); np.copyto(y, x); return y + x", ""),
    ("y = np.zeros(x.shape, x.dtype); y += x; return y", ""),
    ("return np.stack([x[:, j] * j for j in range(x.shape[1])], axis=1)", ""),
    ("a, b, c = x.T; return np.stack([c, b, a], axis=1)", ""),
    ("return (np.eye(3, dtype=x.dtype) @ x.T).T", ""),
    ("return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-5) * (1 / len(x))", "", 2),
    ("return np.where(x > 0, x, 0.1 * x) * np.sign(x.sum())", ""),
    ("return x * x[np.arange(len(x)), x.argmax(axis=1)][:, None]", ""),
    ("return np.einsum('ni,nj->ni', x, x) / np.linalg.norm(x, axis=1, keepdims=True)", ""),
    ("return np.take_along_axis(x, np.argsort(x, axis=1), axis=1)", ""),
    ("q, r = np.linalg.qr(x.T @ x); return x @ r + np.linalg.slogdet(x.T @ x).sign", ""),
    ("return x[:, np.array([True, False, True])].sum(axis=1)[:, None] * x", ""),
    ("return np.fft.fft(x, axis=1).real.astype(x.dtype) + copy.deepcopy(x)", ""),
    ("text = f'{x.sum():.2f} {x}'; return x * 2", ""),
    ("return x * 2 if x.shape[1] > 2 and x.dtype.kind == 'f' else x", ""),
    ("from scipy.special import erf; return erf(x)", ""),
    # decisions
    ("if x.max() > 3:\n    return 2 * x\nreturn x * 1", "`if x.max() > 3:`: " + DECISION),
    ("while x.max() > 1: x = x / 2\nreturn x", "`while x.max() > 1: x = x / 2`: " + DECISION),
    ("return x * (1 if x.sum() > 0 else -1)", DECISION),
    ("return x * 2 if x.any() and not (x < 0).all() else x", DECISION),
    ("assert np.isfinite(x).all()\nreturn x * 1", DECISION),
    ("return x / max(x.max(), 1.0)", DECISION),
    ("return x * min(x[0])", DECISION),
    ("return x * sorted(x[:, 0])[0]", DECISION),
    ("return x * 2 if 0.0 in x else x * 1", DECISION),
    ("return x * 2 if any(x[:, 0] > 0) else x * 1", DECISION),
    ("return x * len({x.sum()})", DECISION),
    ("return x * 2 if np.allclose(x, 0) else x", "allclose returns False, to decide by it; "),
    ("return x * 2 if np.array_equal(x, x.T.T) else x", "array_equal returns True, to decide"),
    # numbers
    ("return x * float(x.sum())", TAKEN),
    ("return x / math.sqrt((x * x).sum())", TAKEN),
    ("return x[:, [int(x.sum(axis=0).argmax())]] * x", TAKEN),
    ("return np.array(x.tolist(), x.dtype)", TAKEN),
    ("return x * [1, 2][(x.sum() > 0).astype(int)]", TAKEN),
    ("return round(x.sum()) * x", TAKEN),
    ("return x * x.flat[0]", TAKEN),
    ("w = np.ones(3, x.dtype); w[0] = x.sum(); return x * w", TAKEN),
    ("try: s = float(x.sum())\nexcept Exception: s = 1.0\nreturn x * s", TAKEN),
    ("return x * math.exp(-abs(x.sum().item()))", "a decision by a number, "),
    ("return pickle.loads(pickle.dumps(x)) * 2", TAKEN),
    # sizes
    ("return x * x[x > 0].sum()", "x[mask] has as many numbers as there are true ones"),
    ("return x * len(np.nonzero(x)[0])", SIZE + "nonzero returns depends on values"),
    ("return x * len(x.nonzero()[0])", SIZE + "nonzero returns depends on values"),
    ("return x * len(np.unique(x))", SIZE + "unique returns depends on values"),
    ("return x * len(np.where(x > 0)[0])", SIZE + "where returns depends on values"),
    # the batch
    ("return np.stack([row * 2 for row in x])", LOOP),
    ("y = np.zeros_like(x)\nfor i in range(len(x)): y[i] = 2 * x[i]\nreturn y", LOOP),
    ("return x * sum(x[:, 0])", LOOP),
    ("return x * len(x) ** 0.5", NUMBER),
    ("return x * 2 if len(x) > 12 else x * 1", NUMBER),
    ("return x[: min(20, len(x))].sum(axis=0) + x", OTHER),
    ("return x * 2 if len(x) > 1 else x * 1", OTHER),
    # kept from the batch before
    ("self.count = getattr(self, 'count', 0) + 1; return x * self.count", OTHER),
    ("self.m = 0.9 * getattr(self, 'm', 0) + 0.1 * x.mean(axis=0); return x - self.m", OTHER),
    ("TOTAL.append(1); return x * len(TOTAL)", NUMBER),
    # where nothing is recorded
    ("return np.eye(3, dtype=x.dtype).dot(x.T).T", ELSEWHERE),
    (
        "return np.array([[1.0], [2.0]], x.dtype)[(x[:, 0] > 0).astype(int)] * x",
        "an array of shape",
    ),
    ("y = np.zeros(x.shape, x.dtype); y[...] = x; return y", ELSEWHERE),
    ("y = np.zeros(x.shape, x.dtype); y += x; return y + 1", ELSEWHERE),
    ("return np.take(np.eye(3, dtype=x.dtype), x.argmax(axis=1), axis=0) * x", ELSEWHERE),
    ("return np.asarray(x) * 2", ELSEWHERE),
    ("return np.array([x[:, 0], x[:, 1], x[:, 2]]).T", ELSEWHERE),
    ("return np.vectorize(lambda v: max(v, 0))(x).astype(x.dtype)", ELSEWHERE),
    ("return x + np.random.default_rng(0).random(x.shape, x.dtype)", ELSEWHERE),
    ("y = x * 2; y.shape = (y.size,); return y.reshape(x.shape)", "a view of shape (33,)"),
    ("return x * 2 if type(x) is np.ndarray else x * 3", OTHER),
    ("return x * 2 if isinstance(x.sum(), np.floating) else x * 3", OTHER),
    ("return x * x.sum().is_integer()", "AttributeError with a recorded array in the place"),
]


class Part:
    """The base of the classes below: how their methods are made of text that has lines."""

    @staticmethod
    def method(head: str, text: str, path: Path) -> Any:
        lines = text.replace("; ", "\n").splitlines()
        path.write_text(f"def {head}:\n" + "".join(f"    {line}\n" for line in lines))
        linecache.checkcache()
        space = {"np": np, "math": math, "copy": copy, "TOTAL": []}
        import pickle

        exec(compile(path.read_text(), str(path), "exec"), space | {"pickle": pickle}, space)
        return space[head.partition("(")[0]]


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # of NumPy 2.5
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case[0])
def test_layers_are_recorded_or_refused(case: tuple[Any, ...], tmp_path: Path) -> None:
    text, said, *_ = case
    forward = Part.method("forward(self, x, train=True)", text, tmp_path / "own.py")
    kind = type("_Own", (Layer,), {"forward": forward, "backward": lambda self, dy: dy})
    net = Network(kind(), MeanSquaredError(), shape=(3,))
    x = batch(5, (3,), "float32")
    if not said:
        program = record(net, x)
        for N in (1, 7, 50):
            assert_predicts(program, net, batch(N, (3,), "float32"))
            assert_predicts(program, net, batch(N, (3,), "float32", "extreme"))
        return
    with pytest.raises(RecordingError) as caught:
        record(net, x)
    sentence = str(caught.value)
    assert sentence.startswith("body: own.py:")
    assert said in sentence
    assert "\n" not in sentence


UPDATES = [
    ("w -= self.lr * np.sign(g)", ""),
    ("w -= self.lr / self.t**0.5 * g", ""),
    ("v *= 0.9; v += g; np.subtract(w, self.lr * v / (1 - 0.9**self.t), out=w)", ""),
    ("np.multiply(g, self.lr, out=self.s); w -= self.s; np.copyto(v, g)", ""),
    ("w -= self.lr * np.where(self.t > 10, 0.5, 1.0) * g", ""),
    ("w -= self.lr * min(1, 3 / self.t) * g", "a decision by a number, 0, that differs from step"),
    ("if self.t == 1: v += g\nw -= self.lr * v", "a decision by a number, 1, that differs"),
    ("w -= self.lr / math.sqrt(self.t) * g", "a decision by a number, 1, that differs from step"),
    ("w -= self.lr * g / [1, 2][self.t % 2]", "a decision by a number, 1, that differs from step"),
    ("if (g * g).sum() > 1: g = g / (g * g).sum()\nw -= self.lr * g", DECISION),
    ("w -= self.lr * g / float(abs(g).max())", TAKEN),
    ("self.n = getattr(self, 'n', 0) + 1; w -= self.lr / self.n * g", "w: gives other numbers"),
    ("w -= self.lr * g if self.again is None else self.again() * g", "_Own searches: it evaluat"),
    ("w[g > 0] -= self.lr", "x[mask] has as many numbers as there are true ones"),
]


class Ruled(Optimizer):
    """With the only option of the rules above."""

    lr: float = 0.1

    def update(self, w: Array, g: Array, *slots: Any) -> None: ...


@pytest.mark.parametrize(("text", "said"), UPDATES)
def test_optimizers_are_recorded_or_refused(text: str, said: str, tmp_path: Path) -> None:
    update = Part.method("update(self, w, g, v)", text, tmp_path / "own.py")
    kind = type("_Own", (Ruled,), {"update": update, "slots": ("v",)})
    net, optimizer = Network(Dense(2), MeanSquaredError(), shape=(3,)), kind()
    x, t = batch(5, (3,), "float32"), batch(5, (2,), "float32")
    if not said:
        program = record(net, x, t, optimizer)
        for N in (7, 1, 50):
            args = batch(N, (3,), "float32"), batch(N, (2,), "float32")
            assert_steps(program, net, *args, optimizer=optimizer)
        return
    with pytest.raises(RecordingError) as caught:
        record(net, x, t, optimizer)
    assert said in str(caught.value)
    assert "optimizer: own.py:" in str(caught.value) or said[0] in "_w"


LOSSES = [
    ("self.e = z - t; return (self.e**2).mean(axis=-1)", ""),
    ("self.e = np.tanh(z - t); return abs(self.e).sum(axis=-1)", ""),
    ("self.e = z - t; return np.stack([(e**2).sum() for e in self.e])", LOOP),
    ("self.e = z - t; self.e /= max(1.0, abs(self.e).max()); return self.e.sum(axis=-1)", DECISION),
    ("self.e = z - t; return (self.e**2).mean(axis=-1) * float(t.max())", TAKEN),
    ("self.e = z - t; return np.asarray(self.e).sum(axis=-1)", "a number that was made where"),
    ("self.e = np.asarray(z - t); return (z * z).sum(axis=-1)", ELSEWHERE.replace("3", "2")),
]


@pytest.mark.parametrize(("text", "said"), LOSSES)
def test_losses_are_recorded_or_refused(text: str, said: str, tmp_path: Path) -> None:
    losses = Part.method("losses(self, z, t)", text, tmp_path / "own.py")
    kind = type("_Own", (Loss,), {"losses": losses, "gradients": lambda self: self.e * 2})
    net = Network(Dense(2), kind(), shape=(3,))
    x, t = batch(5, (3,), "float32"), batch(5, (2,), "float32")
    if not said:
        assert_steps(record(net, x, t), net, x, t)
        return
    with pytest.raises(RecordingError) as caught:
        record(net, x, t)
    assert str(caught.value).startswith("loss: ")
    assert said in str(caught.value)


# docs/extending.md


def test_the_examples_of_the_documentation_are_recorded() -> None:
    page = Path(layerkit.__file__).parents[1] / "docs" / "extending.md"
    space: dict[str, Any] = {"__name__": "own_parts_of_the_page"}
    for example in doctest.DocTestParser().get_examples(page.read_text(encoding="utf-8")):
        if example.source.startswith(("class ", "import ", "from ")) and not example.exc_msg:
            exec(example.source, space)
    own: list[Any] = [value for value in space.values() if isinstance(value, type)]
    own = [kind for kind in own if kind.__module__ == space["__name__"]]
    options = {"Damped": [Dense(3)], "Gated": [Dense(3), Dense(3)]}
    x, t = batch(9, (3,), "float32"), batch(9, (3,), "float32")
    for kind in own:
        body: Layer = Dense(3)
        loss: Loss = MeanSquaredError()
        optimizer, targets = None, t
        if issubclass(kind, Layer) and kind.__name__ != "Careless":  # which writes to dy
            part = kind(*options.get(kind.__name__, []))
            body = Sequential([Dense(3), part, Sigmoid()])
            if kind.__name__ == "Attend":
                nodes = {"m": Sequential([Dense(12), Reshape((4, 3))]), "y": part}
                body = Graph(nodes, ["input -> m", "input, m -> y -> output"])
        elif issubclass(kind, Loss):
            loss = kind()
            targets = np.arange(9) % 3 if loss.judges_classes else t
        elif issubclass(kind, Optimizer):
            optimizer = kind()
        net = Network(body, loss, shape=(3,))
        net = net if net.adapted else net.adapt(x)
        assert_predicts(record(net, x), net, x[:4])
        step = record(net, x, targets, optimizer)
        for N in (4, 7):
            assert_steps(step, net, x[:N], targets[:N], optimizer=optimizer)
    assert len(own) > 15
