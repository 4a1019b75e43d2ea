"""Train on a file of several gigabytes, and watch how much memory the process takes.

    python experiments/big_data.py --gigabytes 4

Makes examples of 784 features, 10 classes of noise around a mean each, in a temporary folder or in
--folder, and trains 784-64-10 on them. They are mapped from the file, never read as a whole. Needs
Linux, whose /proc says how much memory is resident.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from layerkit import (
    Adam,
    Array,
    Dense,
    Network,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
)
from layerkit.callbacks import Callback
from layerkit.progress import Progress
from layerkit.training.evaluation import evaluate
from layerkit.training.loop import train

FEATURES, CLASSES = 784, 10


def memory(what: str = "VmRSS") -> float:
    """The memory of this process that is resident, in MB; with VmHWM, the most there ever was."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) / 1000


class Watch(Callback):
    """Prints the resident memory and the speed twenty times in an epoch."""

    def train_begin(self, progress: Progress) -> None:
        """Print the head of the table."""
        print(f"epoch     batch  examples/s  resident MB\n{'before':>15}{memory():25.0f}")

    def batch_end(self, progress: Progress) -> None:
        """Print now and then."""
        if progress.batch == 1:
            self.started = progress.seconds
        elif progress.batch % max(1, (progress.batches or 0) // 20) == 0:
            speed = (progress.batch - 1) * progress.size / (progress.seconds - self.started)
            line = f"{progress.epoch:5}{progress.batch:10}{speed:12,.0f}{memory():13.0f}"
            print(line, flush=True)


def make(folder: Path, gigabytes: float, dtype: str) -> None:
    """Write x.npy and y.npy piece by piece."""
    N = round(gigabytes * 1e9 / (FEATURES * np.dtype(dtype).itemsize))
    rng, piece = np.random.default_rng(0), 1000
    means = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32) / 15
    y = rng.integers(0, CLASSES, N)
    np.save(folder / "y.npy", y)
    with (folder / "x.npy").open("wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (N, FEATURES)}
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, N, piece):
            t = y[start : start + piece]
            x: Array = means[t] + rng.standard_normal((len(t), FEATURES), np.float32)
            if dtype == "uint8":
                x = (128 + 32 * x).clip(0, 255)
            file.write(x.astype(dtype).data)


def measure(folder: Path, epochs: int, batch_size: int) -> None:
    """Train on what `make` has written, and measure the network."""
    x, y = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy")
    print(f"{x.dtype} {x.shape}: {x.nbytes / 1e9:.2f} GB")
    body = Sequential([Standardize(), Dense(64), ReLU(), Dense(CLASSES)])
    network = Network(body, SoftmaxCrossEntropy(), shape=(FEATURES,))
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size}
    for record in train(network, Adam(), x, y, callbacks=[Watch()], **options):
        print(record)
    print(f"evaluate: accuracy {evaluate(network, x, y)[0]:.3f}, resident MB {memory():.0f}")
    right = np.mean(network.predict(x) == y)
    print(f"predict: accuracy {right:.3f}, resident MB {memory():.0f}")


def main() -> None:
    """Make the data, train, and delete them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--dtype", choices=["float32", "uint8"], default="float32")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--folder", type=Path, help="where the data go; a temporary one by default")
    options = parser.parse_args()
    free = shutil.disk_usage(options.folder or tempfile.gettempdir()).free / 1e9
    if free < 1.1 * options.gigabytes:
        sys.exit(f"{options.gigabytes} GB: only {free:.1f} GB are free; choose another --folder")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, threadpool_limits(1):
        make(Path(folder), options.gigabytes, options.dtype)
        measure(Path(folder), options.epochs, options.batch_size)
    print(f"at most {memory('VmHWM'):.0f} MB were resident")


if __name__ == "__main__":
    main()
