"""
An autoencoder: digits in two numbers
=====================================

A network that learns to return its own input through a layer of two units has to say in two numbers
what matters most in an image. They are a map of the digits.
"""

import matplotlib.pyplot as plt

from layerkit import Adam, CosineSchedule, Dense, MeanSquaredError, Network, ReLU, Sequential, fit
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
x = digits.train.x
encoder = [Dense(64), ReLU(), Dense(32), ReLU(), Dense(2)]
decoder = [Dense(32), ReLU(), Dense(64), ReLU(), Dense(64)]
net = Network(Sequential(encoder + decoder), MeanSquaredError(), shape=(64,))
optimizer = Adam(lr=0.005, schedules={"lr": CosineSchedule()})
records = fit(net, optimizer, x, x, epochs=60, batch_size=32)
print(f"loss {records[-1].train_loss:.3f}; with the mean image {x.var(axis=0).mean():.3f}")

# %%
# ``of`` names the narrow layer. The network was not told which digit an image is, yet images of the
# same digit are near each other; the colours show which it is.

code = net.outputs(digits.test.x, of="body.layers.4")
figure, ax = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
points = ax.scatter(*code.T, c=digits.test.t, cmap="tab10", vmin=-0.5, vmax=9.5, s=14)
figure.colorbar(points, ticks=range(10), label="digit")
ax.set(title="Digits in two numbers", xlabel="first number", ylabel="second number")
plt.show()

# %%
# Above are images, and below what the network makes of their two numbers. A 7 comes back as a 9:
# two numbers can't tell all digits apart.

back = net.outputs(digits.test.x)
figure, axes = plt.subplots(2, 8, figsize=(5.4, 1.8), layout="constrained")
figure.suptitle("Eight digits, and what comes back")
for row, images in zip(axes, (digits.test.x, back), strict=True):
    for ax, image in zip(row, images, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="Greys", vmin=0, vmax=1)
        ax.axis("off")
plt.show()
