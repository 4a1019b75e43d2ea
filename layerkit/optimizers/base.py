"""The base of optimizers: a rule that changes all parameters of a network at once.

    w    all parameters, changed in place
    g    the gradient of the loss with respect to them, read only
    s    scratch memory as large as w, so that no step allocates

Accumulating instead of assigning (`+=`, `out=`) matters: a temporary as large as the network may
go back to the operating system at every step, and cost more than the arithmetic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import ShapeError
from layerkit.guidance import Refused
from layerkit.optimizers.around import (
    Again,
    Around,
    OptimizerOptions,
    Segment,
    check_schedules,
    find_segments,
    follow_schedules,
    numbers,
    whole,
)
from layerkit.parameters import Arena


class Optimizer(OptimizerOptions, ABC):
    """Base class of optimizers: a rule that changes the parameters w, given the gradient g.

    A subclass names the vectors it remembers in `slots` and writes `update(w, g, *slots)`; they
    start at 0. Every optimizer also has the keyword-only options of `OptimizerOptions`. They work
    around `update`, in this order: schedules give the options of the step, g is clipped, penalties
    are added to it, w decays, `update` is called, and `rates` scale the step.

    Attributes
    ----------
    t : int
        Number of steps, the present one included: 1 in the first `update`.
    s : array
        Scratch memory like w.
    memory : dict of str to array
        The slots by name, from the first step on.
    layout : list of Segment
        The parameters and their places in the vectors.
    again : callable, optional
        A function for `update`: evaluates the batch at the present w, returns the loss and
        refills g.
    w : array, optional
        The parameters of the last step.
    steps : int, optional
        Number of steps of the training, if known.

    Raises
    ------
    ShapeError
        From `step`, for vectors that are not like those of the first step.
    ConfigError
        From `bind`, for addresses that no parameter has, and for schedules that leave the limits
        of an option. If the length of the training is unknown, `step` finds these.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     lr: float = 0.5
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

    slots: ClassVar[tuple[str, ...]] = ()
    scratch = ("around", "s", "_apply")  # what a copy is without; _apply may be replaced
    reserved = (*scratch, "again", "layout", "memory", "scratch", "steps", "t", "w")

    if not TYPE_CHECKING:
        learning_rate = Refused()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.t = self._begun = 0
        self._like: tuple[Shape, np.dtype[Any]] = ((), np.dtype("float32"))
        self.memory: dict[str, Array] = {}
        self.layout: list[Segment] = []
        self.again: Again | None = None
        self.w: Array | None = None
        self.steps: int | None = None

    def bind(self, arena: Arena, steps: int | None = None) -> None:
        """Attach to a network's parameters before a training run of `steps` steps.

        Raises
        ------
        ShapeError
            For other sizes than before, another network's parameters, or parameters that were
            initialized anew.
        ConfigError
            For addresses in `penalize` or `rates` that no parameter has, and for schedules that
            don't fit the training, or leave the limits of an option in its course.
        """
        self.check_options()
        self._check_vectors(arena.values, arena.grads)
        if self.w is not None and self.w is not arena.values:
            raise ShapeError(
                f"this {type(self).__name__} remembers its steps on other parameters, those of "
                "another network or from before initialize; make a new one"
            )
        layout = find_segments(self, arena)
        check_schedules(self, steps)
        self.layout, self.steps, self._begun = layout, steps, self.t
        self._drop_scratch()

    def step(self, w: Array, g: Array, again: Again | None = None) -> None:
        """Change `w` in place by one step.

        Parameters
        ----------
        w, g : arrays
            Parameters and gradients.
        again : callable, optional
            Evaluates the same batch at the present w: returns its loss and refills g. A few
            optimizers, such as LBFGS, look at several places in a step.
        """
        self._check_vectors(w, g)
        given = follow_schedules(self, self.t - self._begun, self.steps) if self.schedules else {}
        try:
            self.layout = self.layout or whole(self, w)
            if self.t == 0:
                self._like, self.memory = (w.shape, w.dtype), self.allocate(w)
            self.t += 1
            self.w = w
            self._apply(w, g, again)
        finally:
            if given:
                vars(self).update(given)

    def _apply(self, w: Array, g: Array, again: Again | None = None) -> None:
        """Call `update` for step `t`, with what the options do before and after it."""
        try:
            g, self.again = self.around.before(self, w, g, again)
            self.update(w, g, *self.memory.values())
            if self.rates:
                self.around.after(w)
        finally:
            self.again = None

    @abstractmethod
    def update(self, w: Array, g: Array, *slots: Any) -> None:
        """Change `w` and the slots in place."""

    def allocate(self, w: Array) -> dict[str, Array]:
        """Return the slots as they are before the first step, in the order of `update`."""
        return {slot: np.zeros_like(w) for slot in self.slots}

    @cached_property
    def s(self) -> Array:
        """Scratch memory like w."""
        return np.empty(*self._like)

    @cached_property
    def around(self) -> Around:
        """The steps before and after each update."""
        return Around(self.layout, self.s)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on: options that are numbers, step count, slots."""
        shape, dtype = self._like
        return {
            "numbers": numbers(self),
            "t": self.t,
            "begun": self._begun,
            "like": [list(shape), dtype.name],
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
        self.t, self._begun = state["t"], state["begun"]
        shape, dtype = state["like"]
        self._like = tuple(shape), np.dtype(dtype)
        self.memory = {name: slot.copy() for name, slot in state["memory"].items()}
        self._drop_scratch()

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on where this one is, with the first parameters that it is given."""
        memory = {name: slot.copy() for name, slot in self.memory.items()}
        kept = {name: value for name, value in vars(self).items() if name not in self.scratch}
        return kept | {"w": None, "memory": memory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def _drop_scratch(self) -> None:
        for name in self.scratch:
            vars(self).pop(name, None)

    def _check_vectors(self, w: Array, g: Array) -> None:
        shape, dtype = self._like if self.t else (w.shape, w.dtype)
        if not w.shape == g.shape == shape or w.dtype != dtype:
            raise ShapeError(
                f"{w.dtype} parameters {w.shape} with gradients {g.shape}, but this "
                f"{type(self).__name__} began with {dtype} {shape}; make a new one"
            )
