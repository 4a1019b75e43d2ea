"""Does ReLU need a much smaller learning rate than sigmoid?

The tutorial: "due to non-bounded behavior of relu(), the learning rate should be set much smaller
than the one for sigmoid() (bounded)." It uses 4 for sigmoid, and 0.05 for ReLU.

Plain SGD, many learning rates, and four networks: sigmoid; ReLU with the tutorial's initial
weights; ReLU with weights that suit it (He's, of variance 2/n, layerkit's default); and ReLU with
the derivative as the tutorial prints it, which is
[1 everywhere](tutorial.md#the-derivative-of-relu-is-1-everywhere). Each rate that is tried is 2 or
2.5 times the one before, so a best rate is only roughly known. For the ratio of two best rates the
best rate is chosen for each seed separately, and the ratios are averaged (their geometric mean).
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from report import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    Interval,
    Study,
    best,
    conduct_all,
    draw_rates,
    error_axis,
    final,
    markdown,
    mean,
    rate_axis,
    where,
)
from trainings import Results, Setting

from layerkit import Array

NETWORKS = {
    "sigmoid": ("Sigmoid", "1/n"),
    "ReLU": ("ReLU", "1/n"),
    "ReLU, suited weights": ("ReLU", "suited"),
    "ReLU, as printed": ("ReLUAsPrinted", "1/n"),
}
RATES = {
    "Sigmoid": [0.1, 0.2, 0.4, 1.0, 2.0, 4.0, 10.0, 20.0, 40.0],
    "ReLU": [0.02, 0.04, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0],
    "ReLUAsPrinted": [0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0],
}
SETTINGS = [
    Setting(activation=activation, weights=weights, rate=rate)
    for activation, weights in NETWORKS.values()
    for rate in RATES[activation]
]


def of(results: Results, network: str) -> list[Setting]:
    """Return the settings of a network, in the order of their learning rates."""
    activation, weights = NETWORKS[network]
    return where(results, activation=activation, weights=weights)


def best_rates(results: Results, network: str) -> Array:
    """Return for each seed the learning rate with the highest validation accuracy."""
    settings = of(results, network)
    accuracies = [[run.validation for run in results[setting]] for setting in settings]
    rates: Array = np.array([setting.rate for setting in settings])[np.argmax(accuracies, axis=0)]
    return rates


def ratio(results: Results, network: str) -> Interval:
    """Return sigmoid's best learning rate over the network's: a geometric mean over the seeds."""
    logs = np.log(best_rates(results, "sigmoid") / best_rates(results, network))
    estimate = mean(logs)
    return Interval(*np.exp([estimate.value, estimate.low, estimate.high]).tolist())


def good(results: Results, network: str) -> list[float]:
    """Return the learning rates whose test accuracies are within one point of the best."""
    means = {setting.rate: final(results, setting).mean() for setting in of(results, network)}
    return [rate for rate, accuracy in means.items() if accuracy > max(means.values()) - 1]


def failing(results: Results, network: str) -> float:
    """Return the smallest learning rate at which most images are misclassified on average."""
    settings = of(results, network)
    return min((s.rate for s in settings if final(results, s).mean() < 50), default=np.inf)


def picture(results: Results) -> Figure:
    """Draw the test error over the learning rate."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for network, colour, line in zip(
        NETWORKS, (BLUE, ORANGE, PINK, GREEN), ("-o", "-o", "--s", ":^"), strict=True
    ):
        activation, weights = NETWORKS[network]
        draw_rates(axes, results, network, colour, line, activation=activation, weights=weights)
    rate_axis(axes, [0.01, 0.1, 1, 10])
    axes.set_ylabel("test error after 10 epochs")
    error_axis(axes)
    axes.legend(frameon=False)
    return figure


def table(results: Results) -> str:
    """Show at which rates each network learns best, well and not at all."""
    rows = []
    for network, (activation, weights) in NETWORKS.items():
        chosen = best(results, activation=activation, weights=weights)
        rates = good(results, network)
        rows.append(
            [
                network,
                f"{chosen.rate:g}",
                f"{mean(final(results, chosen)):.2f}",
                f"{min(rates):g} … {max(rates):g}",
                f"{failing(results, network):g}",
                "" if network == "sigmoid" else f"{ratio(results, network):.1f}",
            ]
        )
    columns = [
        "network",
        "best rate",
        "test accuracy there, %",
        "within a point of the best",
        "below 50% from",
        "sigmoid's best rate is larger by",
    ]
    return markdown(columns, rows)


def evidence(results: Results) -> str:
    """Compare the best rates."""
    relu, suited, printed = (ratio(results, name) for name in list(NETWORKS)[1:])
    return (
        f"Sigmoid's best rate is {relu.value:.1f} times as large as ReLU's with the tutorial's "
        f"initial weights, and {suited.value:.1f} times with weights made for ReLU. The tutorial "
        f"takes a rate 80 times as large. One reason is its mistake in the derivative of ReLU: "
        f"with it, {printed.value:.0f} times is best."
    )


VERDICT = "Smaller, yes, but not much smaller."
CAPTION = (
    "The test error after ten epochs for each learning rate of plain SGD; lower is better. Each "
    "curve ends where the network no longer learns."
)
STUDY = Study("learning_rates", __doc__, SETTINGS, VERDICT, evidence, picture, CAPTION, table)

if __name__ == "__main__":
    conduct_all([STUDY])
