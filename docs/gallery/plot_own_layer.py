"""
A layer of your own
===================

A straight line can't separate a ring from its middle, but it can where the squares of both
coordinates are given too. A layer that adds them has three short methods.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_circles

from layerkit import Adam, Dense, Layer, Network, Sequential, SoftmaxCrossEntropy, fit
from layerkit.testing import check_layer


class WithSquares(Layer):
    """y = (x, x²)."""

    def build(self, shape):
        return (2 * shape[0],)

    def forward(self, x, train=True):
        self.x = x
        return np.concatenate([x, x**2], axis=1)

    def backward(self, dy):
        dx, dsquare = np.split(dy, 2, axis=1)
        return dx + 2 * self.x * dsquare


# %%
# ``check_layer`` compares ``backward`` with difference quotients of ``forward``, and checks what
# else a layer has to keep to. Here it finds nothing; else it would raise an error that says what is
# wrong.

check_layer(WithSquares(), (2,))

# %%
# A network without and with the new layer, and the share of points that each gets right:

x, t = make_circles(200, noise=0.12, factor=0.5, random_state=0)
across, up = np.meshgrid(np.linspace(-1.5, 1.5, 100), np.linspace(-1.5, 1.5, 100))
plane = np.column_stack([across.ravel(), up.ravel()])
figure, axes = plt.subplots(1, 2, figsize=(5.4, 2.9), layout="constrained", sharey=True)
for ax, layers in zip(axes, ([Dense(2)], [WithSquares(), Dense(2)]), strict=True):
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), shape=(2,))
    records = fit(net, Adam(lr=0.05), x, t, epochs=100, batch_size=50)
    p = net.predict_proba(plane)[:, 1].reshape(across.shape)
    ax.contourf(across, up, p, np.linspace(0, 1, 11), cmap="RdBu_r", vmin=-0.9, vmax=1.9)
    ax.scatter(*x.T, c=t, cmap="coolwarm", s=14, edgecolors="white", linewidths=0.4)
    names = ", ".join(type(layer).__name__ for layer in layers)
    ax.set(title=f"{names}: {records[-1].train_accuracy:.0%}", aspect="equal")
plt.show()

# %%
# Without the squares the network can only guess: all of its probabilities are near 1/2. With them
# it draws an ellipse. :doc:`/extending` explains how to write layers, optimizers and losses.
