"""Configuration: every object as plain data, from its options."""

from layerkit.config.options import (
    Amount,
    Configurable,
    Decay,
    Fraction,
    Rate,
    Ratio,
    Share,
    Size,
)
from layerkit.config.tables import from_config, to_config

__all__ = [
    "Amount",
    "Configurable",
    "Decay",
    "Fraction",
    "Rate",
    "Ratio",
    "Share",
    "Size",
    "from_config",
    "to_config",
]
