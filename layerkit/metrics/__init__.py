"""Metrics: how good a network is."""

from layerkit.metrics.metrics import check_metrics, evaluate_metrics, measure, report

__all__ = ["check_metrics", "evaluate_metrics", "measure", "report"]
