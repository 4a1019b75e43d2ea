"""How much faster two ranks train than one: epochs of 784-64-10 and 784-512-512-10.

    python experiments/ranks_speed.py

It starts itself by `mpiexec`, with one BLAS thread for each rank, and takes turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from layerkit import Dense, Momentum, Network, ReLU, Sequential, SoftmaxCrossEntropy, train

CASES = [((64,), 128), ((64,), 1024), ((512, 512), 128), ((512, 512), 1024)]
STEPS, ROUNDS = 20, 7


def measure() -> None:
    """Print the milliseconds of a step, for each case: the median of the epochs."""
    from mpi4py import MPI

    rng = np.random.default_rng(0)
    for hidden, batch in CASES:
        x = rng.random((batch * STEPS, 784), np.float32)
        t = rng.integers(0, 10, len(x))
        layers = [layer for units in hidden for layer in (Dense(units), ReLU())]
        net = Network(Sequential([*layers, Dense(10)]), SoftmaxCrossEntropy(), shape=(784,))
        trainer = train(
            net,
            Momentum(0.1),
            x,
            t,
            epochs=ROUNDS + 1,
            batch_size=batch,
            measure_train=False,
            mpi=True,
        )
        times, begun = [], time.perf_counter()
        for _ in trainer:
            times.append(time.perf_counter() - begun)
            begun = time.perf_counter()
        if MPI.COMM_WORLD.rank == 0:
            print(1000 * median(times[1:]) / STEPS, flush=True)


def main() -> None:
    """Measure with one and two ranks, twice each, and print a table."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    found: dict[int, list[list[float]]] = {1: [], 2: []}
    for ranks in (1, 2, 1, 2):
        command = [str(mpiexec), "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
        command += [sys.executable, "-m", "mpi4py", __file__, "--measure"]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit("The ranks have failed: the error is above.")
        found[ranks].append([float(line) for line in done.stdout.split()])
    print("hidden units  batch  1 rank, ms  2 ranks, ms  times as fast")
    for (hidden, batch), *times in zip(CASES, *found[1], *found[2], strict=True):
        one, two = min(times[:2]), min(times[2:])
        units = ", ".join(map(str, hidden))
        print(f"{units:12}  {batch:5}  {one:10.2f}  {two:11.2f}  {one / two:13.2f}")


if __name__ == "__main__":
    measure() if "--measure" in sys.argv else main()
