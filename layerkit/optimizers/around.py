"""Options of every optimizer, applied around its rule: clipping, penalties, decay, schedules.

    w      all parameters of the network
    g      a copy of their gradient
    mask   1 where decay and penalties apply, else 0
    s      scratch memory

First the functions, one for each, which change vectors in place. Then the options themselves,
and `Around`, which calls the functions in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, field, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from layerkit.arrays import Array, Shape, number
from layerkit.config.options import Amount, Configurable, Rate
from layerkit.errors import ConfigError, at, suggestion
from layerkit.optimizers.schedules.base import Schedule
from layerkit.parameters import Arena

Again: TypeAlias = Callable[[], float]
"""Evaluates the batch again, at the present w: returns the loss and refills the gradient."""


def clip_value(g: Array, limit: float) -> None:
    """Do g <- min(max(g, -limit), limit), number by number."""
    np.clip(g, -limit, limit, out=g)


def clip_norm(g: Array, limit: float, s: Array) -> None:
    """Do g <- g min(1, limit / |g|)."""
    # in units of the largest number, whose square may be too large
    sizes = np.abs(g, out=s)
    largest = number(sizes.max(initial=0))
    sizes /= largest + (largest == 0)
    norm = largest * number(np.vdot(sizes, sizes)) ** 0.5
    g *= number(limit / np.maximum(norm, limit))


def add_l2(g: Array, w: Array, l2: float, mask: Array, s: Array) -> None:
    """Do g <- g + l2 w, the derivative of l2 w^2 / 2."""
    np.multiply(w, mask, out=s)
    s *= l2
    g += s


def add_l1(g: Array, w: Array, l1: float, mask: Array, s: Array) -> None:
    """Do g <- g + l1 sign(w), the derivative of l1 |w|."""
    np.sign(w, out=s)
    s *= mask
    s *= l1
    g += s


def decay_weights(w: Array, share: float, mask: Array, s: Array) -> None:
    """Do w <- w - share w: decoupled weight decay, with share = lr weight_decay."""
    np.multiply(w, mask, out=s)
    s *= share
    w -= s


def scale_step(w: Array, before: Array, rate: float, s: Array) -> None:
    """Do w <- before + rate (w - before); a rate of 0 undoes the step."""
    np.subtract(w, before, out=s)
    s *= rate
    np.add(before, s, out=w)


class Segment(NamedTuple):
    """One parameter: its slice of the vectors, and what the options say about it.

    `is_weight` is its `Param.decay`; `decays` is that, or what `penalize` says instead.
    """

    where: slice
    shape: Shape
    is_weight: bool = True
    decays: bool = True
    rate: float = 1.0


class OptimizerOptions(Configurable):
    """The options that every optimizer has besides those of its rule.

    Parameters
    ----------
    weight_decay : float
        Decoupled: w <- w - lr weight_decay w before each update, as in PyTorch's AdamW.
    l1, l2 : float
        Penalties l1 |w| and l2 w^2 / 2. Their derivatives are added to g; the reported loss does
        not contain them.
    penalize : list of str, optional
        Addresses of the parameters that decay and penalties apply to, with wildcards, such as
        ``["body.layers.0.*"]``; by default all but biases, scales of normalizations and
        parameters of activations. Read when a training run begins.
    rates : dict of str to float
        Factors for the steps of parameters, by address, with wildcards; the last one that matches
        counts. 0 freezes, and what is frozen has no penalty. Read when a training run begins.
    clip_value, clip_norm, clip_global_norm : float, optional
        Limits, at most one of them: of each number of g, of the norm of each parameter's gradient,
        or of the norm of all of g.
    schedules : dict of str to Schedule
        The factor of an option of the optimizer at each step, by the option's name, such as
        ``{"lr": …}``. The product has to be within the limits of the option, but `lr` may be 0.
    """

    _: KW_ONLY
    weight_decay: Amount = 0.0
    l1: Amount = 0.0
    l2: Amount = 0.0
    penalize: list[str] | None = None
    rates: dict[str, Amount] = field(default_factory=dict)
    clip_value: Rate | None = None
    clip_norm: Rate | None = None
    clip_global_norm: Rate | None = None
    schedules: dict[str, Schedule] = field(default_factory=dict)

    decoupled: ClassVar[bool] = True
    """Whether `weight_decay` is applied around `update`, and not by it."""

    def check_options(self) -> None:
        """Check each option by itself, and those that depend on each other."""
        super().check_options()
        name, known = type(self).__name__, list(numbers(self))
        clips = [clip for clip in ("clip_value", "clip_norm", "clip_global_norm") if clip in known]
        if len(clips) > 1:
            limits = " and ".join(f"{clip} = {getattr(self, clip)}" for clip in clips)
            raise ConfigError(f"{name}: {limits}: give one of them")
        for option in self.schedules:
            if option not in known:
                raise ConfigError(
                    f"{name}.schedules.{option}: no number of {name} has this name"
                    f"{suggestion(option, known)}"
                )
        if self.weight_decay and self.decoupled and "lr" not in known:
            raise ConfigError(
                f"{name}.weight_decay = {self.weight_decay}: is multiplied by lr, which {name} "
                "does not have; l2 is a penalty without lr"
            )


def numbers(options: OptimizerOptions) -> dict[str, float]:
    """Return the options that are numbers, which schedules and callbacks may change."""
    values = {option.name: getattr(options, option.name) for option in fields(options)}
    return {name: value for name, value in values.items() if isinstance(value, float)}


def check_schedules(options: OptimizerOptions, steps: int | None) -> None:
    """Raise a ConfigError for schedules that don't fit a run, or leave an option's limits."""
    courses: dict[str, list[float]] = {}
    for name, schedule in options.schedules.items():
        with at(f"schedules.{name}"):
            if steps is None:
                schedule.check(None)
            courses[name] = [schedule(i, steps) for i in range(steps or 1)]
    ends = [int(end(course)) for course in courses.values() for end in (np.argmin, np.argmax)]
    for i in dict.fromkeys(ends):
        _check_values(options, {n: getattr(options, n) * c[i] for n, c in courses.items()}, i)


def follow_schedules(options: OptimizerOptions, step: int, steps: int | None) -> dict[str, float]:
    """Give the scheduled options the values of this step, and return those from before."""
    given = {name: getattr(options, name) for name in options.schedules}
    values = {name: given[name] * f(step, steps) for name, f in options.schedules.items()}
    if steps is None or step >= steps:  # check_schedules has looked at all others
        _check_values(options, values, step)
    vars(options).update(values)
    return given


def _check_values(options: OptimizerOptions, values: dict[str, Any], step: int) -> None:
    """Raise a ConfigError if the options can't have these values; but lr may be 0."""
    with at(f"schedules, step {step}"):
        replace(options, **{name: x for name, x in values.items() if (name, x) != ("lr", 0)})


