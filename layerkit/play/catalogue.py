"""The catalogue: all parts that the page offers, with their options, and a first state of each."""

from __future__ import annotations

import inspect
import re
from typing import Any

from layerkit.columns.kinds import Column
from layerkit.config.schema import json_schema
from layerkit.config.tables import choices_for
from layerkit.data.datasets import EXAMPLES
from layerkit.data.toys import TOYS
from layerkit.initializers.base import Initializer
from layerkit.layers.base import Layer
from layerkit.losses.base import Loss
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.schedules.base import Schedule
from layerkit.runs.experiment import Experiment

State = dict[str, Any]

FAMILIES: dict[str, type[Any]] = {
    "layers": Layer,
    "losses": Loss,
    "optimizers": Optimizer,
    "schedules": Schedule,
    "initializers": Initializer,
    "columns": Column,
}


OF_NO_USE = ("Add", "Join", "Lambda", "Multiply")
"""Layers that a row can't have: of several inputs, or made of Python functions."""


def catalogue() -> dict[str, Any]:
    """Return the classes of each family by name, and the data sets with a state to begin with."""
    definitions = json_schema(Experiment)["$defs"]
    families = {
        family: {
            cls.__name__: {
                "group": _group(cls),
                "says": definitions[cls.__name__]["description"],
                "options": _options(cls, definitions[cls.__name__]),
            }
            for cls in choices_for(base)
            if cls.__name__ in definitions and cls.__name__ not in OF_NO_USE
        }
        for family, base in FAMILIES.items()
    }
    names = {name: name for name in (*TOYS, "digits")}
    return {**families, "data": {name: state_for(name) for name in names}}


def state_for(name: str) -> State:
    """Return a network for a data set, small enough to be seen, with which it is learned."""
    if name == "digits":
        return _state({"name": name}, [32], "ReLU", 10, {"type": "Adam", "lr": 0.003})
    toy, adam = TOYS[name], {"type": "Adam", "lr": 0.02}
    data: State = {"name": name, "examples": EXAMPLES, "noise": toy.noise}
    if toy.classes:
        activation = "ReLU" if name == "spiral" else "Tanh"  # which is slow there
        return _state(data, [8, 8], activation, toy.classes, adam)
    return _state(data | {"target": "number"}, [8, 8], "Tanh", 1, adam, "MeanSquaredError")


def _state(
    data: State,
    hidden: list[int],
    activation: str,
    outputs: int,
    optimizer: State,
    loss: str = "SoftmaxCrossEntropy",
) -> State:
    layers: list[State] = []
    for units in hidden:
        layers += [{"type": "Dense", "units": units}, {"type": activation}]
    layers.append({"type": "Dense", "units": outputs})
    return {
        "data": data,
        "network": {"body": {"type": "Sequential", "layers": layers}, "loss": {"type": loss}},
        "optimizer": optimizer,
        "training": {"epochs": 100, "batch_size": 32, "seed": 0},
    }


def _group(cls: type[Any]) -> str:
    """The group of a class in its family: the file that it is in, or "your own"."""
    room, _, rest = cls.__module__.removeprefix("layerkit.").partition(".")
    if room == cls.__module__:
        return "your own"
    return rest.split(".")[0] or room


def _options(cls: type[Any], definition: State) -> list[dict[str, Any]]:
    """The options of a class: name, kind, default, limits, and what its docstring says of it."""
    meanings = _meanings(cls)
    return [
        {
            "name": name,
            "required": name in definition["required"],
            "says": meanings.get(name, ""),
            **_kind(schema),
        }
        for name, schema in definition["properties"].items()
        if name != "type"
    ]


def _kind(schema: State) -> dict[str, Any]:
    """Return the values of an option by its JSON Schema; `optional` says that null is one."""
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "$ref")}
    if "$ref" in schema:
        return {"of": schema["$ref"].rpartition("/")[2], **rest}
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if not choices:
        return rest
    rest["optional"] = len(choices) < len(schema["anyOf"])
    if len(choices) == 1:
        return _kind(choices[0]) | rest
    return {"anyOf": [_kind(choice) for choice in choices], **rest}


def _meanings(cls: type[Any]) -> dict[str, str]:
    """The meaning of each option, own or inherited, by the sections of the docstrings."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(vars(base).get("__doc__") or "")
        section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-{3,}$|\Z)", text, re.M | re.S)
        for names, lines in re.findall(
            r"^(\S.*)\n((?:    .*\n?|\n)*)", section[1] if section else "", re.M
        ):
            for name in names.partition(" : ")[0].split(", "):
                found[name] = " ".join(lines.split())
    return found
