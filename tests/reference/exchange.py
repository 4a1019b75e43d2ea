"""Export modules of PyTorch with inputs and outputs: what tests/exchange reads.

Run from the root of the project, with PyTorch, onnx, onnxscript and safetensors installed::

    python tests/reference/exchange.py

Each module is written as ``exchange/NAME.safetensors``, its state_dict, and by both of PyTorch's
exporters as ``exchange/NAME.old.onnx`` and ``exchange/NAME.new.onnx``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).with_suffix("")


class Skip(nn.Module):  # type: ignore[misc, unused-ignore]
    """A skip, normalized; the end is a Softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)
        self.out = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.out(self.norm(x + nn.functional.gelu(self.hidden(x)))), -1)


class Gate(nn.Module):  # type: ignore[misc, unused-ignore]
    """A gate, and a concatenation; the end is a Sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Linear(6, 5)
        self.gate = nn.Linear(6, 5)
        self.short = nn.Linear(6, 2, bias=False)
        self.out = nn.Linear(7, 1)

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))
        return torch.sigmoid(self.out(torch.cat([h, self.short(x)], 1)))


class Words(nn.Module):  # type: ignore[misc, unused-ignore]
    """An embedding, and layers that work at each position of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.hidden = nn.Linear(4, 4)
        self.out = nn.Linear(20, 2)

    def forward(self, x: Any) -> Any:
        return self.out(torch.relu(self.hidden(self.table(x))).flatten(1))


class Standardized(nn.Module):  # type: ignore[misc, unused-ignore]
    """Raw inputs, standardized by buffers; one number as (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([1.0, 2, 3, 4, 5, 6]))
        self.register_buffer("std", torch.tensor([3.0, 1, 4, 1, 5, 9]))
        self.fc = nn.Linear(6, 1)

    def forward(self, x: Any) -> Any:
        return self.fc((x - self.mean) / self.std).squeeze(-1)


def activations(*layers: nn.Module) -> nn.Module:
    """Each activation after a Linear of its own, so that its inputs are spread."""
    parts = [part for layer in layers for part in (nn.Linear(6, 6), layer)]
    return nn.Sequential(*parts, nn.Linear(6, 2))


def modules() -> dict[str, nn.Module]:
    """Modules by name."""
    return {
        "sequential": nn.Sequential(
            *(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2)),
            *(nn.Linear(8, 8), nn.PReLU(8), nn.Linear(8, 3)),
        ),
        "skip": Skip(),
        "gate": Gate(),
        "words": Words(),
        "positions": nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)),
        "standardized": Standardized(),
        "norms": nn.Sequential(
            *(nn.Linear(6, 8), nn.GroupNorm(2, 8), nn.Linear(8, 8), nn.LayerNorm(8)),
            *(nn.Linear(8, 8), nn.BatchNorm1d(8, affine=False), nn.Linear(8, 3)),
        ),
        "newer": nn.Sequential(  # the old exporter doesn't know these
            *(nn.Linear(6, 8), nn.RMSNorm(8, eps=1e-5)),
            *(nn.Linear(8, 8), nn.Softplus(2.0), nn.Threshold(0.1, -0.3), nn.Linear(8, 3)),
        ),
        "sigmoids": activations(
            *(nn.Sigmoid(), nn.Tanh(), nn.Softsign(), nn.Hardsigmoid(), nn.Hardtanh()),
            *(nn.Hardtanh(-2, 3), nn.LogSigmoid(), nn.Softmax(-1), nn.Softmin(-1)),
        ),
        "rectifiers": activations(
            *(nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.PReLU(), nn.ELU(0.5), nn.SELU()),
            *(nn.CELU(2.0), nn.Softplus()),
        ),
        "swish": activations(
            *(nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.GELU(), nn.GELU("tanh")),
            *(nn.Tanhshrink(), nn.LogSoftmax(-1)),
        ),
        "glu": nn.Sequential(nn.Linear(6, 8), nn.GLU(), nn.Linear(4, 2)),
        "double": nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double(),
    }


def spread(module: nn.Module, x: Any) -> None:
    """Give the module numbers unlike those of the beginning, and running statistics."""
    with torch.no_grad():
        for param in module.parameters():
            param.add_(0.2 * torch.randn_like(param))
        for factor in (1, 2, 3) if x.is_floating_point() else ():
            module(factor * x)


def plain(model: Any) -> Any:
    """Remove what the exporter tells of the source, with paths of the machine it ran on."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    return model


def main() -> None:
    """Write the files."""
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    arrays: dict[str, Any] = {}
    for name, module in modules().items():
        shape = {"positions": (7, 5, 6), "words": (7, 5)}.get(name, (7, 6))
        x = torch.randint(0, 10, shape) if name == "words" else 2 * torch.randn(shape)
        x = x.double() if name == "double" else x
        spread(module.train(), x)
        module.eval()
        save_file(module.state_dict(), FOLDER / f"{name}.safetensors")
        y = module(x)
        module.zero_grad()
        y.sum().backward()
        arrays |= {f"{name}/x": x.numpy(), f"{name}/y": y.detach().numpy()}
        arrays |= {
            f"{name}/grad/{key}": param.grad.numpy()
            for key, param in module.named_parameters()
            if param.grad is not None
        }
        for old in (True, False):
            if old and name == "newer":
                continue
            path = FOLDER / f"{name}.{'old' if old else 'new'}.onnx"
            batch = (
                {"dynamic_axes": {"x": {0: "N"}, "y": {0: "N"}}}
                if old
                else {"dynamic_shapes": ({0: torch.export.Dim.AUTO},)}
            )
            torch.onnx.export(
                *(module, (x,), path),
                input_names=["x"],
                output_names=["y"],
                dynamo=not old,
                **({"opset_version": 17} if old else {"external_data": False}),
                **batch,
            )
            onnx.save(plain(onnx.load(path)), path)
    np.savez_compressed(FOLDER.with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
