"""The optimizer of a training run, tried with a few numbers before it begins."""

from __future__ import annotations

from dataclasses import fields, replace
from traceback import walk_tb
from typing import Any

import numpy as np

from layerkit.errors import ConfigError, LayerkitError, nearest
from layerkit.guidance import is_own
from layerkit.initializers.plain import Zeros
from layerkit.inspection.mistakes import WRITES_TO_G, calling, read_only
from layerkit.optimizers.around import find_segments
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Arena, Param

KNOWN = {*Optimizer.reserved, "_begun", "_like"}
UNCHANGED = (
    "leaves w as it was: write w -= …, since w = w - … only renames, and nobody reads what it "
    "returns"
)


def check_rule(optimizer: Optimizer, arena: Arena) -> None:
    """Let a new optimizer of the same options take some steps, with few numbers for each parameter.

    Raises
    ------
    ConfigError
        For one that doesn't change w or its slots, or remembers something elsewhere; and for an
        attribute that was assigned in place of an option.
    """
    kind, options = type(optimizer), [option.name for option in fields(optimizer)]
    if not is_own(kind) and optimizer.t == 0:
        for name in vars(optimizer).keys() - vars(replace(optimizer)).keys() - KNOWN:
            if hint := nearest(name, options, kind):
                raise ConfigError(f"{kind.__name__}.{name} is assigned and not read; {hint}")
    if not is_own(kind) or not arena.values.size:  # tests try layerkit's
        return
    try:
        _try(optimizer, few_numbers(arena))
    except LayerkitError:
        raise
    except Exception as error:
        own = {base.__module__ for base in kind.__mro__ if is_own(base)}
        if own.isdisjoint(f.f_globals.get("__name__") for f, _ in walk_tb(error.__traceback__)):
            raise
        return  # it may need more numbers; if not, the training itself says more


def _try(optimizer: Optimizer, few: Arena) -> None:
    fresh, name, before = _plain(optimizer, few), type(optimizer).__name__, few.values.copy()
    for _ in range(100):  # it may begin late, or write to a slot now and then
        descend(fresh, few, 10)
        moved = not np.array_equal(few.values, before)
        slots = [s for s, value in fresh.memory.items() if s in fresh.slots and not value.any()]
        if moved and not slots:
            break
    if not moved:
        raise ConfigError(f"{name}.update {UNCHANGED}")
    if slots:
        raise ConfigError(f"{name}: {unchanged_slot(slots[0])}")
    if sentence := forgotten(fresh, few):
        raise ConfigError(f"{name} {sentence}")


def _unchecked() -> None:
    """Take the place of `check_options`."""


def _plain(optimizer: Optimizer, arena: Arena) -> Optimizer:
    """Return a new optimizer of the same rule, without what is done around it."""
    plain = replace(optimizer)
    # options may depend on each other: the rule is meant here, and they were checked before
    without: dict[str, Any] = {"rates": {}, "penalize": None, "schedules": {}, "l1": 0.0, "l2": 0.0}
    vars(plain).update(without, weight_decay=0.0, check_options=_unchecked)
    if type(plain).bind is not Optimizer.bind:
        plain.bind(arena)
    return plain


def unchanged_slot(slot: str) -> str:
    """Return the sentence about a slot that is 0 after some steps."""
    return (
        f"slot {slot} is still as it was at the start: write {slot} *= … and {slot} += …, since "
        f"{slot} = … only renames"
    )


def few_numbers(arena: Arena) -> Arena:
    """Return an arena of the same addresses, with at most three numbers along each axis."""
    few = Arena(
        {
            address: Param(tuple(min(n, 3) for n in param.shape), Zeros(), param.decay)
            for address, param in arena.params.items()
        },
        "float64",
    )
    few.values = np.linspace(0, 1.5, few.values.size)  # at 0, the smallest step shows
    return few


def descend(optimizer: Optimizer, arena: Arena, steps: int) -> None:
    """Take steps in a bowl around 3; parameters and gradient are those of the arena."""
    w, g, curvature = arena.values, arena.grads, np.linspace(0.1, 0.3, arena.values.size)
    optimizer.layout = optimizer.layout or find_segments(optimizer, arena)

    def again() -> float:
        g[...] = curvature * (w - 3)
        return float(g @ (w - 3) / 2)

    with calling(f"{type(optimizer).__name__}.update", WRITES_TO_G), np.errstate(all="ignore"):
        for _ in range(steps):
            again()
            optimizer.step(w, read_only(g), again)


def forgotten(optimizer: Optimizer, arena: Arena) -> str:
    """Return a sentence about what an optimizer knows that its `state_dict` doesn't, or "".

    Two heirs of its state take its next steps: if they go the same way, and it goes another, it
    knows more.
    """
    heirs = [_plain(optimizer, arena), _plain(optimizer, arena)]
    for heir in heirs:
        heir.load_state_dict(optimizer.state_dict())
    own = {name: x for name, x in vars(optimizer).items() if name not in KNOWN}
    other: dict[str, Any] = {name: vars(heirs[0]).get(name) for name in own}
    ends, start = [], arena.values.copy()
    for one in [*heirs, optimizer]:
        arena.values = start
        try:
            descend(one, arena, 2)
        except AttributeError:
            arena.values[...] = np.nan
        ends.append(arena.values.copy())
    alike, right = (np.array_equal(ends[0], end, equal_nan=True) for end in ends[1:])
    if not alike or right:
        return ""
    names = [name for name, x in own.items() if not np.array_equal(x, other[name])]
    names = [name for name in names if not isinstance(own[name], np.random.Generator)]
    if not names:
        return (
            "takes steps that depend on something that no checkpoint has, such as a generator: "
            "draw from np.random.default_rng([seed, self.t]), with an option seed: int = 0"
        )
    slots = "".join(f'"{name}", ' for name in names).strip()
    return (
        f"remembers {', '.join(names)} on self, which no checkpoint has: write slots = "
        f"({slots}) and update(self, w, g, {', '.join(names)}); for a number, an option: "
        f"{names[0]}: float = 0.0; the number of the step is self.t"
    )
