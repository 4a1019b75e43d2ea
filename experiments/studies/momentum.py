r"""Does momentum beat plain SGD?

The tutorial: "training with SGD optimizer with momentum should have better result since it avoids
from getting stuck in local minima or saddle points."

Both train the tutorial's network, with sigmoid and with ReLU, with eight learning rates each. Which
rates are the same depends on the definition of momentum. The tutorial's is a moving average,
$v \leftarrow 0.9\,v + 0.1\,g$. Its steps are in the long run as large as those of SGD with the
same rate. In most libraries it is $v \leftarrow 0.9\,v + g$, so that the same number makes steps
ten times as large. So momentum is compared with SGD in three ways: at the same rate, 4 for sigmoid
as in the tutorial and 1 for ReLU; at a tenth of that rate, which other libraries would call the
same; and with each at its best rate.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from report import (
    BLUE,
    ORANGE,
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

RATES = {
    "Sigmoid": [0.1, 0.2, 0.4, 1.0, 2.0, 4.0, 10.0, 20.0],
    "ReLU": [0.04, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0, 10.0],
}
SAME = {"Sigmoid": 4.0, "ReLU": 1.0}
SETTINGS = [
    Setting(activation=activation, optimizer=optimizer, rate=rate)
    for activation, rates in RATES.items()
    for optimizer in ("SGD", "Momentum")
    for rate in rates
]


def pairs(results: Results, activation: str) -> dict[str, tuple[Setting, Setting]]:
    """Return the settings of SGD and momentum for each of the three comparisons."""

    def at(optimizer: str, rate: float) -> Setting:
        return where(results, activation=activation, optimizer=optimizer, rate=rate)[0]

    rate = SAME[activation]
    sgd, momentum = (
        best(results, activation=activation, optimizer=name) for name in ("SGD", "Momentum")
    )
    return {
        "the same rate": (at("SGD", rate), at("Momentum", rate)),
        "the same number in most libraries": (at("SGD", rate / 10), at("Momentum", rate)),
        "each at its best": (sgd, momentum),
    }


def gain(results: Results, pair: tuple[Setting, Setting]) -> Interval:
    """Return by how many points momentum is better, seed by seed."""
    sgd, momentum = pair
    return mean(final(results, momentum) - final(results, sgd))


def picture(results: Results) -> Figure:
    """Draw the test error over the learning rate."""
    figure = Figure(figsize=(5, 6.4), layout="constrained")
    for axes, activation in zip(figure.subplots(2, 1), RATES, strict=True):
        for optimizer, colour in (("SGD", BLUE), ("Momentum", ORANGE)):
            draw_rates(axes, results, optimizer, colour, activation=activation, optimizer=optimizer)
        rate_axis(axes, RATES[activation])
        axes.set(title=activation, ylabel="test error after 10 epochs")
        error_axis(axes)
        axes.legend(frameon=False)
    return figure


def table(results: Results) -> str:
    """Compare test accuracies."""
    rows = []
    for activation in RATES:
        for way, pair in pairs(results, activation).items():
            accuracies = [f"{final(results, s).mean():.2f} (rate {s.rate:g})" for s in pair]
            rows.append([activation, way, *accuracies, f"{gain(results, pair):+.2f}"])
    return markdown(["", "compared at", "SGD, %", "momentum, %", "gain, points"], rows)


def evidence(results: Results) -> str:
    """Compare at good rates and at large ones."""
    sigmoid, relu = (pairs(results, activation) for activation in RATES)
    gains = [gain(results, of["each at its best"]) for of in (sigmoid, relu)]
    worst = min(final(results, of["each at its best"][0]).min() for of in (sigmoid, relu))
    return (
        f"At their best rates the two differ by {gains[0].value:+.2f} points with sigmoid and by "
        f"{gains[1].value:+.2f} with ReLU, no more than chance would do. Momentum wins where the "
        f"rate is too large for plain SGD: at the tutorial's rate of 4 it gains "
        f"{gain(results, sigmoid['the same rate']).value:.2f} points. And plain SGD never got "
        f"stuck in a bad minimum: at its best rates the worst of its runs reaches {worst:.1f}%."
    )


VERDICT = "No, not when both have a good learning rate."
CAPTION = (
    "The test error after ten epochs for each learning rate; lower is better. Up to the best rates "
    "the two curves are the same. Beyond them plain SGD gets worse first."
)
STUDY = Study("momentum", __doc__, SETTINGS, VERDICT, evidence, picture, CAPTION, table)

if __name__ == "__main__":
    conduct_all([STUDY])
