"""What an optimizer is, and what all of them can do.

    w    all parameters of the network, changed in place
    g    the gradient of the loss with respect to them, read only
    s    scratch memory as large as w, so that no step allocates

Accumulating instead of assigning (`+=`, `out=`) matters: a temporary as large as the network may
go back to the operating system at every step, and cost more than the arithmetic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import field, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount, Configurable, Rate
from layerkit.errors import ConfigError, ShapeError, at, suggestion
from layerkit.optimizers.schedules.base import Schedule
from layerkit.parameters import Arena


class Place(NamedTuple):
    """Where a parameter lies in the vectors, and what the options say of it.

    `is_weight` is its `Param.decay`, its nature; `decays` is what becomes of that with `penalize`.
    """

    where: slice
    shape: Shape
    is_weight: bool = True
    decays: bool = True
    rate: float = 1.0


class Optimizer(Configurable, ABC):
    """A rule that changes the parameters w, given the gradient g.

    A subclass names the vectors it remembers in `slots` and writes `update(w, g, *slots)`. They
    start at 0; `self.t` counts the steps from 1, `self.s` is scratch memory. The options below
    are there for every subclass, and work around its `update`, in this order: g is clipped, the
    penalties are added to it, w decays, `update` is called.

    Parameters
    ----------
    weight_decay : float
        Decoupled: w <- w - lr weight_decay w before each update, as PyTorch's AdamW does.
    l1, l2 : float
        Penalties l1 |w| and l2 w^2 / 2, whose derivatives are added to g; the loss that is reported
        does not contain them.
    penalize : list of str, optional
        Addresses of the parameters that decay and penalties apply to, with wildcards, as
        ``["body.layers.0.*"]``; by default all but biases, scales of normalisations and
        parameters of activations. Read when a training begins.
    rates : dict of str to float
        Factors for the steps of parameters, by address, with wildcards; the last one that matches
        counts. 0 freezes, and what is frozen has no penalty. Read when a training begins.
    clip_value, clip_norm, clip_global_norm : float, optional
        One of them: limit each number of g, the norm of each parameter's gradient, or the norm of
        all of g.
    schedules : dict of str to Schedule
        What to multiply an option of the optimizer with at each step, as ``{"lr": …}``. The
        product has to be within the limits of the option, but `lr` may be 0.

    Raises
    ------
    ShapeError
        From `step`, for vectors other than those of the first step.
    ConfigError
        From `bind`, for addresses that no parameter has, and for schedules that lead out of the
        limits of an option. Where the length of the training is unknown, these are found by `step`.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     lr: Rate = 0.5
    ...     def update(self, w, g):
    ...         w -= self.lr * np.sign(g)
    >>> w, optimizer = np.array([3.0, -2.0]), SignSGD()
    >>> optimizer.step(w, g=np.array([4.0, -0.1]))
    >>> w
    array([ 2.5, -1.5])
    >>> SignSGD(lr=1.0, weight_decay=0.1).step(w, g=np.array([1.0, 1.0]))
    >>> w
    array([ 1.25, -2.35])
    """

    weight_decay: Amount = field(default=0.0, kw_only=True)
    l1: Amount = field(default=0.0, kw_only=True)
    l2: Amount = field(default=0.0, kw_only=True)
    penalize: list[str] | None = field(default=None, kw_only=True)
    rates: dict[str, Amount] = field(default_factory=dict, kw_only=True)
    clip_value: Rate | None = field(default=None, kw_only=True)
    clip_norm: Rate | None = field(default=None, kw_only=True)
    clip_global_norm: Rate | None = field(default=None, kw_only=True)
    schedules: dict[str, Schedule] = field(default_factory=dict, kw_only=True)

    scratch = ("before", "changed", "decay_mask", "factors", "s")
    reserved = (
        *scratch,
        "again",
        "begun",
        "first",
        "layout",
        "memory",
        "scratch",
        "steps",
        "t",
        "w",
    )
    slots: ClassVar[tuple[str, ...]] = ()
    decoupled: ClassVar[bool] = True
    """Whether `step` applies the weight decay; else `update` does, by `decay_mask`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.t = self.begun = 0
        self.first: tuple[np.dtype[Any], Shape] = (np.dtype("float32"), ())
        self.steps: int | None = None
        self.w: Array | None = None
        self.memory: dict[str, Array] = {}
        self.layout: list[Place] = []
        self.again: Callable[[], float] | None = None

    def check_options(self) -> None:
        """Check all options, alone and together; ConfigError if one is wrong."""
        super().check_options()
        name, clips = type(self).__name__, ["clip_value", "clip_norm", "clip_global_norm"]
        given = {clip: getattr(self, clip) for clip in clips if getattr(self, clip) is not None}
        if len(given) > 1:
            limits = " and ".join(f"{clip} = {limit}" for clip, limit in given.items())
            raise ConfigError(f"{name}: {limits}: give one of them")
        numbers = [f.name for f in fields(self) if isinstance(getattr(self, f.name), float)]
        for option in self.schedules:
            if option not in numbers:
                raise ConfigError(
                    f"{name}.schedules.{option}: no number of {name} has this name"
                    f"{suggestion(option, numbers)}"
                )
        if self.weight_decay and self.decoupled and "lr" not in numbers:
            raise ConfigError(
                f"{name}.weight_decay = {self.weight_decay}: is multiplied with lr, which {name} "
                "does not have; l2 is a penalty without lr"
            )

    def bind(self, arena: Arena, steps: int | None = None) -> None:
        """Get to know the parameters' names, before a training of `steps` steps.

        Raises
        ------
        ShapeError
            For other sizes than before, or another network's parameters.
        ConfigError
            For addresses in `penalize` or `rates` that no parameter has, and for schedules that
            don't fit the training, or lead out of the limits of an option in its course.
        """
        self.check_options()
        self._check_sizes(arena.values, arena.grads)
        if self.w is not None and self.w is not arena.values:
            raise ShapeError(
                f"this {type(self).__name__} has moved another network's parameters and remembers "
                "its steps; make a new one"
            )
        for option in ("penalize", "rates"):
            for pattern in getattr(self, option) or ():
                names = list(arena.params)
                if not any(fnmatchcase(name, pattern) for name in names):
                    if any(name.startswith(f"{pattern}.") for name in names):
                        names = [f"{pattern}.*"]
                    raise ConfigError(
                        f"{type(self).__name__}.{option}: no parameter is called {pattern!r}"
                        f"{suggestion(pattern, names)}"
                    )
        for name, schedule in self.schedules.items():
            with at(f"schedules.{name}"):
                schedule.check(steps)
        for schedule in self.schedules.values():
            factors = [schedule(i, steps) for i in range(steps or 1)]
            for i in {int(np.argmin(factors)), int(np.argmax(factors))}:
                self._check_scheduled(i, steps)
        self.layout = []
        for name, param in arena.params.items():
            decays, rate = param.decay, 1.0
            if self.penalize is not None:
                decays = any(fnmatchcase(name, pattern) for pattern in self.penalize)
            for pattern, factor in self.rates.items():
                if fnmatchcase(name, pattern):
                    rate = factor
            place = Place(arena.slices[name], param.shape, param.decay, decays and rate > 0, rate)
            self.layout.append(place)
        self.steps, self.begun = steps, self.t
        for name in self.scratch:  # made for the layout of before
            vars(self).pop(name, None)

    def step(self, w: Array, g: Array, again: Callable[[], float] | None = None) -> None:
        """Change `w` in place by one step.

        Parameters
        ----------
        w, g : arrays
            Parameters and gradients.
        again : callable, optional
            Evaluates the same batch at the present w: returns its loss and refills g. A few
            optimizers, as LBFGS, look at several places in a step.
        """
        self._check_sizes(w, g)
        if not self.layout and (self.rates or self.penalize):
            raise ConfigError(
                "rates and penalize name parameters, but two vectors have no names: call "
                "bind(network.arena) first"
            )
        given = self._follow_schedules() if self.schedules else {}
        try:
            if self.t == 0:
                self._begin(w)
            self.w, self.again = w, again
            self.t += 1
            if self.rates or self.weight_decay or self._changes_gradient():
                self._update_with_options(w, g)
            else:
                self.update(w, g, *self.memory.values())
        finally:
            self.again = None
            vars(self).update(given)

    def allocate(self, w: Array) -> dict[str, Array]:
        """Make what is remembered between the steps, in the order in which `update` takes it."""
        return {slot: np.zeros_like(w) for slot in self.slots}

    @abstractmethod
    def update(self, w: Array, g: Array, *slots: Any) -> None:
        """Change `w` and the slots in place."""

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on where this one is, with the first parameters that it is given."""
        memory = {name: slot.copy() for name, slot in self.memory.items()}
        kept = {name: value for name, value in vars(self).items() if name not in self.scratch}
        return kept | {"w": None, "memory": memory}

    def state_dict(self) -> dict[str, Any]:
        """What the steps to come depend on: numbers among the options, step count, memory."""
        dtype, shape = self.first
        numbers = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            "numbers": {name: x for name, x in numbers.items() if isinstance(x, float)},
            "t": self.t,
            "begun": self.begun,
            "first": [dtype.name, list(shape)],
            "memory": {name: slot.copy() for name, slot in self.memory.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the optimizer whose `state_dict` this is.

        Raises
        ------
        ConfigError
            For options that are out of range.
        """
        vars(self).update(state["numbers"])
        self.check_options()
        self.t, self.begun = state["t"], state["begun"]
        dtype, shape = state["first"]
        self.first = np.dtype(dtype), tuple(shape)
        self.memory = {name: slot.copy() for name, slot in state["memory"].items()}
        for name in self.scratch:
            vars(self).pop(name, None)

    @cached_property
    def s(self) -> Array:
        """Scratch memory as large as w."""
        return self._vector()

    @cached_property
    def before(self) -> Array:
        """Where w was before the step."""
        return self._vector()

    @cached_property
    def changed(self) -> Array:
        """The gradient with all that the options do to it."""
        return self._vector()

    @cached_property
    def decay_mask(self) -> Array:
        """1 where decay and penalties apply, else 0."""
        mask = self._vector()
        for place in self.layout:
            mask[place.where] = place.decays
        return mask

    @cached_property
    def factors(self) -> Array:
        """What the step of each number is multiplied by, from `rates`."""
        factors = self._vector()
        for place in self.layout:
            factors[place.where] = place.rate
        return factors

    def _vector(self) -> Array:
        dtype, shape = self.first
        return np.empty(shape, dtype)

    def _begin(self, w: Array) -> None:
        """Prepare for the first of all steps."""
        self.first, self.memory = (w.dtype, w.shape), self.allocate(w)
        self.layout = self.layout or [Place(slice(0, w.size), w.shape)]

    def _check_sizes(self, w: Array, g: Array) -> None:
        dtype, shape = self.first if self.t else (w.dtype, w.shape)
        if not w.shape == g.shape == shape or w.dtype != dtype:
            raise ShapeError(
                f"{w.dtype} parameters {w.shape} with gradients {g.shape}, but this "
                f"{type(self).__name__} began with {dtype} {shape}; make a new one"
            )

    def _scheduled(self, step: int, steps: int | None) -> dict[str, Any]:
        """Return the scheduled options at a step of a training."""
        return {
            name: getattr(self, name) * schedule(step, steps)
            for name, schedule in self.schedules.items()
        }

    def _check_scheduled(self, step: int, steps: int | None) -> None:
        """Raise a ConfigError if the options can't be what they are at a step; lr may be 0."""
        options = self._scheduled(step, steps)
        if options.get("lr") == 0:
            del options["lr"]
        with at(f"schedules, step {step}"):
            replace(self, **options)

    def _follow_schedules(self) -> dict[str, float]:
        """Give the scheduled options the values of this step, and return those of before."""
        step = self.t - self.begun
        if self.steps is None or step >= self.steps:  # bind has looked at all others
            self._check_scheduled(step, self.steps)
        given = {name: getattr(self, name) for name in self.schedules}
        vars(self).update(self._scheduled(step, self.steps))
        return given

    def _update_with_options(self, w: Array, g: Array) -> None:
        """Call `update` with all that the options want before and after it."""
        if self.rates:
            before = self.before
            before[...] = w
        if self._changes_gradient():
            g = self._changed_gradient(w, g)
        if self.weight_decay and self.decoupled:
            np.multiply(w, self.decay_mask, out=self.s)
            self.s *= vars(self)["lr"] * self.weight_decay
            w -= self.s
        self.update(w, g, *self.memory.values())
        if self.rates:
            np.subtract(w, before, out=self.s)
            self.s *= self.factors
            before += self.s
            np.copyto(w, before, where=self.factors != 1)

    def _changes_gradient(self) -> bool:
        return bool(
            self.l1
            or self.l2
            or self.rates
            or self.clip_value is not None
            or self.clip_norm is not None
            or self.clip_global_norm is not None
        )

    def _changed_gradient(self, w: Array, g: Array) -> Array:
        """Return a copy of g: without what is frozen, clipped, with penalties."""
        changed, again = self.changed, self.again

        def change() -> None:
            changed[...] = g
            if self.rates:
                changed[self.factors == 0] = 0
            self._clip(changed)
            if self.l2:
                np.multiply(w, self.decay_mask, out=self.s)
                self.s *= self.l2
                np.add(changed, self.s, out=changed)
            if self.l1:
                np.sign(w, out=self.s)
                self.s *= self.decay_mask
                self.s *= self.l1
                np.add(changed, self.s, out=changed)

        def again_with_options() -> float:
            loss = again() if again else math.nan
            change()
            penalized = w[self.decay_mask > 0]
            return (
                loss
                + self.l1 * float(abs(penalized).sum())
                + self.l2 * float(penalized @ penalized) / 2
            )

        change()
        if again:
            self.again = again_with_options
        return changed

    def _clip(self, g: Array) -> None:
        if self.clip_value is not None:
            np.clip(g, -self.clip_value, self.clip_value, out=g)
        if self.clip_norm is not None:
            for place in self.layout:
                self._clip_norm(g, place.where, self.clip_norm)
        if self.clip_global_norm is not None:
            self._clip_norm(g, slice(None), self.clip_global_norm)

    def _clip_norm(self, g: Array, part: slice, limit: float) -> None:
        # in units of the largest number, whose square may be too large
        sizes = np.abs(g[part], out=self.s[part])
        largest = float(sizes.max(initial=0))
        sizes /= largest or 1.0
        norm = largest * math.sqrt(np.vdot(sizes, sizes))
        if norm > limit:
            g[part] *= limit / norm
