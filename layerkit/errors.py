"""What can go wrong: one small family, so that `except LayerkitError` catches all of it."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "ConfigError",
    "DataError",
    "DivergenceError",
    "FileError",
    "LayerkitError",
    "ShapeError",
]


class LayerkitError(ValueError):
    """Base of layerkit's errors: the message says what is wrong, `place` says where.

    Parameters
    ----------
    message : str
        What is wrong, with the value, and what is allowed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place = ""


@contextmanager
def at(place: str) -> Iterator[None]:
    """Say of every `LayerkitError` raised inside that it happened at `place`.

    Examples
    --------
    >>> with at("body.layers.2"):
    ...     raise ShapeError("Dense takes rows of features")
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: Dense takes rows of features
    at body.layers.2
    """
    try:
        yield
    except LayerkitError as error:
        if not error.place:
            error.place = place
            error.add_note(f"at {place}")
        raise


class ShapeError(LayerkitError):
    """Arrays or layers whose shapes don't fit together."""


class DataError(LayerkitError):
    """Examples or labels that can't be used: NaN, a label out of range, a damaged data file."""


class ConfigError(LayerkitError):
    """An option that is unknown, missing, mistyped or out of range."""


class FileError(LayerkitError):
    """A file that can't be read as what it should be, or can't be written."""


class DivergenceError(LayerkitError):
    """Training reached a value that is not finite."""


ELSEWHERE = {
    "identity": "Eye",
    "linear": "Dense",
    "fullyconnected": "Dense",
    "swish": "SiLU",
    "crossentropy": "SoftmaxCrossEntropy",
    "crossentropyloss": "SoftmaxCrossEntropy",
    "sparsecategoricalcrossentropy": "SoftmaxCrossEntropy",
    "categoricalcrossentropy": "SoftmaxCrossEntropy",
    "nllloss": "SoftmaxCrossEntropy",
    "bcewithlogitsloss": "BinaryCrossEntropy",
    "mse": "MeanSquaredError",
    "mseloss": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "l1loss": "MeanAbsoluteError",
    "huberloss": "Huber",
    "smoothl1loss": "Huber",
    "kldivloss": "KLDivergence",
    "xavieruniform": "GlorotUniform",
    "xaviernormal": "GlorotNormal",
    "kaiminguniform": "HeUniform",
    "kaimingnormal": "HeNormal",
    "steplr": "StepSchedule",
    "cosineannealinglr": "CosineSchedule",
    "cosinedecay": "CosineSchedule",
    "noam": "InverseSqrtSchedule",
    "noamschedule": "InverseSqrtSchedule",
    "valloss": "validation_loss",
    "valaccuracy": "validation_accuracy",
    "valacc": "validation_accuracy",
    "loss": "train_loss",
    "accuracy": "train_accuracy",
    "acc": "train_accuracy",
}
"""Names that PyTorch or Keras users may look for, in lower case, and what they find here."""


def suggestion(name: str, names: list[str]) -> str:
    """What to add to an error about an unknown name: the nearest of the known ones, or all.

    Examples
    --------
    >>> suggestion("Dence", ["Dense", "ReLU"])
    "; did you mean 'Dense'?"
    >>> suggestion("Linear", ["Dense", "Bilinear"])
    "; here it is called 'Dense'"
    """
    hint = nearest(name, names)
    if hint:
        return f"; {hint}"
    return f"; known are {', '.join(names)}" if names else "; it has none"


def nearest(name: str, names: list[str]) -> str:
    """Which of the known names may be meant; nothing if none is near.

    Examples
    --------
    >>> nearest("val_loss", ["train_loss", "validation_loss"])
    "here it is called 'validation_loss'"
    """
    ours = ELSEWHERE.get(name.lower().replace("_", ""))
    if ours in names:
        return f"here it is called {ours!r}"
    by_lower_case = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"did you mean {by_lower_case[close[0]]!r}?" if close else ""
