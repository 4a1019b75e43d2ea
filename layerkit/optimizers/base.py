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
from dataclasses import field, fields
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np

from layerkit.config import Amount, Configurable, Rate, suggestion
from layerkit.errors import ConfigError, ShapeError, at
from layerkit.parameters import Arena, Array, Shape
from layerkit.schedules import Schedule


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
        ``["body.layers.0.*"]``; by default all but biases, and scales of normalisations.
    rates : dict of str to float
        Factors for the steps of parameters, by address, with wildcards; the last one that matches
        counts. 0 freezes.
    clip_value, clip_norm, clip_global_norm : float, optional
        One of them: limit each number of g, the norm of each parameter's gradient, or the norm of
        all of g.
    schedules : dict of str to Schedule
        What to multiply an option of the optimizer with at each step, as ``{"lr": …}``.

    Raises
    ------
    ShapeError
        From `step`, for vectors other than those of the first step.
    ConfigError
        From `bind`, for addresses that no parameter has.

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

    reserved = (
        *("again", "before", "begun", "changed", "decay_mask", "factors", "layout", "memory"),
        *("s", "steps", "t", "w"),
    )
    slots: ClassVar[tuple[str, ...]] = ()
    decoupled: ClassVar[bool] = True
    """Whether `step` applies the weight decay; else `update` does, by `decay_mask`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.t = self.begun = 0
        self.steps: int | None = None
        self.w: Array | None = None
        self.memory: dict[str, Array] = {}
        self.layout: list[tuple[slice, Shape]] = []
        self.again: Callable[[], float] | None = None

    def check_options(self) -> None:
        """Check all options, alone and together; ConfigError if one is wrong."""
        super().check_options()
        name, clips = type(self).__name__, ["clip_value", "clip_norm", "clip_global_norm"]
        given = [f"{clip} = {getattr(self, clip)}" for clip in clips if getattr(self, clip)]
        if len(given) > 1:
            raise ConfigError(f"{name}: {' and '.join(given)}: give one of them")
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
            don't fit the training.
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
                if not any(fnmatchcase(name, pattern) for name in arena.params):
                    raise ConfigError(
                        f"{type(self).__name__}.{option}: no parameter is called {pattern!r}"
                        f"{suggestion(pattern, list(arena.params))}"
                    )
        for name, schedule in self.schedules.items():
            with at(f"schedules.{name}"):
                schedule.check(steps)
        decay, factors = np.ones_like(arena.values), np.ones_like(arena.values)
        for name, param in arena.params.items():
            part = arena.slices[name]
            if self.penalize is None:
                decay[part] = param.decay
            else:
                decay[part] = any(fnmatchcase(name, pattern) for pattern in self.penalize)
            for pattern, factor in self.rates.items():
                if fnmatchcase(name, pattern):
                    factors[part] = factor
        self.decay_mask, self.factors = decay, factors
        self.layout = [(arena.slices[name], param.shape) for name, param in arena.params.items()]
        self.steps, self.begun = steps, self.t

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
        if self.t == 0:
            self.memory = self.allocate(w)
            self.s = np.empty_like(w)
        if not self.layout:
            if self.rates or self.penalize:
                raise ConfigError(
                    "rates and penalize name parameters, but two vectors have no names: call "
                    "bind(network.arena) first"
                )
            self.layout, self.decay_mask = [(slice(0, w.size), w.shape)], np.ones_like(w)
        given = self._follow_schedules() if self.schedules else {}
        self.w, self.again = w, again
        self.t += 1
        try:
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
        return vars(self) | {"w": None}

    def _check_sizes(self, w: Array, g: Array) -> None:
        first = self.s if self.t else w
        if not w.shape == g.shape == first.shape or w.dtype != first.dtype:
            raise ShapeError(
                f"{w.dtype} parameters {w.shape} with gradients {g.shape}, but this "
                f"{type(self).__name__} began with {first.dtype} {first.shape}; make a new one"
            )

    def _follow_schedules(self) -> dict[str, float]:
        """Give the scheduled options the values of this step, and return those of before."""
        given = {name: getattr(self, name) for name in self.schedules}
        vars(self).update(
            {
                name: given[name] * schedule(self.t - self.begun, self.steps)
                for name, schedule in self.schedules.items()
            }
        )
        return given

    def _update_with_options(self, w: Array, g: Array) -> None:
        """Call `update` with all that the options want before and after it."""
        if self.rates:
            before = self._scratch("before", w)
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

    def _scratch(self, name: str, like: Array) -> Array:
        if name not in vars(self):
            vars(self)[name] = np.empty_like(like)
        scratch: Array = vars(self)[name]
        return scratch

    def _changes_gradient(self) -> bool:
        clips = self.clip_value or self.clip_norm or self.clip_global_norm
        return bool(clips or self.l1 or self.l2 or self.rates)

    def _changed_gradient(self, w: Array, g: Array) -> Array:
        """Return a copy of g: without what is frozen, clipped, with penalties."""
        changed, again = self._scratch("changed", g), self.again

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
        if self.clip_value:
            np.clip(g, -self.clip_value, self.clip_value, out=g)
        limit = self.clip_norm or self.clip_global_norm
        if limit:
            for part in [part for part, _ in self.layout] if self.clip_norm else [slice(None)]:
                # in units of the largest number, whose square may be too large
                sizes = np.abs(g[part], out=self.s[part])
                largest = float(sizes.max(initial=0))
                sizes /= largest or 1.0
                norm = largest * math.sqrt(np.dot(sizes, sizes))
                if norm > limit:
                    g[part] *= limit / norm