def find_segments(options: OptimizerOptions, arena: Arena) -> list[Segment]:
    """Return what the options say about each parameter.

    Raises
    ------
    ConfigError
        For an address in `penalize` or `rates` that no parameter has.
    """
    for option in ("penalize", "rates"):
        for pattern in getattr(options, option) or ():
            _check_address(f"{type(options).__name__}.{option}", pattern, list(arena.params))
    segments = []
    for name, param in arena.params.items():
        decays, rate = param.decay, 1.0
        if options.penalize is not None:
            decays = any(fnmatchcase(name, pattern) for pattern in options.penalize)
        for pattern, factor in options.rates.items():
            if fnmatchcase(name, pattern):
                rate = factor
        where, shape = arena.slices[name], param.shape
        segments.append(Segment(where, shape, param.decay, decays and rate > 0, rate))
    return segments


def _check_address(option: str, pattern: str, names: list[str]) -> None:
    if not any(fnmatchcase(name, pattern) for name in names):
        if any(name.startswith(f"{pattern}.") for name in names):
            names = [f"{pattern}.*"]
        raise ConfigError(
            f"{option}: no parameter is called {pattern!r}{suggestion(pattern, names)}"
        )


def whole(options: OptimizerOptions, w: Array) -> list[Segment]:
    """Return one segment: vectors without a network are like one parameter, without an address."""
    if options.rates or options.penalize:
        raise ConfigError(
            "rates and penalize name parameters, but two vectors have no names: call "
            "bind(network.arena) first"
        )
    return [Segment(slice(0, w.size), w.shape)]


class Around:
    """Applies the options before and after each update, to vectors like s.

    Parameters
    ----------
    layout : list of Segment
    s : array
        Scratch memory.
    """

    def __init__(self, layout: list[Segment], s: Array) -> None:
        self.layout, self.s = layout, s
        self.rates = [(part.where, part.rate) for part in layout if part.rate != 1]

    def before(
        self, o: OptimizerOptions, w: Array, g: Array, again: Again | None
    ) -> tuple[Array, Again | None]:
        """Let w decay; return the gradient for the rule, and the `again` that refills it."""
        if o.rates:
            self.w[...] = w
        if o.l1 or o.l2 or o.rates or o.clip_value or o.clip_norm or o.clip_global_norm:
            again = again and partial(self.look_again, o, w, g, again)
            g = self.gradient(o, w, g)
        if o.weight_decay and o.decoupled:
            decay_weights(w, vars(o)["lr"] * o.weight_decay, self.mask, self.s)
        return g, again

    def after(self, w: Array) -> None:
        """Scale the steps of the parameters that have a rate."""
        for where, rate in self.rates:
            scale_step(w[where], self.w[where], rate, self.s[where])

    def gradient(self, o: OptimizerOptions, w: Array, g: Array) -> Array:
        """Return a copy of g: 0 where frozen, then clipped, then with penalties."""
        copy, s = self.g, self.s
        copy[...] = g
        for where, rate in self.rates:
            if rate == 0:
                copy[where] = 0
        if o.clip_value:
            clip_value(copy, o.clip_value)
        if o.clip_norm:
            for segment in self.layout:
                clip_norm(copy[segment.where], o.clip_norm, s[segment.where])
        if o.clip_global_norm:
            clip_norm(copy, o.clip_global_norm, s)
        if o.l2:
            add_l2(copy, w, o.l2, self.mask, s)
        if o.l1:
            add_l1(copy, w, o.l1, self.mask, s)
        return copy

    def look_again(self, o: OptimizerOptions, w: Array, g: Array, again: Again) -> float:
        """Return the loss at the present w with its penalties, and refill the copy of g."""
        loss = again()
        self.gradient(o, w, g)
        penalized = w[self.mask > 0]
        return loss + o.l1 * float(abs(penalized).sum()) + o.l2 * float(penalized @ penalized) / 2

    @cached_property
    def mask(self) -> Array:
        """1 where decay and penalties apply, else 0."""
        mask = np.empty_like(self.s)
        for segment in self.layout:
            mask[segment.where] = segment.decays
        return mask

    @cached_property
    def g(self) -> Array:
        """Memory for the copy of the gradient."""
        return np.empty_like(self.s)

    @cached_property
    def w(self) -> Array:
        """Memory for the parameters before a step."""
        return np.empty_like(self.s)
