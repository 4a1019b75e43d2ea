"""Mistakes in users' own parts: how they are recognized, and the sentences about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import LayerkitError, ShapeError
from layerkit.losses.base import ElementwiseLoss, Loss
from layerkit.losses.classes import Classifier

WRITES_TO_X = "writes to x, which others may still read: make a new array, y = x + 1, not x += 1"
WRITES_TO_DY = (
    "writes to dy, or to the x that forward has kept, which others may still read: make a new "
    "array, dx = dy * 2, not dy *= 2"
)
WRITES_TO_G = "writes to g, which is the network's: make a new array, or use self.s"
WRITES_TO_Z = "writes to z or to the targets, which are not its own: make a new array"


@contextmanager
def calling(what: str, law: str) -> Iterator[None]:
    """Say of an exception where it was; where the mistake is known, as a ShapeError."""
    try:
        yield
    except LayerkitError:
        raise
    except Exception as error:
        if sentence := mistake(error, law):
            raise ShapeError(f"{what.partition(' at ')[0]} {sentence}") from error
        error.add_note(f"in {what}")
        raise


def mistake(error: Exception, law: str) -> str:
    """Return which mistake an exception is known to come from; empty if it is none of these.

    Examples
    --------
    >>> mistake(ValueError("output array is read-only"), "writes to x")
    'writes to x'
    >>> mistake(TypeError("only 0-dimensional arrays can be converted to Python scalars"), "")
    'calls a function of one number with an array: write np.tanh(x), not math.tanh(x)'
    """
    text = str(error)
    if isinstance(error, ValueError) and "read-only" in text:
        return law
    if isinstance(error, TypeError) and "converted to Python scalar" in text:
        return "calls a function of one number with an array: write np.tanh(x), not math.tanh(x)"
    if isinstance(error, ValueError) and text.startswith("The truth value of an array"):
        return "asks an array whether it is true: write np.where(x > 0, a, b), not if x > 0"
    names = [name for name in ("value", "grad") if f"attribute '{name}'" in text]
    if names and isinstance(error, AttributeError) and "'numpy.ndarray'" in text:
        return (
            f"takes {names[0]} of a plain array: a parameter is a Param, as in "
            "self.W = Param(shape, GlorotUniform()) in build, and self.W.value is its array; to "
            "change that, write self.W.value = …"
        )
    return ""


def written(loss: Loss, method: str) -> str:
    """Return the method that the author of a loss writes for `losses` or `gradients`.

    Examples
    --------
    >>> from layerkit import MeanSquaredError, SoftmaxCrossEntropy
    >>> written(SoftmaxCrossEntropy(), "gradients"), written(MeanSquaredError(), "losses")
    ('row_gradients', 'values')
    """
    families: list[tuple[Any, dict[str, str]]] = [
        (Classifier, {"losses": "row_losses", "gradients": "row_gradients"}),
        (ElementwiseLoss, {"losses": "values", "gradients": "slopes"}),
    ]
    for family, names in families:
        if getattr(type(loss), method) is getattr(family, method):
            return names[method]
    return method


def read_only(array: Array) -> Array:
    """Return a read-only view."""
    view = array.view()
    view.setflags(write=False)
    return view


def shown(value: Any) -> str:
    """Return a value in few words: arrays by their dtype and shape.

    Examples
    --------
    >>> shown([np.ones((2, 3)), None])
    'a list of float64 (2, 3), None'
    >>> shown([[1.0, 2.0]] * 9)
    'a list of 9 lists'
    """
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, list | tuple) and len(value) > 4:
        kinds = {type(item).__name__ for item in value}
        return f"a {type(value).__name__} of {len(value)} {'/'.join(sorted(kinds))}s"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {', '.join(map(shown, value))}"
    return repr(value)


def widening(dtype: np.dtype[Any]) -> str:
    """Return the likely reason for a result with another dtype than x."""
    if dtype == np.float64:
        return "keep the type of the input"
    return (
        "NumPy scalars widen (np.sqrt(2.0) * x), and new arrays are float64 (np.zeros(n)): use "
        "math.sqrt, and np.zeros(n, x.dtype)"
    )


def check_array(what: str, found: Any, shape: Shape, dtype: np.dtype[Any]) -> None:
    """Raise a ShapeError unless this is an array of this shape and dtype.

    Examples
    --------
    >>> check_array("Root.forward", np.ones(3), (3,), np.dtype("float32"))
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: Root.forward returns float64 (3,); should be float32 (3,): NumPy \
scalars widen (np.sqrt(2.0) * x), and new arrays are float64 (np.zeros(n)): use math.sqrt, and \
np.zeros(n, x.dtype)
    """
    if isinstance(found, np.ndarray) and found.shape == shape and found.dtype == dtype:
        return
    reason = ""
    if found is None:
        reason = ": write return at its end"
    elif isinstance(found, np.ndarray) and found.shape == shape:
        reason = f": {widening(dtype)}"
    raise ShapeError(f"{what} returns {shown(found)}; should be {dtype} {shape}{reason}")
