"""
Four networks, the same points
==============================

A network without a hidden layer can only draw a straight line between two classes. Hidden units
bend the line, and more of them bend it more.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from layerkit import (
    Adam,
    Dense,
    Network,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    evaluate,
    fit,
)

x, t = make_moons(200, noise=0.25, random_state=0)
new = make_moons(2000, noise=0.25, random_state=1)

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
# Each is trained on the 200 points, and asked for the probability of the second class, red,
# everywhere in the plane. New points of the same kind show what it is worth.

across, up = np.meshgrid(np.linspace(-2, 3, 120), np.linspace(-1.5, 2, 120))
plane = np.column_stack([across.ravel(), up.ravel()])
figure, axes = plt.subplots(2, 2, figsize=(5.4, 5), layout="constrained", sharex=True, sharey=True)
for ax, (name, body) in zip(axes.flat, bodies.items(), strict=True):
    net = Network(body, SoftmaxCrossEntropy(), shape=(2,))
    records = fit(net, Adam(lr=0.02), x, t, epochs=200, batch_size=50, seed=1)
    p = net.predict_proba(plane)[:, 1].reshape(across.shape)
    ax.contourf(across, up, p, np.linspace(0, 1, 11), cmap="RdBu_r", vmin=-0.9, vmax=1.9)
    ax.contour(across, up, p, [0.5], colors="black", linewidths=1)
    ax.scatter(*x.T, c=t, cmap="coolwarm", s=14, edgecolors="white", linewidths=0.4)
    accuracy, loss = evaluate(net, *new)
    ax.set_title(f"{name}\n{records[-1].train_accuracy:.1%}, new points {accuracy:.1%}")
plt.show()

# %%
# The numbers are accuracies, on the points that are shown and on new ones. The last network knows
# its own points best, with bays for single ones: it has learned their noise too, and does worse on
# new points.
