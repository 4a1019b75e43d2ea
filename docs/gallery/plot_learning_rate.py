"""
What a learning rate does
=========================

The same network, the same initial weights, five learning rates. If the rate is too low, the loss
hardly falls; if it is too high, the loss jumps, or doesn't fall at all.
"""

import matplotlib.pyplot as plt

from layerkit import SGD, Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy, fit
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
net = Network(Sequential([Dense(32), ReLU(), Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))

# %%
# ``initialize`` draws the same weights for each training run.

figure, ax = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
for lr in (0.01, 0.1, 0.5, 1.0, 2.0):
    net = net.initialize(seed=0)
    records = fit(net, SGD(lr=lr), digits.train.x, digits.train.t, epochs=20, batch_size=32)
    losses = [record.train_loss for record in records]
    ax.semilogy(range(1, 21), losses, label=f"lr = {lr}")
    print(f"lr = {lr}: training loss {losses[-1]:.4f}")
ax.set(title="Training loss with five rates", xlabel="epoch", ylabel="loss")
ax.set_xticks(range(0, 21, 5))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
# With 0.01 the loss falls, but 20 epochs are far from enough. With 0.5 and 1 it jumps in the first
# ten epochs, and ends lowest. With 2 the network does no better than guessing, whose loss is ln 10
# = 2.3. ``layerkit lr-range`` finds a good rate with a single short training run: see
# :doc:`/recipes/learning_rate`.
