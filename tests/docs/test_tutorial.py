"""The tutorial's page: its pictures and tables show a step, and its flat programs are one."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs.generate.tutorial import values, write_tutorial
from layerkit import Dense, Momentum, Network, Sequential, Sigmoid, SoftmaxCrossEntropy, unroll

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
FOUR = ("body.layers.0.W", "body.layers.0.b", "body.layers.2.W", "body.layers.2.b")


def blocks() -> list[str]:
    section = PAGE.read_text(encoding="utf-8").partition("## The whole step, flat\n")[2]
    return re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.S)


@pytest.fixture
def net() -> Network:
    body = Sequential([Dense(64), Sigmoid(), Dense(10)])
    return Network(body, SoftmaxCrossEntropy(), shape=(64,))


def test_the_tables_have_the_numbers_of_a_step(tmp_path: Path) -> None:
    write_tutorial(tmp_path / "new")
    v = values()
    t = np.eye(10)[v["t"]]
    np.testing.assert_allclose(v["dz"], v["p"] - t, atol=1e-6)
    np.testing.assert_allclose(v["dh"], v["da"] * v["a"] * (1 - v["a"]), atol=1e-6)
    np.testing.assert_allclose(v["dW₁"], v["x"].T @ v["dh"], atol=1e-6)
    digits = (tmp_path / "new/digits.md").read_text(encoding="utf-8").splitlines()[2:]
    for k, row in enumerate(digits):
        printed = [float(cell) for cell in row.strip("|").split("|")]
        shown = [k, v["z"][0, k], v["p"][0, k], t[0, k], v["dz"][0, k]]
        np.testing.assert_allclose(printed, shown, atol=0.006)


def test_no_text_of_a_picture_leaves_it(tmp_path: Path) -> None:
    write_tutorial(tmp_path)
    for name in ("network", "flow"):
        svg = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        for x, anchor, words in re.findall(
            r'<text x="([\d.]+)".*?text-anchor="(\w+)".*?>(.*?)</text>', svg
        ):
            width = 6 * len(words)  # of letters of 10 or 11
            left = float(x) - (width / 2 if anchor == "middle" else 0)
            assert left > -8
            assert left + width < 368, words


def test_the_right_side_is_what_unroll_prints(net: Network) -> None:
    source = [line.strip() for line in unroll(net, Momentum()).splitlines()]
    for block in blocks()[1::2]:
        assert all(line in source for line in block.splitlines())


def test_the_left_side_takes_the_same_step(net: Network) -> None:
    feed_forward, cross_entropy, back_propagate, optimize = blocks()[::2]
    rng = np.random.default_rng(0)
    x, t = rng.random((8, 64)), rng.integers(0, 10, 8)
    loss = net.gradient(x, t)
    W1, b1, W2, b2 = (net.params()[name].value.astype(float) for name in FOUR)
    columns = {"W1": W1.T, "b1": b1[:, None], "W2": W2.T, "b2": b2[:, None]}
    names: dict[str, Any] = {"np": np, "X": x, "y": np.eye(10)[t], "m": 8, **columns}
    exec(feed_forward + cross_entropy + back_propagate, names)
    assert names["loss"] == pytest.approx(loss, abs=1e-5)
    for name, ours in zip(columns, FOUR, strict=True):
        grad = net.params()[ours].grad
        np.testing.assert_allclose(names[f"d{name}"].T.reshape(grad.shape), grad, atol=1e-6)
    names |= {"params": columns, "grads": {name: names[f"d{name}"] for name in columns}}
    names |= {"v": dict.fromkeys(columns, 0.0), "beta": 0.9, "l_rate": 4.0}
    exec(optimize, names)
    Momentum(lr=4.0, beta=0.9).step(net.arena.values, net.arena.grads)
    for name, ours in zip(columns, FOUR, strict=True):
        value = net.params()[ours].value
        np.testing.assert_allclose(columns[name].T.reshape(value.shape), value, atol=1e-5)
