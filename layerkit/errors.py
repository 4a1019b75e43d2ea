"""Errors: one small family, so that `except LayerkitError` catches all of it, and did-you-mean."""

import difflib
from collections.abc import Iterable, Iterator
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
    """Base class of layerkit's errors: the message says what is wrong, `place` says where.

    Parameters
    ----------
    message : str
        What is wrong, with the value, and what is allowed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place = ""


class ShapeError(LayerkitError):
    """Arrays or layers whose shapes don't fit together."""


class DataError(LayerkitError):
    """Examples or labels that can't be used: NaN, a label out of range, a damaged data file."""


class ConfigError(LayerkitError):
    """An option that is unknown, missing, mistyped or out of range."""


class FileError(LayerkitError):
    """A file that can't be written, or can't be read as what it should be."""


class DivergenceError(LayerkitError):
    """Training reached a value that is not finite."""


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


SYNONYMS = {
    # layers
    "Dense": "Linear LazyLinear FullyConnected",
    "BatchNorm": "BatchNormalization BatchNorm1d",
    "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization",
    "RMSNorm": "RMSNormalization",
    "Standardize": "Normalization StandardScaler",
    "Concat": "Concatenate",
    "Reshape": "Unflatten",
    "SiLU": "Swish",
    "HardSwish": "HardSiLU",
    "Sigmoid": "Logistic",
    # losses
    "SoftmaxCrossEntropy": "CrossEntropy CrossEntropyLoss NLLLoss LogLoss CategoricalCrossEntropy "
    "SparseCategoricalCrossEntropy",
    "BinaryCrossEntropy": "BCELoss BCEWithLogitsLoss",
    "Focal": "CategoricalFocalCrossEntropy",
    "MeanSquaredError": "MSE MSELoss SquaredError",
    "MeanAbsoluteError": "MAE L1Loss AbsoluteError",
    "Huber": "HuberLoss SmoothL1Loss",
    "Quantile": "PinballLoss",
    "Poisson": "PoissonNLLLoss",
    "KLDivergence": "KLDivLoss",
    "CosineSimilarity": "CosineEmbeddingLoss",
    # initializers
    "GlorotUniform": "XavierUniform",
    "GlorotNormal": "XavierNormal",
    "HeUniform": "KaimingUniform",
    "HeNormal": "KaimingNormal",
    "TruncatedNormal": "TruncNormal",
    "Normal": "RandomNormal",
    "Uniform": "RandomUniform",
    "Eye": "Identity",
    # schedules
    "StepSchedule": "StepLR",
    "MultiStepSchedule": "MultiStepLR PiecewiseConstantDecay",
    "ExponentialSchedule": "ExponentialLR ExponentialDecay",
    "InverseTimeSchedule": "InverseTimeDecay",
    "InverseSqrtSchedule": "Noam NoamSchedule",
    "PolynomialSchedule": "PolynomialLR PolynomialDecay",
    "CosineSchedule": "CosineAnnealingLR CosineDecay",
    "CosineRestartsSchedule": "CosineAnnealingWarmRestarts CosineDecayRestarts",
    "OneCycleSchedule": "OneCycleLR",
    "CyclicSchedule": "CyclicLR",
    "ChainedSchedule": "SequentialLR",
    # callbacks
    "CSVLog": "CSVLogger",
    "ProgressBar": "ProgbarLogger",
    "StopOnNonFinite": "TerminateOnNaN",
    # options
    "lr": "learning_rate learning_rate_init",
    "units": "out_features",
    "init": "kernel_initializer",
    "epochs": "n_epochs num_epochs max_epochs max_iter",
    "seed": "random_state",
    "warmup": "start_from_epoch",
    "validation_size": "validation_split validation_fraction",
    "clip_global_norm": "global_clipnorm max_norm",
    # metrics
    "validation_loss": "val_loss",
    "validation_accuracy": "val_accuracy val_acc",
    "train_loss": "loss",
    "train_accuracy": "accuracy acc",
    "roc_auc": "auc",
}
"""Our names, and what PyTorch, Keras or scikit-learn call the same thing."""


def _key(name: str) -> str:
    return name.lower().replace("_", "")


OURS = {_key(theirs): ours for ours, names in SYNONYMS.items() for theirs in names.split()}


LISTED = 20
"""At most this many names are listed in an error."""


def listed(names: Iterable[str]) -> str:
    """Join names for an error; of a long list, the first ones and how many more there are.

    Examples
    --------
    >>> listed("abc")
    'a, b, c'
    >>> listed(map(str, range(3000)))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 … (2,980 more)'
    """
    known = list(names)
    more = f" … ({len(known) - LISTED:,} more)" if len(known) > LISTED else ""
    return ", ".join(known[:LISTED]) + more


def nearest(name: str, names: list[str]) -> str:
    """Return which of the known names may be meant, as a sentence; empty if none is near.

    Examples
    --------
    >>> nearest("val_loss", ["train_loss", "validation_loss"])
    "here it is called 'validation_loss'"
    """
    ours = OURS.get(_key(name))
    if ours in names:
        return f"here it is called {ours!r}"
    by_lower_case = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"did you mean {by_lower_case[close[0]]!r}?" if close else ""


def suggestion(name: str, names: list[str]) -> str:
    """Return what to add to an error about an unknown name: the nearest known one, or a list.

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
    return f"; known are {listed(names)}" if names else "; it has none"
