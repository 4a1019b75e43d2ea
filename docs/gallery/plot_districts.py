"""
A table with categories
=======================

Each word of a column can be learned as a vector, an *embedding*. Here each district of a town has
two numbers, which the network chooses so that it predicts the prices of flats well. The table is
:download:`flats.csv <../../experiments/flats.csv>`; the path below is its place in the
project, so after a download give your own.
"""

import matplotlib.pyplot as plt
import pandas

from layerkit import Adam, Category, Dense, MeanSquaredError, Network, ReLU, Sequential, Table, fit

flats = pandas.read_csv("../../experiments/flats.csv")
price = flats.pop("price")
print(flats[["district", "area", "rooms", "built", "heating"]].head(3))

# %%
# ``Table.of`` chooses what each column becomes. The id is left out, and the district gets a vector
# of two numbers.

table = Table.of(flats, id=None, district=Category("district", embedding=2))
print(table.describe(flats))
net = Network(Sequential([table, Dense(32), ReLU(), Dense(1)]), MeanSquaredError(), table.shape)
records = fit(net, Adam(lr=0.01), flats, price, epochs=40, batch_size=32, standardize_targets=True)

# %%
# The vectors are an ordinary parameter, one row for each category. Districts with similar prices
# are near each other, though the network knew nothing about them but their names.

names = next(column for column in table.columns if column.name == "district").categories
vectors = net["body.layers.0.W"].value.reshape(-1, 2)
per_metre = (price / flats["area"]).groupby(flats["district"]).median()[names]
figure, ax = plt.subplots(figsize=(5.4, 4.6), layout="constrained")
points = ax.scatter(*vectors.T, c=per_metre, cmap="viridis", s=50, edgecolors="grey")
order = vectors[:, 1].argsort()
for i, row in enumerate(order):  # neighbours have their names on different sides
    side, x = (("left", 6), ("right", -6))[i % 2]
    ax.annotate(names[row], vectors[row], (x, -3), textcoords="offset points", ha=side)
ax.margins(0.48, 0.08)
ax.set(title="Vectors of the districts", xlabel="first number", ylabel="second number")
figure.colorbar(points, label="median price of a square metre")
plt.show()
