"""A network learns to read handwritten digits: every call of a training run, nothing hidden."""

import numpy as np

from layerkit import Adam, Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy
from layerkit.data import Data

digits = Data(name="digits").load(seed=0)
x, t = digits.train.x, digits.train.t  # 1,437 images of 64 float32 numbers, and their digits

body = Sequential([Dense(64), ReLU(), Dense(10)])
loss = SoftmaxCrossEntropy()
network = Network(body, loss, shape=(64,))
parameters, gradients = network.arena.values, network.arena.grads  # of all layers
optimizer = Adam(lr=0.01)
rng = np.random.default_rng(0)

for epoch in range(1, 11):
    losses = []
    for rows in np.array_split(rng.permutation(len(x)), 45):
        z = body.forward(x[rows])
        losses.append(loss.mean(z, t[rows]))
        body.backward(loss.backward())
        optimizer.step(parameters, gradients)
    answers = body.forward(digits.test.x, train=False).argmax(axis=1)
    accuracy = np.mean(answers == digits.test.t)
    print(f"epoch {epoch:2}: loss {np.mean(losses):.3f}, test accuracy {accuracy:.3f}")
