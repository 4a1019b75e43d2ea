"""
Mistakes on digits
==================

Which digits does a network take for others, and how sure is it of that?
"""

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

from layerkit import Adam, Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy, evaluate, fit
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
net = Network(Sequential([Dense(32), ReLU(), Dense(10)]), SoftmaxCrossEntropy(), shape=(64,))
fit(net, Adam(lr=0.01), digits.train.x, digits.train.t, epochs=10, batch_size=32)
x, t = digits.test.x, digits.test.t
accuracy, loss = evaluate(net, x, t)
print(f"{accuracy:.1%} of {len(t)} digits are right")

# %%
# Each row is a true digit, each column what was predicted. All that is off the diagonal is wrong;
# the network most often takes a 1 for an 8.

predicted = net.predict(x)
figure, ax = plt.subplots(figsize=(5, 4.4), layout="constrained")
ConfusionMatrixDisplay.from_predictions(t, predicted, ax=ax, cmap="Blues", colorbar=False)
ax.set(title="True and predicted digits", xlabel="predicted", ylabel="true digit")
plt.show()

# %%
# Ten of the mistakes, with the probability that the network gave to its wrong answer. Mostly it is
# not sure; of one, an 8 predicted as 1, it is:

wrong = (predicted != t).nonzero()[0][:10]
figure, axes = plt.subplots(2, 5, figsize=(5.4, 3), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for ax, row in zip(axes.flat, wrong, strict=False):
    p = net.predict_proba(x[row : row + 1]).max()
    ax.imshow(x[row].reshape(8, 8), cmap="Greys")
    ax.set_title(f"{t[row]} as {predicted[row]}\n{p:.0%}")
plt.show()
