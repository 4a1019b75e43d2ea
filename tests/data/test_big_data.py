"""Data that are larger than memory: the memory of a process does not grow with them."""

import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "big_data.py"

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def most_memory(*arguments: str) -> float:
    """The most MB that were resident in a process."""
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    return float(done.stdout.rsplit("at most ", 1)[1].split()[0])


@pytest.mark.parametrize(
    ("dtype", "megabytes"),
    [("float32", 400), pytest.param("uint8", 400, marks=pytest.mark.slow)],
)
def test_a_training_takes_less_than_its_data(tmp_path: Path, dtype: str, megabytes: int) -> None:
    """Also what comes before and after: checks, Standardize, evaluate and predict."""
    options = [f"--gigabytes={megabytes / 1000}", f"--dtype={dtype}", f"--folder={tmp_path}"]
    assert most_memory(str(EXPERIMENT), *options) < 300
    assert not [*tmp_path.iterdir()]


CONFIG = """
[data]
path = "data"
validation_size = 0.1
[network]
shape = [784]
body = {type = "Sequential", layers = [{type = "Standardize"}, {type = "Dense", units = 10}]}
loss = {type = "SoftmaxCrossEntropy"}
[optimizer]
type = "Adam"
[training]
epochs = 1
class_weight = "balanced"
metrics = ["f1_macro"]
"""
COMMAND = """
import sys
sys.path.insert(0, sys.argv[1])
from big_data import make, memory
from layerkit.cli import main
from pathlib import Path

Path("data").mkdir()
make(Path("data"), 0.4, "float32")
import layerkit.runs.plots, sklearn.metrics, sklearn.model_selection
before = memory()
assert main(["train", "c.toml", "--out", "run"]) == 0
assert main(["evaluate", "run"]) == 0
print(f"at most {memory('VmHWM') - before} MB more than before")
"""


def test_so_does_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is split, trained on, measured and drawn without being read as a whole."""
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(CONFIG)
    assert most_memory("-c", COMMAND, str(EXPERIMENT.parent)) < 250
