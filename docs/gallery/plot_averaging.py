"""
Weight averaging
================

With a high learning rate the weights wander around a good place. Their moving average, ``EMA``, is
nearer to it than they are themselves.
"""

import matplotlib.pyplot as plt

from layerkit import EMA, Adam, Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy, fit
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
net = Network(Sequential([Dense(64), ReLU(), Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))

# %%
# Both training runs take the same steps; only what is measured differs.

figure, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
for name, average in {"the weights": None, "their average": EMA(decay=0.99)}.items():
    records = fit(
        net.initialize(seed=0),
        Adam(lr=0.03),
        digits.train.x,
        digits.train.t,
        test=(digits.test.x, digits.test.t),
        epochs=15,
        batch_size=32,
        average=average,
    )
    losses = [record.test_loss for record in records]
    ax.plot(range(1, 16), losses, label=name)
    print(f"{name}: test loss {losses[-1]:.3f}, at best {min(losses):.3f}")
ax.set(title="Test loss after each epoch", xlabel="epoch", ylabel="loss", ylim=(0, 0.4))
ax.legend()
plt.show()

# %%
# The loss of the weights jumps from epoch to epoch; that of their average stays near its best
# value. At the end ``fit`` gives the network the average: see :doc:`/recipes/averaging`.
