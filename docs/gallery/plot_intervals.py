"""
Prediction intervals
====================

Instead of one number a network can predict a range. ``Quantile`` has an output for each quantile;
80% of the true values should lie between those of 10% and 90%.
"""

import matplotlib.pyplot as plt
import numpy as np

from layerkit import (
    Adam,
    CosineSchedule,
    Dense,
    Network,
    Quantile,
    ReLU,
    Sequential,
    Standardize,
    fit,
)

rng = np.random.default_rng(0)
size = rng.uniform(20, 150, size=(600, 1))
price = 100 + 4 * size[:, 0] + 0.1 * size[:, 0] * rng.gamma(3, 3, size=600)

# %%
# Prices are in thousands. Those of large flats spread more, and upwards more than downwards.

body = Sequential([Standardize(), Dense(32), ReLU(), Dense(3)])
net = Network(body, Quantile((0.1, 0.5, 0.9)), shape=(1,))
optimizer = Adam(lr=0.02, schedules={"lr": CosineSchedule()})
fit(net, optimizer, size, price, epochs=100, batch_size=50, standardize_targets=True)

low, middle, high = net.predict(size).T
print(f"{np.mean((low <= price) & (price <= high)):.0%} of the prices are within the range")

# %%
# The band shows both: it is wider for large flats, and wider above the median than below it.

line = np.linspace(20, 150, 200)[:, None]
low, middle, high = net.predict(line).T
figure, ax = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
ax.scatter(size, price, s=8, color="grey", alpha=0.6, label="flats")
ax.plot(line, middle, label="median")
ax.fill_between(line[:, 0], low, high, alpha=0.3, label="10% to 90%")
ax.set(title="Prices and their range", xlabel="size in square metres", ylabel="price in thousands")
ax.legend()
plt.show()

# %%
# The recipe is :doc:`/recipes/prediction_intervals`.
