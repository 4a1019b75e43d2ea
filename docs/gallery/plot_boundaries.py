"""
Four networks, the same points
==============================

A network without a hidden layer can only draw a straight line between two classes. Hidden units
bend the line, and more of them bend it more.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from layerkit import Adam, Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy, Tanh, fit

x, t = make_moons(200, noise=0.25, random_state=0)

# %%
# Four bodies: no hidden layer, three units, sixteen units, and three layers of 32.

bodies = {
    "no hidden layer": Sequential([Dense(2)]),
    "3 Tanh": Sequential([Dense(3), Tanh(), Dense(2)]),
    "16 Tanh": Sequential([Dense(16), Tanh(), Dense(2)]),
    "3 layers of 32 ReLU": Sequential(
        [Dense(32), ReLU(), Dense(32), ReLU(), Dense(32), ReLU(), Dense(2)]
    ),
}

# %%
# Each is trained on all points, and asked for the probability of the second class everywhere in the
# plane.

across, up = np.meshgrid(np.linspace(-2, 3, 120), np.linspace(-1.5, 2, 120))
plane = np.column_stack([across.ravel(), up.ravel()])
figure, axes = plt.subplots(2, 2, figsize=(5.4, 5), layout="constrained", sharex=True, sharey=True)
for ax, (name, body) in zip(axes.flat, bodies.items(), strict=True):
    net = Network(body, SoftmaxCrossEntropy(), shape=(2,))
    records = fit(net, Adam(lr=0.02), x, t, epochs=200, batch_size=50, seed=1)
    p = net.predict_proba(plane)[:, 1].reshape(across.shape)
    ax.contourf(across, up, p, np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.4)
    ax.contour(across, up, p, [0.5], colors="grey", linewidths=1)
    ax.scatter(*x.T, c=t, cmap="RdBu_r", s=12, edgecolors="white", linewidths=0.4)
    ax.set_title(f"{name}: {records[-1].train_accuracy:.1%}")
plt.show()

# %%
# The number is the accuracy on these points. The last network has the highest one, with bays for
# single points: it has learned the noise too, and new points would tell.
