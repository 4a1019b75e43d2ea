"""What to say of a name that nobody knows."""

from __future__ import annotations

import difflib

ELSEWHERE = {
    "Identity": "Eye",
    "Linear": "Dense",
    "FullyConnected": "Dense",
    "Swish": "SiLU",
    "CrossEntropy": "SoftmaxCrossEntropy",
    "CrossEntropyLoss": "SoftmaxCrossEntropy",
    "SparseCategoricalCrossentropy": "SoftmaxCrossEntropy",
    "CategoricalCrossentropy": "SoftmaxCrossEntropy",
    "BCEWithLogitsLoss": "BinaryCrossEntropy",
    "BinaryCrossentropy": "BinaryCrossEntropy",
    "MSELoss": "MeanSquaredError",
    "L1Loss": "MeanAbsoluteError",
    "HuberLoss": "Huber",
    "SmoothL1Loss": "Huber",
}
"""Names that PyTorch or Keras users may look for, and what they find here."""


def suggestion(name: str, names: list[str]) -> str:
    """What to add to an error about an unknown name: the nearest of the known ones, or all.

    Examples
    --------
    >>> suggestion("Dence", ["Dense", "ReLU"])
    "; did you mean 'Dense'?"
    >>> suggestion("Linear", ["Dense", "Bilinear"])
    "; here it is called 'Dense'"
    >>> suggestion("body.layers.0", ["body.layers.0.W", "body.layers.0.b"])
    "; did you mean 'body.layers.0.*'?"
    """
    if ELSEWHERE.get(name) in names:
        return f"; here it is called {ELSEWHERE[name]!r}"
    if any(known.startswith(f"{name}.") for known in names):
        return f"; did you mean '{name}.*'?"
    by_lower_case = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    if close:
        return f"; did you mean {by_lower_case[close[0]]!r}?"
    return f"; known are {', '.join(names)}" if names else "; it has none"
