"""
Dropout against overfitting
===========================

300 digits, one in seven with a random label, and a network that is large enough to learn them all
by heart. The loss on new digits shows when that begins.
"""

import matplotlib.pyplot as plt
import numpy as np

from layerkit import Adam, Dense, Dropout, Network, ReLU, Sequential, SoftmaxCrossEntropy, fit
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
x, t = digits.train.x[:300], digits.train.t[:300].copy()
t[::7] = np.random.default_rng(0).integers(0, 10, len(t[::7]))

# %%
# The same network without and with dropout, which leaves out half of the units in each step.

bodies = {
    "without dropout": [Dense(256), ReLU(), Dense(10)],
    "with dropout": [Dense(256), ReLU(), Dropout(0.5), Dense(10)],
}
figure, axes = plt.subplots(1, 2, figsize=(5.4, 3), layout="constrained", sharey=True)
for ax, (name, layers) in zip(axes, bodies.items(), strict=True):
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), shape=(64,))
    test = (digits.test.x, digits.test.t)
    records = fit(net, Adam(lr=0.005), x, t, test=test, epochs=100, batch_size=32)
    epochs = [record.epoch for record in records]
    ax.plot(epochs, [record.train_loss for record in records], label="training")
    ax.plot(epochs, [record.test_loss for record in records], label="new digits")
    ax.set(title=name, xlabel="epoch", ylim=(0, 1.5))
    print(f"{name}: accuracy on new digits {records[-1].test_accuracy:.2f}")
axes[0].set_ylabel("loss")
axes[0].legend()
plt.show()

# %%
# Without dropout the loss on new digits rises after about ten epochs, while the training loss still
# falls. With dropout it stays lower. More remedies are in :doc:`/recipes/overfitting`.
