"""Conduct all studies, and write their page of the documentation.

    python experiments/studies/page.py

MNIST comes from the folder that LAYERKIT_DATA names, else from a download. What has been trained is
kept: an interrupted call goes on where it was.
"""

from __future__ import annotations

from batch_sizes import STUDY as BATCH_SIZES
from initial_weights import STUDY as INITIAL_WEIGHTS
from learning_rates import STUDY as LEARNING_RATES
from momentum import STUDY as MOMENTUM
from report import conduct_all

STUDIES = [MOMENTUM, LEARNING_RATES, BATCH_SIZES, INITIAL_WEIGHTS]
INTRODUCTION = """\
# The claims, tested

The [tutorial](tutorial.md) makes four claims about training. Here each is tested on MNIST with the
tutorial's network, 784-64-10, in batches of 128 and for ten epochs, unless something else is said.

- **Learning rates are chosen without the test images.** 50,000 of the 60,000 training images train,
  the other 10,000 validate: the best learning rate of a grid is the one with the highest accuracy
  there. All accuracies on this page are those of the 10,000 test images.
- **Ten seeds.** A seed draws the initial weights and the order of the images. Settings that are
  compared share their seeds, and are compared seed by seed.
- **Intervals** in parentheses and in pictures are 95 % confidence intervals: of means and of mean
  differences by Student's t distribution, of standard deviations by the chi-squared distribution.
  Rings in pictures mark the best learning rates.
- **A training that diverges** counts as guessing, 10 %.

The answers are those of this small network on these images, after ten epochs. `make studies`
repeats everything; the figures of each training are in `experiments/results/studies`, and this page
is written from them.
"""


def main() -> None:
    """Conduct the studies as the command line says, and write the page."""
    conduct_all(STUDIES, INTRODUCTION)


if __name__ == "__main__":
    main()
