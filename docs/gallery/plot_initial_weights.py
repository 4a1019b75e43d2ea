"""
Initial weights, through ten layers
===================================

The values in ten untrained layers of 100 ReLUs, for three sizes of initial weights. With one of
them only, they neither vanish nor explode from layer to layer.
"""

import matplotlib.pyplot as plt

from layerkit import Dense, HeNormal, Network, Normal, ReLU, Sequential, SoftmaxCrossEntropy
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
inits = {
    "Normal(0.05): too small": Normal(0.05),
    "HeNormal(): right for ReLU": HeNormal(),
    "Normal(0.3): too large": Normal(0.3),
}

# %%
# ``net.outputs(x, of=address)`` returns the outputs of an inner layer, here of a ``Dense``, before
# its ReLU. The histograms show them for all test digits, with their standard deviation (std).

figure = plt.figure(figsize=(5.4, 4.8), layout="constrained")
for part, (name, init) in zip(figure.subfigures(3), inits.items(), strict=True):
    part.suptitle(name)
    layers = [layer for _ in range(10) for layer in (Dense(100, init), ReLU())]
    net = Network(Sequential([*layers, Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))
    for ax, depth in zip(part.subplots(1, 5), (1, 3, 5, 7, 9), strict=True):
        y = net.outputs(digits.test.x, of=f"body.layers.{2 * depth - 2}")
        ax.hist(y.ravel(), 31, range=(-3, 3), density=True)
        std = float(f"{y.std():.1g}")
        ax.set(ylim=(0, 1), xticks=[-2, 0, 2], yticks=[], xlabel=f"layer {depth}\nstd {std:g}")
plt.show()

# %%
# Too small weights make all values nearly 0: the bars leave the top of the picture. Too large ones
# spread them far beyond the -3 to 3 that are drawn. He's weights have a variance of 2 / n for n
# inputs, so that sizes hardly change. A ``Dense`` without ``init`` has them when a ``ReLU``
# follows: see :doc:`/recipes/deep_networks`, and :doc:`/atlas/initializers` for others.
