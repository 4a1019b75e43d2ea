"""
ROC curve and calibration
=========================

Where classes are rare or mistakes costly, accuracy says too little. The ROC curve shows which share
of the cases is found for which share of false alarms; calibration shows whether 80% means 80%.
"""

import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.metrics import RocCurveDisplay

from layerkit import Adam, BinaryCrossEntropy, Dense, Network, ReLU, Sequential, Standardize, fit

x, t = make_classification(2000, 20, n_informative=6, weights=[0.7], flip_y=0.15, random_state=0)
x, x_test, t, t_test = x[:1000], x[1000:], t[:1000], t[1000:]

# %%
# The same network, trained for a short time and far too long:

answers = {}
for epochs in (10, 300):
    body = Sequential([Standardize(), Dense(32), ReLU(), Dense(1)])
    net = Network(body, BinaryCrossEntropy(), shape=(20,))
    fit(net, Adam(lr=0.01), x, t, epochs=epochs, batch_size=32)
    answers[f"{epochs} epochs"] = net.predict_proba(x_test)[:, -1]

# %%
# scikit-learn draws the curves. ROC curves are better the nearer they come to the upper left
# corner; calibration is best on the dotted line.

figure, (left, right) = plt.subplots(1, 2, figsize=(5.4, 3.1), layout="constrained")
for name, p in answers.items():
    RocCurveDisplay.from_predictions(t_test, p, ax=left, name=name)
    CalibrationDisplay.from_predictions(t_test, p, n_bins=8, ax=right, name=name, ref_line=False)
right.axline((0, 0), slope=1, color="grey", linestyle=":")
left.set(title="ROC curve", xlabel="share of false alarms", ylabel="share of cases found")
right.set(title="Calibration", xlabel="predicted probability", ylabel="share of cases")
right.set(xlim=left.get_xlim(), ylim=left.get_ylim(), aspect="equal")
for ax in (left, right):
    ax.get_legend().remove()
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %%
# AUC is the area under the ROC curve. The network that was trained for too long finds fewer cases,
# and is far too sure of itself: where it predicts 99%, only 72% are cases.
# :doc:`/recipes/metrics` has more measures, and :doc:`/recipes/early_stopping` ends the training in
# time.
