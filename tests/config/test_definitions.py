"""Classes of one's own: what would be ignored, or fail in Python's words, is said at once."""

from textwrap import dedent
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import ConfigError
from layerkit.config.definitions import check_definition
from layerkit.config.options import Configurable

FORWARD = "def forward(self, x, train=True): ..."
BACKWARD = "def backward(self, dy): ..."


def define(base: str, *body: str) -> Any:
    """Define a class as a user would, with a base class of layerkit's, and make an object."""
    names: dict[str, Any] = {**vars(layerkit), "np": np, "__name__": "mine"}
    lines = "\n".join(f"        {line}" for line in body)
    source = f"from dataclasses import field\ndef f():\n    class Mine({base}):\n{lines}\n"
    exec(dedent(source) + "    return Mine\nMine = f()", names)
    return names["Mine"]()


@pytest.mark.parametrize(
    ("base", "body", "sentence"),
    [
        # options
        (
            "Layer",
            ["beta = 1.0"],
            "beta = 1.0: write beta: float = 1.0 for an option, self.beta = ",
        ),
        ("Layer", ["on = True"], "on = True: write on: bool = True for an option"),
        (
            "Optimizer",
            ["lr = 0.1"],
            "lr = 0.1: write lr: float = 0.1 for an option, or LR = 0.1 fo",
        ),
        ("SGD", ["lr = 0.1"], "lr = 0.1: has no type: write lr: Rate = 0.1"),
        (
            "Layer",
            ["init = Ones()"],
            "write init: Initializer = field(default_factory=lambda: Ones",
        ),
        ("Layer", ["init = field()"], "init: has no type: write init: … = field(…)"),
        (
            "Callback",
            ["losses = []"],
            "losses = []: all objects would share it: write losses: list",
        ),
        ("Callback", ["losses = []"], "self.losses = [] in train_begin for what changes"),
        (
            "Layer",
            ["table = np.arange(3)"],
            "share it: assign it in build, self.table = …",
        ),
        ("Callback", ["losses: list[float] = []"], "list[float] = field(default_factory=list), w"),
        (
            "Layer",
            ["init: Initializer = Ones()"],
            "Ones(): all objects would share it: write init: Initializer = field(default_factory="
            "lambda: Ones()), with field from dataclasses",
        ),
        (
            "Layer",
            ["table: float = np.arange(3)"],
            "table: float = field(default_factory=lambda: arr",
        ),
        # constructors
        *[
            (base, ["def __init__(self): ..."], "has an __init__, of which files and copies would")
            for base in ("Layer", "Optimizer", "Loss", "Callback", "Initializer", "Schedule")
        ],
        # methods that are missing, or have other names
        ("Layer", [FORWARD], "Mine has to write def backward(self, dy)"),
        ("Layer", ["NAME = 1"], "def forward(self, x, train=True) and def backward(self, dy)"),
        (
            "Layer",
            ["def forwards(self, x, train): ..."],
            "forwards: nobody calls it; did you mean fo",
        ),
        (
            "Layer",
            ["def call(self, x): ..."],
            "call: write def forward(self, x, train=True) instead",
        ),
        ("Loss", ["def forward(self, z, t): ..."], "forward: write def losses(self, z, t) instead"),
        ("Loss", ["def backward(self): ..."], "backward: write def gradients(self) instead"),
        (
            "MeanSquaredError",
            ["def target(self, t, shape): ..."],
            "did you mean targets(self, t, sh",
        ),
        ("Optimizer", ["def step(self, w, g): ..."], "step: write def update(self, w, g) instead"),
        ("Optimizer", ["slots = ('m', 'v')"], "Mine has to write def update(self, w, g, m, v)"),
        ("Layer", ["def bulid(self, shape): ..."], "did you mean build(self, shape)?"),
        (
            "Callback",
            ["def epoch_ends(self, progress): ..."],
            "did you mean epoch_end(self, progress",
        ),
        (
            "Callback",
            ["def on_train_epoch_end(self): ..."],
            "here it is called epoch_end(self, prog",
        ),
        (
            "Callback",
            ["def on_train_start(self): ..."],
            "here it is called train_begin(self, progr",
        ),
        (
            "Callback",
            ["def on_train_batch_end(self): ..."],
            "here it is called batch_end(self, prog",
        ),
        (
            "Callback",
            ["def epoch_start(self): ..."],
            "here it is called epoch_begin(self, progress",
        ),
        (
            "Schedule",
            ["def __call__(self, step): ..."],
            "write def factor(self, step, steps) instead",
        ),
        ("Initializer", ["def __call__(self, shape): ..."], "write def fill(self, w, rng) instead"),
        (
            "Augmentation",
            ["def transform(self, x): ..."],
            "write def __call__(self, x, rng) instead",
        ),
        # arguments
        (
            "Layer",
            ["def forward(self, x): ..."],
            "forward(self, x): should be forward(self, x, train",
        ),
        (
            "Layer",
            ["def forward(self, a, b): ..."],
            "should be forward(self, a, b, train=True), which",
        ),
        ("Layer", ["def build(self): ..."], "Mine.build(self): should be build(self, shape)"),
        ("Layer", ["def backward(self, x, dy): ..."], "should be backward(self, dy)"),
        ("Loss", ["def gradients(self, z): ..."], "gradients(self, z): should be gradients(self)"),
        (
            "Callback",
            ["def epoch_end(self): ..."],
            "epoch_end(self): should be epoch_end(self, prog",
        ),
        ("Initializer", ["def fill(self, w): ..."], "fill(self, w): should be fill(self, w, rng)"),
        # slots
        ("Optimizer", ["slots = ('m')"], 'slots = "m": write slots = ("m",), with a comma'),
        (
            "Optimizer",
            ["slots = ('m', 'v')", "def update(self, w, g, v, m): ..."],
            "update(self, w, g, v, m): with slots = ('m', 'v') it should be update(self, w, g, m",
        ),
        (
            "Optimizer",
            ["slots = ('m',)", "def update(self, w, g): ..."],
            "update(self, w, g): with slots = ('m',) it should be update(self, w, g, m)",
        ),
        (
            "Optimizer",
            ["def update(self, w, g, m): ..."],
            'update(self, w, g, m): write slots = ("m",) above it',
        ),
    ],
)
def test_a_mistake_in_a_class_is_found(base: str, body: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        define(base, *body)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("base", "body"),
    [
        ("Layer", ["def param(self, n): ...", FORWARD, BACKWARD]),
        ("Layer", ["def param(self): ...", "def forward(self, x, train): self.param()", BACKWARD]),
        ("Callback", ["def train_ended(self, progress): ..."]),
        ("Layer", ["LIMIT = 3", "_cache = {}", "random = True", FORWARD, BACKWARD]),
        ("Layer", ["def forward(self, *xs, **options): ...", "def backward(self, *dy): ..."]),
        ("Layer", ["def forward(self, x, *, train): ...", BACKWARD]),
        ("Layer", ["norm = property(lambda self: 1)", "def help(self): ...", FORWARD, BACKWARD]),
        ("Optimizer", ["slots = ('mean',)", "def update(self, w, g, m): ..."]),
        ("Optimizer", ["slots = ('a', 'b')", "def update(self, w, g, *slots): ..."]),
        ("Adam", ["slots = ('m', 'v', 'n')", "def update(self, w, g, m, v, n): ..."]),
        ("Callback", ["def epoch_end(self, progress, more=None): ..."]),
        ("Callback", ["def tell(self): ..."]),
        ("Monitor", ["def judge(self, progress): ..."]),
    ],
)
def test_what_is_right_is_taken(base: str, body: list[str]) -> None:
    define(base if base != "Monitor" else "callbacks.Monitor", *body)


def test_the_classes_of_layerkit_are_right_too() -> None:
    """They are not checked when they are defined, since that would take long."""
    wrong = []
    for cls in set(Configurable.registry.values()):
        try:
            check_definition(cls)
        except ConfigError as error:
            wrong.append(str(error).partition(":")[0])
    assert [sentence for sentence in wrong if sentence != "Normalization.axes = 1"] == []
