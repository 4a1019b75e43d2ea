"""
Depth and vanishing gradients
=============================

The slope of a sigmoid is at most 1/4, so each layer makes the gradient smaller on its way back. A
ReLU passes it on where it is active. The three networks here are untrained, with ten hidden layers
of 64 units.
"""

import matplotlib.pyplot as plt
import numpy as np

from layerkit import Dense, Network, ReLU, Sequential, Sigmoid, SoftmaxCrossEntropy, Tanh
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
depth = 10

# %%
# ``net.gradient`` leaves the gradient of each parameter in its ``grad``. Its size, as a root mean
# square, layer by layer:

figure, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
for activation, marker in ((Sigmoid, "o"), (Tanh, "s"), (ReLU, "^")):
    layers = [layer for _ in range(depth) for layer in (Dense(64), activation())]
    net = Network(Sequential([*layers, Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))
    net.gradient(digits.train.x, digits.train.t)
    sizes = [np.sqrt(np.mean(net[f"body.layers.{2 * i}.W"].grad ** 2)) for i in range(depth + 1)]
    ax.semilogy(range(1, depth + 2), sizes, marker=marker, markersize=4, label=activation.__name__)
    print(f"{activation.__name__:8} first layer {sizes[0]:.0e}, last layer {sizes[-1]:.0e}")
ax.set(title="Gradient of the weights in each layer", xlabel="layer", ylabel="root mean square")
ax.set_xticks(range(1, depth + 2))
ax.legend()
plt.show()

# %%
# With sigmoids the first layer gets less than a millionth of what the last one gets, and hardly
# learns. ReLU, normalization and residual blocks help: see :doc:`/recipes/deep_networks`.
