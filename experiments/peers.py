"""One small job in five libraries, each as its own documentation writes it: what it costs.

The job: digits, 64-64-10, ReLU, dropout of 0.2, Adam, batches of 32, 40 epochs at most, stopped
early by examples that are held out. Each run has a process of its own, and the libraries take
turns.

    python experiments/peers.py --seeds 10

Libraries that are not installed are left out: pip install torch keras jax.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, NamedTuple

import numpy as np

from layerkit import Array

EPOCHS, BATCH, PATIENCE, DROPOUT, LR = 40, 32, 5, 0.2, 0.005
PREDICTIONS = 300
RESULTS = Path(__file__).parent / "results" / "peers.md"


class Sets(NamedTuple):
    """Examples to train on, to stop by, and to test on."""

    x: Array
    t: Array
    x_val: Array
    t_val: Array
    x_test: Array
    t_test: Array


Predict = Callable[[Array], Array]
"""Returns the probabilities of the classes."""


def layerkit(sets: Sets, seed: int) -> tuple[Predict, int]:
    """`fit` with EarlyStopping."""
    import layerkit as lk

    body = lk.Sequential([lk.Dense(64), lk.ReLU(), lk.Dropout(DROPOUT), lk.Dense(10)])
    net = lk.Network(body, lk.SoftmaxCrossEntropy(), shape=(64,))
    records = lk.fit(
        net,
        lk.Adam(lr=LR),
        sets.x,
        sets.t,
        epochs=EPOCHS,
        batch_size=BATCH,
        validation=(sets.x_val, sets.t_val),
        callbacks=[lk.EarlyStopping(patience=PATIENCE)],
        seed=seed,
    )
    return net.predict_proba, len(records)


def scikit_learn(sets: Sets, seed: int) -> tuple[Predict, int]:
    """`MLPClassifier`: it has no dropout, and holds out the examples to stop by itself."""
    from sklearn.neural_network import MLPClassifier

    clf = MLPClassifier(
        (64,),
        batch_size=BATCH,
        learning_rate_init=LR,
        max_iter=EPOCHS,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        random_state=seed,
    )
    clf.fit(np.concatenate([sets.x, sets.x_val]), np.concatenate([sets.t, sets.t_val]))
    return clf.predict_proba, clf.n_iter_


def pytorch(sets: Sets, seed: int) -> tuple[Predict, int]:
    """A hand-written loop over a DataLoader."""
    import copy

    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(64, 10))
    loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=LR)
    x_val, t_val = torch.from_numpy(sets.x_val), torch.from_numpy(sets.t_val)
    data = TensorDataset(torch.from_numpy(sets.x), torch.from_numpy(sets.t))
    loader = DataLoader(data, batch_size=BATCH, shuffle=True)
    best, stale, kept = float("inf"), 0, net.state_dict()
    epochs = 0
    while epochs < EPOCHS and stale < PATIENCE:
        epochs += 1
        net.train()
        for x, t in loader:
            optimizer.zero_grad()
            loss_of(net(x), t).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            loss = loss_of(net(x_val), t_val).item()
        if loss < best:
            best, stale, kept = loss, 0, copy.deepcopy(net.state_dict())
        else:
            stale += 1
    net.load_state_dict(kept)
    net.eval()

    def predict(x: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(net(torch.from_numpy(x)).softmax(1))

    return predict, epochs


def keras(sets: Sets, seed: int) -> tuple[Predict, int]:
    """`fit` with EarlyStopping."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(DROPOUT),
            layers.Dense(10, activation="softmax"),
        ]
    )
    net.compile(keras.optimizers.Adam(LR), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    history = net.fit(
        sets.x,
        sets.t,
        epochs=EPOCHS,
        batch_size=BATCH,
        validation_data=(sets.x_val, sets.t_val),
        callbacks=[stop],
        verbose=0,
    )
    return lambda x: keras.ops.convert_to_numpy(net(x)), len(history.epoch)


LIBRARIES = {"layerkit": layerkit, "scikit-learn": scikit_learn, "PyTorch": pytorch}
LIBRARIES |= {"Keras 3 on JAX": keras, "Keras 3 on PyTorch": keras}
PACKAGES = {
    "layerkit": ["layerkit"],
    "scikit-learn": ["scikit-learn"],
    "PyTorch": ["torch", "numpy"],
    "Keras 3 on JAX": ["keras", "jax"],
    "Keras 3 on PyTorch": ["keras", "torch"],
}


def installed_size(names: list[str]) -> int:
    """Return the bytes of packages and all that they need."""
    from packaging.requirements import Requirement

    found, waiting, size = set(), list(names), 0
    while waiting:
        package = distribution(waiting.pop())
        if package.name in found:
            continue
        found.add(package.name)
        files = [Path(str(file.locate())) for file in package.files or ()]
        size += sum(file.stat().st_size for file in files if file.is_file())
        for line in package.requires or ():
            needed = Requirement(line)
            if not needed.marker or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed.name)
    return size


def one_training(library: str, seed: int) -> dict[str, float]:
    """Train twice in this process, and measure it."""
    import resource

    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, t = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    x, x_test, t, t_test = train_test_split(x, t, test_size=0.2, stratify=t, random_state=seed)
    x, x_val, t, t_val = train_test_split(x, t, test_size=0.1, stratify=t, random_state=seed)
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        predict, epochs = LIBRARIES[library](Sets(x, t, x_val, t_val, x_test, t_test), seed)
        seconds.append(time.perf_counter() - begin)
    accuracy = float((predict(x_test).argmax(axis=1) == t_test).mean())
    times = []
    for _ in range(PREDICTIONS):
        begin = time.perf_counter()
        predict(x_test[:1])
        times.append(time.perf_counter() - begin)
    return {
        "first": seconds[0],
        "again": seconds[1],
        "epochs": epochs,
        "accuracy": accuracy,
        "row": median(times),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def available(library: str) -> bool:
    """Return whether all packages of a library are installed."""
    try:
        for name in PACKAGES[library]:
            distribution(name)
    except PackageNotFoundError:
        return False
    return True


def main() -> None:
    """Train all libraries in turn and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_training(options.one[0], int(options.one[1]))))
        return
    libraries = [library for library in LIBRARIES if available(library)]
    measured: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}
    for seed in range(options.seeds):
        for library in libraries:
            environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
            environment["KERAS_BACKEND"] = "jax" if library.endswith("JAX") else "torch"
            command = [sys.executable, __file__, "--one", library, str(seed)]
            output = subprocess.run(command, env=environment, check=True, capture_output=True)
            measured[library].append(json.loads(output.stdout.splitlines()[-1]))
            print(library, seed, measured[library][-1], flush=True)
    lines = [
        "| | test accuracy | import and training, s | the same again, s | epochs | one row, µs "
        "| memory, MB | installed, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for library, runs in measured.items():
        column = {name: [run[name] for run in runs] for name in runs[0]}
        spread = stdev(column["accuracy"]) if len(runs) > 1 else 0.0
        lines.append(
            f"| {library} | {mean(column['accuracy']):.3f} ±\u00a0{spread:.3f} "
            f"| {median(column['first']):.2f} | {median(column['again']):.2f} "
            f"| {median(column['epochs']):.0f} "
            f"| {1e6 * median(column['row']):,.0f} | {median(column['memory']) / 1e6:,.0f} "
            f"| {installed_size(PACKAGES[library]) / 1e6:,.0f} |"
        )
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
