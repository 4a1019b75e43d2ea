"""Metrics: how good a network is, by scikit-learn's definitions."""

from layerkit.metrics.metrics import check_metrics, evaluate_metrics, report

__all__ = ["check_metrics", "evaluate_metrics", "report"]
