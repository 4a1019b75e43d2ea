"""Traces: what is seen of a recorded step, as a table and as a page."""

import base64
import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LBFGS,
    SGD,
    Adam,
    Array,
    BatchNorm,
    CosineSchedule,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    Identity,
    Layer,
    LayerkitError,
    MeanSquaredError,
    Momentum,
    Multiply,
    Network,
    Optimizer,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    Trace,
    fit,
    record,
    trace,
)
from layerkit.cli import main
from layerkit.recording.authors import formulas
from layerkit.recording.page import page
from layerkit.recording.traces import extent

X, T = np.random.default_rng(0).random((5, 3)), np.array([0, 1, 1, 0, 1])


def small(*layers: Layer) -> Network:
    body = Sequential([Dense(4), *(layers or [Sigmoid()]), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(3,))


def test_a_program_has_the_calls_of_the_layers() -> None:
    program = record(small(Sigmoid(), Identity(), Dropout(0.5)), X, T)
    calls = {(call.phase, call.address): call for call in program.calls}
    names = ["body", *(f"body.layers.{i}" for i in range(5))]
    assert set(calls) == {(phase, name) for phase in ("forward", "backward") for name in names}
    for call in calls.values():
        if call.address != "body":
            ops = program.ops[call.start : call.stop]
            assert {(op.phase, op.address) for op in ops} <= {(call.phase, call.address)}
    assert calls["forward", "body.layers.1"].outputs == calls["forward", "body.layers.2"].inputs
    assert calls["backward", "body.layers.0"].outputs == ()


def values(found: Trace) -> dict[str, Array]:
    return {
        f"{step.phase} {step.address} {name}": array
        for step in found.steps
        for name, array in step.values.items()
    }


@pytest.mark.parametrize(
    "layer",
    [
        Sigmoid(),
        Identity(),
        BatchNorm(),
        Residual(Dense(4)),
        Graph({"a": Dense(4), "m": Multiply()}, ["input -> a", "input, a -> m", "m -> output"]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_all_numbers_are_those_of_the_step(layer: Layer) -> None:
    net = small(copy.deepcopy(layer))
    seen = values(trace(net, X, T, Momentum(lr=0.5)))
    before = net.arena.values.copy()
    loss = net.gradient(X, T)
    assert seen["loss loss L"] == np.float64(loss)
    inner = {a for a, part in net.layers() if not any(part.parts())}
    for address, param in net.params().items():
        place, _, name = address.rpartition(".")
        np.testing.assert_array_equal(seen[f"backward {place} d{name}"], param.grad)
    assert {key.split()[1] for key in seen} >= inner
    optimizer = Momentum(lr=0.5)
    optimizer.bind(net.arena)
    optimizer.step(net.arena.values, net.arena.grads)
    for address, param in net.params().items():
        step = param.value - before[net.arena.slices[address]].reshape(param.shape)
        np.testing.assert_array_equal(seen[f"optimizer optimizer step of {address}"], step)


def test_standardized_targets_are_those_of_the_loss() -> None:
    net, t = Network(Dense(1), MeanSquaredError(), shape=(3,)), 100.0 + T
    net.check(X, t, learn=True, standardize=True)
    found = trace(net, X, t)
    seen = values(found)
    np.testing.assert_array_equal(
        seen["input input t"][:, 0], net.targets.convert(t[:, None])[:, 0]
    )
    np.testing.assert_allclose(seen["loss loss L"], net.gradient(X, t), rtol=1e-6)
    names = [name for moment in found.steps[2].moments for name in moment.reads]
    assert {"z", "t"} <= set(names)


def test_a_prediction_has_the_outputs_of_all_layers() -> None:
    net = small(Sigmoid(), Identity())
    seen = values(trace(net, X))
    for i in range(4):
        y = net.outputs(X, of=f"body.layers.{i}")
        np.testing.assert_array_equal(seen[f"forward body.layers.{i} y"], y)
    np.testing.assert_array_equal(seen["outputs loss p"], net.predict_proba(X))


def test_nothing_is_changed() -> None:
    net, optimizer = small(Dropout(0.5)), Adam()
    rng = dict(net.layers())["body.layers.1"].rng
    before, state = net.arena.values.copy(), rng.bit_generator.state
    for _ in range(2):
        trace(net, X, T, optimizer)
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(net.arena.values, before)
    assert optimizer.t == 0


def test_statements_have_their_names_and_what_they_read_and_make() -> None:
    steps = trace(small(), X, T, Momentum()).steps
    lines = [
        (
            moment.statement.title,
            " ".join(
                moment.statement.lines[moment.statement.start : moment.statement.stop]
            ).strip(),
            list(moment.reads),
            list(moment.writes),
        )
        for step in steps
        for moment in step.moments
        if moment.statement
    ]
    for expected in [
        ("Dense.forward", "y = product(x, self.W.value)", ["x", "W"], ["y"]),
        ("Dense.forward", "y += self.b.value", ["y", "b"], ["y"]),
        ("Sigmoid.forward", "e, y = exponentials(x)", ["x"], ["e", "y"]),
        ("Sigmoid.backward", "dx = self.e * self.s", ["e", "s"], ["dx"]),
        ("Dense.backward", "self.x.T.dot(dy, out=self.W.grad)", ["x", "dy"], ["dW"]),
        ("SoftmaxCrossEntropy.row_losses", "log_p = log_softmax(z)", ["z"], ["log_p"]),
    ]:
        assert expected in lines
    assert lines[-1][1] == "w -= np.multiply(v, self.lr, out=self.s)"
    assert "w: body.layers.0.W" in lines[-1][3]


def test_what_a_statement_reads_is_not_what_it_makes_of_it() -> None:
    net = small()
    net.params()["body.layers.0.b"].value = np.arange(4.0)
    add = trace(net, X, T).steps[1].moments[1]
    np.testing.assert_array_equal(add.reads["y"] + add.reads["b"], add.writes["y"])


def test_an_own_layer_has_its_source_and_no_formula() -> None:
    class DoublesInTrace(Layer):
        def forward(self, x: Array, train: bool = True) -> Array:
            return 2 * x

        def backward(self, dy: Array) -> Array:
            return 2 * dy

    step = trace(small(DoublesInTrace()), X, T).steps[2]
    assert (step.layer, step.formula) == ("DoublesInTrace", "")
    (moment,) = step.moments
    assert moment.statement is not None
    assert moment.statement.lines[moment.statement.start] == "    return 2 * x"


@pytest.mark.parametrize("cls", [Dense, Sigmoid, Embedding, BatchNorm, SGD, SoftmaxCrossEntropy])
def test_formulas_have_no_remarks(cls: type) -> None:
    forward, backward = formulas(cls)
    assert re.search(r"(=|<-) ", forward)
    assert not re.search(r": [a-z]|\.$|dx|dW", forward)
    assert all(part.startswith("d") for part in backward.split("; ") if backward)


def test_the_first_step_of_a_schedule_is_taken() -> None:
    optimizer = SGD(lr=1.0, schedules={"lr": CosineSchedule(warmup=10)})
    net = small()
    optimizer.bind(net.arena, steps=100)
    seen = values(trace(net, X, T, optimizer))
    rate = optimizer.schedules["lr"](0, 100)
    step, gradient = (
        seen["optimizer optimizer step of body.layers.2.b"],
        seen["backward body.layers.2 db"],
    )
    np.testing.assert_allclose(step, -rate * gradient, rtol=1e-3)


def test_a_line_may_have_several_statements() -> None:
    class TwoInTrace(Layer):
        def forward(self, x: Array, train: bool = True) -> Array:
            self.x = x; return 2 * x  # fmt: skip  # noqa: E702

        def backward(self, dy: Array) -> Array:
            return 2 * dy

    found = trace(small(TwoInTrace()), X, T)
    [moment] = next(step for step in found.steps if step.layer == "TwoInTrace").moments
    assert moment.statement is not None
    assert "return 2 * x" in moment.statement.lines[moment.statement.start]


def test_the_table_is_aligned() -> None:
    text = str(trace(small(), X[:1], T[:1], SGD(lr=0.1)))
    lines = text.split("\n")
    assert lines[0].split() == [
        *("phase", "address", "value", "shape", "smallest", "mean", "largest", "zeros", "formula")
    ]
    assert "y = 1 / (1 + exp(-x))" in text
    assert lines[3].startswith("forward    body.layers.0  y ")


@pytest.mark.parametrize(
    ("numbers", "dtype", "mean"),
    [
        ([0.1, 0.2, -0.3], "f4", 0),  # -2.5e-9 by rounding
        ([1.0, 1e-6 - 1], "f4", 5.07e-7),
        ([1.0, 1e-9 - 1], "f8", 5e-10),
        ([1, -1, 2**40], "i8", 2**40 / 3),
        ([1.0, np.inf], "f4", np.inf),
    ],
)
def test_a_mean_that_is_only_rounding_is_0(numbers: Any, dtype: str, mean: float) -> None:
    assert extent(np.array(numbers, dtype))[1] == pytest.approx(mean, rel=0.01, abs=0)


def test_dz_of_a_softmax_has_the_mean_0_in_the_table_and_on_the_page() -> None:
    net = Network(Dense(10), SoftmaxCrossEntropy(), shape=(3,))
    found = trace(net, X[:1].astype(np.float32), T[:1])
    (line,) = [line for line in str(found).split("\n") if " dz " in line]
    assert line.split()[6] == "0"
    data = json.loads(Page(page(found)).data)
    writes = [array for step in data["steps"] for m in step["moments"] for array in m["writes"]]
    *_, last = [i for name, i, _ in writes if name == "dz"]
    assert data["arrays"][last]["stats"][1] == 0


@pytest.mark.parametrize(
    ("layers", "x", "optimizer", "image", "says"),
    [
        ([BatchNorm()], X[:1], None, None, "BatchNorm needs at least 2 .* there is 1 .*--batch 2"),
        ([], X, None, (2, 2), r"image = \(2, 2\): .*; an example has the shape \(3,\)"),
        ([], X, None, 3, "image = 3: should be a height and a width"),
        ([], X[:, :2], None, None, "examples have shape"),
        ([], X, LBFGS(), None, "LBFGS searches"),
        ([Standardize()], X, None, None, "has not seen them yet"),
    ],
)
def test_what_cannot_be_traced_is_refused(
    layers: list[Layer], x: Array, optimizer: Optimizer | None, image: Any, says: str
) -> None:
    with pytest.raises(LayerkitError, match=says):
        trace(small(*layers), x, T[: len(x)], optimizer, image=image)


def test_targets_that_are_standardized_are_said_to_be() -> None:
    net = Network(Dense(1), MeanSquaredError(), shape=(3,))
    t = 1000 + X[:, 0]
    assert "t is standardized" not in repr(trace(net, X, t))
    fit(net, SGD(), X, t, epochs=1, standardize_targets=True)
    assert "t is standardized: (t - mean) / scale" in repr(trace(net, X, t))
    assert "t is standardized" not in repr(trace(net, X))


# the page


class Page(HTMLParser):
    """Finds the addresses that a page names, its data, and what its elements are called."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data, self.inside = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.addresses += [str(found[name]) for name in ("src", "href", "action") if name in found]
        self.inside = found.get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.data += data
            self.inside = False


def decoded(array: dict[str, Any]) -> Array:
    numbers = np.frombuffer(base64.b64decode(array["data"]), "<f2").astype(float)
    shape = [n if a is None else len(a) for n, a in zip(array["shape"], array["axes"], strict=True)]
    return np.ldexp(numbers, array["scale"]).reshape(shape)


def test_the_page_needs_nothing_else_and_has_all_numbers() -> None:
    net = small(Standardize())
    net.adapt(X)
    found = trace(net, X, T, Adam(), title="<b>Step</b>")
    found.classes = ["</script>", "yes"]
    text = page(found)
    parsed = Page(text)
    assert parsed.addresses == []
    assert not re.search(r"https?:|@import|url\(|fetch\(|import\(", text)
    assert text.count("</script>") == 2
    assert "&lt;b&gt;Step" in text
    assert text.count("&lt;b&gt;Step&lt;/b&gt;") == 2
    assert "${step.phase}, ${title}" in text
    data = json.loads(parsed.data)
    assert data["classes"] == found.classes
    assert [s["formula"] for s in data["steps"]] == [s.formula for s in found.steps]
    for step, of in zip(data["steps"], found.steps, strict=True):
        for moment, known in zip(step["moments"], of.moments, strict=True):
            for kind, arrays in (("reads", known.reads), ("writes", known.writes)):
                assert [name for name, *_ in moment[kind]] == list(arrays)
                for (_, i, _), array in zip(moment[kind], arrays.values(), strict=True):
                    shown = decoded(data["arrays"][i])
                    largest = np.abs(array).max(initial=0.0)
                    np.testing.assert_allclose(shown, array, rtol=1e-3, atol=1e-9 * largest)


def test_all_controls_of_the_page_have_names() -> None:
    tags = Page(page(trace(small(), X, T))).tags
    for tag, attributes in tags:
        if tag in ("button", "input", "nav", "section") and attributes.get("id") != "theme":
            assert "aria-label" in attributes, (tag, attributes)
    assert ("html", {"lang": "en"}) in tags
    assert any(attributes.get("aria-live") == "polite" for _, attributes in tags)


def test_the_page_of_the_tutorials_network_is_small() -> None:
    body = Sequential([Dense(64), Sigmoid(), Dense(10)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(784,))
    x = np.random.default_rng(0).integers(0, 256, (1, 784), np.uint8)
    assert len(page(trace(net, x, [3], Adam(), image=(28, 28)))) < 2e6


def test_what_has_pixels_is_shown_as_images_and_nothing_else() -> None:
    layers = [Standardize(), Dense(4), Sigmoid(), Dense(4)]
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), shape=(4,))
    x = np.random.default_rng(0).random((5, 4))
    net.adapt(x)
    data = json.loads(Page(page(trace(net, x, T, SGD(lr=0.1), image=(2, 2)))).data)
    images = {
        (step["phase"], step["address"], name, axis)
        for step in data["steps"]
        for moment in step["moments"]
        for name, _, axis in moment["reads"] + moment["writes"]
        if axis is not None
    }
    first, dense = "body.layers.0", "body.layers.1"
    assert {("input", "input", "x", 1), ("forward", first, "y", 1)} <= images
    assert {("forward", dense, "x", 1), ("forward", dense, "W", 0)} <= images
    assert {("backward", dense, "dW", 0), ("optimizer", "optimizer", f"w: {dense}.W", 0)} <= images
    assert {address for _, address, _, _ in images} == {"input", first, dense, "optimizer"}
    assert not {name for _, address, name, _ in images if address == dense} & {"y", "dy", "b"}


@pytest.mark.parametrize(
    ("shape", "image", "shown"),
    [
        ((784, 64), (28, 28), (784, 64)),
        ((784, 800), (28, 28), (784, 83)),
        ((90_000, 2), (300, 300), (90_000, 1)),
        ((10**6,), None, (65536,)),
        ((0, 3), None, (0, 3)),
    ],
)
def test_large_arrays_are_shown_in_part(shape: Any, image: Any, shown: Any) -> None:
    from layerkit.recording.page import _Pictures

    pictures = _Pictures(image)
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    picture = pictures.arrays[pictures.number(array)]
    found = decoded(picture)
    assert found.shape == shown
    axes = [range(n) if a is None else a for n, a in zip(shape, picture["axes"], strict=True)]
    np.testing.assert_allclose(found, array[np.ix_(*axes)], rtol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300, 1e-300, 0.0, 7])
def test_any_number_can_be_shown(value: float) -> None:
    from layerkit.recording.page import _Pictures

    picture = _Pictures(None)._plain(np.array([value]))
    json.dumps(picture, allow_nan=False)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(decoded(picture)[0], value, rtol=1e-3)


def test_a_notebook_shows_the_page(tmp_path: Path) -> None:
    net = Network(Sequential([Flatten(), Dense(2)]), MeanSquaredError(), shape=(2, 2))
    found = trace(net, np.ones((1, 2, 2)), [[0.0, 1.0]])
    assert found._repr_html_().startswith("<iframe srcdoc=")
    found.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page(found)


# the command


EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def said(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    """What the command prints; an error with a line for each."""
    status = main([*map(str, words)])
    found = capsys.readouterr()
    assert bool(found.err) == bool(status)
    return found.err or found.out


def test_the_command_traces_a_file_and_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run, out = EXPERIMENTS / "digits.toml", tmp_path / "run", tmp_path / "page.html"
    first = said(capsys, "trace", file, "--html", out)
    assert "body.layers.0  y                        (1, 64)" in first
    assert json.loads(Page(out.read_text(encoding="utf-8")).data)["image"] == [8, 8]
    main(["train", str(file), "--set", "training.epochs=1", "--out", str(run)])
    capsys.readouterr()
    trained = said(capsys, "trace", run, "--batch", 7)
    assert "body.layers.0  y                        (7, 64)" in trained
    loss = [line.split()[4] for line in trained.split("\n") if line.startswith("loss")]
    assert float(loss[0]) < 1
    assert "--set is for files" in said(capsys, "trace", run, "--seed", 3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--example", "1437"], "digits has 1,437 training examples, from 0 to 1436"),
        (["--example", "-1"], "example -1: digits has 1,437"),
        (["--batch", "0"], "a batch of 0 examples: digits has 1,437 training examples"),
        (["--html", "page.txt"], "--html page.txt: should end in .html"),
        (["--html", "none/a.html"], "none/a.html: can't be written: there is no folder none"),
        (["--set", "optimizer.type=LBFGS", "--set", "optimizer.beta=1"], "beta"),
        (["--set", 'optimizer={type="LBFGS"}'], "digits.toml: LBFGS searches"),
    ],
)
def test_the_command_refuses(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "trace", EXPERIMENTS / "digits.toml", *words)
    assert says in text
    assert "body.layers" not in text  # nothing has been traced
