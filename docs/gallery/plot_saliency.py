"""
What a network looks at
=======================

``input_gradient`` returns how much an output changes with each pixel. Its mean over the images of a
digit shows which pixels speak for the digit, and which against it.
"""

import matplotlib.pyplot as plt
import numpy as np

from layerkit import (
    Adam,
    Dense,
    ImageAugmentation,
    Network,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
)
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
net = Network(Sequential([Dense(64), ReLU(), Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))
records = fit(
    net,
    Adam(lr=0.005, weight_decay=1.0),
    digits.train.x,
    digits.train.t,
    epochs=30,
    batch_size=32,
    augmentation=ImageAugmentation(image=(8, 8), shift=1.0),
)
print(f"{evaluate(net, digits.test.x, digits.test.t)[0]:.0%} of the test digits are right")

# %%
# Each digit has its mean image, and below it the gradient. Where a red pixel gets darker, the
# network is surer of the digit; where a blue one does, it is less sure.

figure, axes = plt.subplots(4, 5, figsize=(5.4, 5), layout="constrained")
for digit in range(10):
    x = digits.test.x[digits.test.t == digit]
    slopes = net.input_gradient(x, output=digit).mean(axis=0).reshape(8, 8)
    row, column = 2 * (digit // 5), digit % 5
    axes[row, column].imshow(x.mean(axis=0).reshape(8, 8), cmap="Greys")
    axes[row, column].set_title(f"mean {digit}")
    limit = np.abs(slopes).max()
    axes[row + 1, column].imshow(slopes, cmap="RdBu_r", vmin=-limit, vmax=limit)
for ax in axes.flat:
    ax.axis("off")
plt.show()

# %%
# The middle of a 0 is blue: ink there would speak against it. See :doc:`/recipes/saliency`.
