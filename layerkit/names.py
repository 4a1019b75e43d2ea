"""What to say of a name that nobody knows."""

from __future__ import annotations

import difflib

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
