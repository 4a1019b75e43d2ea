"""Run all studies, and write their page of the documentation.

    python experiments/studies/page.py

MNIST comes from the folder in LAYERKIT_DATA, else from a download. Finished trainings are kept: an
interrupted call continues where it was.
"""

from __future__ import annotations

from batch_sizes import STUDY as BATCH_SIZES
from initial_weights import STUDY as INITIAL_WEIGHTS
from learning_rates import STUDY as LEARNING_RATES
from momentum import STUDY as MOMENTUM
from report import conduct_all

STUDIES = [MOMENTUM, LEARNING_RATES, BATCH_SIZES, INITIAL_WEIGHTS]
INTRODUCTION = """\
# The tutorial's claims, tested

The [tutorial](tutorial.md) makes four claims about training. Here each is tested on MNIST with the
tutorial's network, 784-64-10, with batches of 128 and for ten epochs, unless stated otherwise.

- **Learning rates are chosen without the test images.** 50,000 of the 60,000 training images are
  for training, the other 10,000 for validation: the best learning rate of a grid is the one with
  the highest validation accuracy. All accuracies on this page are those of the 10,000 test images.
- **Ten seeds.** The seed determines the initial weights and the order of the images. Settings that
  are compared use the same seeds, and are compared seed by seed.
- **Intervals** in parentheses and in pictures are 95 % confidence intervals: of means and of mean
  differences by Student's t distribution, of standard deviations by the chi-squared distribution.
  Rings in pictures mark the best learning rates.
- **A run that diverges** counts as guessing, 10 %.

The answers hold for this small network on these images, after ten epochs. `make studies` repeats
everything; the results of each run are in `experiments/results/studies`, and this page is
generated from them.
"""


def main() -> None:
    """Run the studies with the options of the command line, and write the page."""
    conduct_all(STUDIES, INTRODUCTION)


if __name__ == "__main__":
    main()
