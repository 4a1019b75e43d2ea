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

The answers hold for this small network on these images, after ten epochs.

:::{dropdown} How to read the numbers
- **Ten seeds.** One run proves little: another seed means other initial weights and another
  order of the images, and so another accuracy. So each setting is trained ten times, and settings
  are compared seed by seed.
- **An interval**, such as +0.94 (+0.51 … +1.37), says how far chance reaches. The mean of these ten
  seeds is +0.94. The mean of very many seeds would probably lie between +0.51 and +1.37: of a
  hundred intervals made this way, about 95 contain it. If an interval contains 0, the difference
  may be chance alone. The bands and bars in the pictures are such intervals. (For means they are
  made by Student's t distribution, for standard deviations by the chi-squared distribution.)
- **A point** is one percent of the test images, so from 97% to 98% is a gain of one point.
- **Learning rates are chosen without the test images.** Of the 60,000 training images 10,000 are
  held out for validation: the best learning rate is the one with the highest accuracy there. It has
  a ring in the pictures. All accuracies on this page are those of the 10,000 test images.
- **A run that diverges** counts as guessing, 10%.

`make studies` repeats everything; the results of each run are in `experiments/results/studies`, and
this page is generated from them.
:::
"""


def main() -> None:
    """Run the studies with the options of the command line, and write the page."""
    conduct_all(STUDIES, INTRODUCTION)


if __name__ == "__main__":
    main()
