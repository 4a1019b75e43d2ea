"""Write optimizers.npz: paths of PyTorch's and optax's optimizers through a hilly landscape.

Run by hand, where torch and optax are installed: python -m tests.reference.optimizers
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import torch
from torch import optim

from layerkit import Array
from tests.reference.landscape import height, slope

SHAPES = {"tall": (4, 3), "wide": (2, 3), "bias": (3,)}
"""The parameters, in one vector. What is special for biases is so for the last."""
BOUNDS = np.cumsum([0, *map(math.prod, SHAPES.values())])
MATRICES = {name: len(shape) == 2 for name, shape in SHAPES.items()}
STEPS = [1, 2, 10, 100, 300]
"""After how many steps the paths are compared."""


def split(w: Array) -> dict[str, Array]:
    parts = zip(SHAPES.items(), BOUNDS[:-1], BOUNDS[1:], strict=True)
    return {name: w[start:stop].reshape(shape) for (name, shape), start, stop in parts}


def join(parts: dict[str, Any]) -> Array:
    return np.concatenate([np.asarray(parts[name]).ravel() for name in SHAPES])


class MuonAndAdamW:
    """PyTorch's Muon moves matrices only; AdamW moves the rest."""

    def __init__(self, params: list[Any], lr: float, momentum: float, weight_decay: float) -> None:
        rule = "match_rms_adamw"
        matrices, rest = ([p for p in params if (p.ndim == 2) is two] for two in (True, False))
        self.muon = optim.Muon(matrices, lr, weight_decay, momentum, adjust_lr_fn=rule)
        self.adamw = optim.AdamW(rest, lr, weight_decay=0.0)

    def step(self, closure: Any) -> None:
        self.muon.step()
        self.adamw.step()


class Book:
    """All paths, and how they came about."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.starts = np.stack([s * rng.uniform(-1, 1, BOUNDS[-1]) for s in (0.5, 1.5, 4.0)])
        self.cases: dict[str, dict[str, Any]] = {}
        self.paths: dict[str, Any] = {}

    def add(
        self,
        source: str,
        kind: str,
        options: dict[str, Any],
        follow: Callable[[Array], list[Array]],
        again: bool = False,
    ) -> None:
        """Follow the paths from all starts; those from close beside them have to stay close."""
        name = f"{len(self.cases):02}"
        path = np.array([follow(start) for start in self.starts])
        beside = np.array([follow(start * (1 + 1e-15)) for start in self.starts])
        error = abs(beside - path).max() / abs(path).max()
        if error > 1e-11:
            raise SystemExit(f"{kind} {options}: chaotic, {error:.0e}; choose other options")
        self.cases[name] = {
            "source": source,
            "optimizer": {"type": kind, **options},
            "again": again,
        }
        self.paths[name] = path

    def by_torch(self, kind: str, options: dict[str, Any], cls: Any, **given: Any) -> None:
        """Let a class of PyTorch move; weight decay spares the bias."""

        def follow(w: Array) -> list[Array]:
            params = {name: torch.tensor(part) for name, part in split(w).items()}
            together: list[Any] = list(params.values())
            groups = [
                {"params": together[:-1]},
                {"params": together[-1:], "weight_decay": 0.0},
            ]
            spares = "weight_decay" in given and cls is not MuonAndAdamW
            optimizer, path = cls(groups if spares else together, **given), []

            def evaluate() -> Any:
                w = join(params)
                for name, part in split(slope(w)).items():
                    params[name].grad = torch.tensor(part)
                return torch.tensor(height(w))

            for t in range(1, STEPS[-1] + 1):
                evaluate()
                optimizer.step(evaluate)
                if t in STEPS:
                    path.append(join(params))
            return path

        self.add(f"torch {torch.__version__}", kind, options, follow, "line_search_fn" in given)

    def by_optax(self, kind: str, options: dict[str, Any], optimizer: Any) -> None:
        """Let a transformation of optax move."""

        def follow(w: Array) -> list[Array]:
            state, update, path = optimizer.init(split(w)), jax.jit(optimizer.update), []
            for t in range(1, STEPS[-1] + 1):
                change, state = update(split(slope(w)), state, split(w))
                w = w + join(change)
                if t in STEPS:
                    path.append(w)
            return path

        self.add(f"optax {optax.__version__}", kind, options, follow)


def descent(book: Book) -> None:
    for lr in (0.005, 0.05):
        book.by_torch("SGD", {"lr": lr}, optim.SGD, lr=lr)
    book.by_torch("SGD", {"lr": 0.02, "l2": 0.3}, optim.SGD, lr=0.02, weight_decay=0.3)
    for lr, beta in ((0.01, 0.9), (0.002, 0.99), (0.05, 0.0)):
        options, given = {"lr": lr, "beta": beta}, {"lr": lr, "momentum": beta}
        mean = {"lr": lr * (1 - beta), "momentum": beta}
        book.by_torch("HeavyBall", options, optim.SGD, **given)
        book.by_torch("Momentum", options, optim.SGD, **mean)
        book.by_torch("Nesterov", options, optim.SGD, nesterov=beta > 0, **given)
    for options in (
        {"lr": 0.01, "eta_minus": 0.5, "eta_plus": 1.2},
        {"lr": 0.2, "eta_minus": 0.9, "eta_plus": 1.05},
        {"lr": 0.01, "eta_minus": 0.3, "eta_plus": 2.0, "min_step": 1e-4, "max_step": 0.02},
    ):
        etas = (options["eta_minus"], options["eta_plus"])
        bounds = (options.get("min_step", 1e-6), options.get("max_step", 50.0))
        book.by_torch("Rprop", options, optim.Rprop, lr=options["lr"], etas=etas, step_sizes=bounds)
    for lr, beta1, beta2, decay in (
        (0.001, 0.9, 0.99, 0.001),
        (0.003, 0.0, 0.5, 0.0),
        (0.002, 0.99, 0.9, 0.5),
    ):
        book.by_optax(
            "Lion",
            {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": decay},
            optax.lion(lr, beta1, beta2, weight_decay=decay, mask=MATRICES),
        )


def adaptive(book: Book) -> None:
    for lr, eps in ((0.01, 1e-10), (0.5, 0.1)):
        options = {"lr": lr, "eps": eps}
        book.by_torch("AdaGrad", options, optim.Adagrad, **options)
    for lr, alpha, eps in ((1e-4, 0.99, 1e-8), (0.003, 0.0, 0.1), (0.003, 0.9, 0.1)):
        options = {"lr": lr, "alpha": alpha, "eps": eps}
        book.by_torch("RMSProp", options, optim.RMSprop, **options)
        if alpha:
            book.by_torch("CenteredRMSProp", options, optim.RMSprop, centered=True, **options)
    for lr, rho, eps in ((0.1, 0.9, 1e-6), (0.5, 0.99, 0.1), (0.1, 0.0, 1e-3)):
        options = {"lr": lr, "rho": rho, "eps": eps}
        book.by_torch("Adadelta", options, optim.Adadelta, **options)
    classes: list[tuple[str, Any, dict[str, Any]]] = [
        ("Adam", optim.Adam, {}),
        ("AdamW", optim.AdamW, {"weight_decay": 0.2}),
        ("AMSGrad", optim.Adam, {"amsgrad": True}),
        ("Adamax", optim.Adamax, {}),
        ("NAdam", optim.NAdam, {}),
        ("NAdam", optim.NAdam, {"momentum_decay": 0.1}),
        ("RAdam", optim.RAdam, {}),
    ]
    for kind, cls, more in classes:
        for lr, beta1, beta2, eps in (
            (5e-4, 0.9, 0.999, 1e-8),
            (0.03, 0.9, 0.999, 0.1),
            (0.001, 0.0, 0.9, 0.02),
            (0.02, 0.99, 0.5, 0.1),
        ):
            options = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps}
            options |= {key: value for key, value in more.items() if key != "amsgrad"}
            book.by_torch(kind, options, cls, lr=lr, betas=(beta1, beta2), eps=eps, **more)
    for options in (
        {"lr": 0.003},
        {"lr": 0.02, "beta1": 0.9, "beta2": 0.3, "beta3": 0.99, "eps": 0.1, "eps_root": 0.0},
        {"lr": 0.002, "beta1": 0.0, "beta2": 0.9, "beta3": 0.0, "eps_root": 0.1},
        {"lr": 0.005, "weight_decay": 0.5},
    ):
        short = {"lr": "learning_rate", "beta1": "b1", "beta2": "b2", "beta3": "b3"}
        given = {short.get(key, key): value for key, value in options.items()}
        book.by_optax("Adan", options, optax.adan(**given, mask=MATRICES))


def layerwise(book: Book) -> None:
    masks: list[tuple[dict[str, Any], Any]] = [({"penalize": ["*"]}, True), ({}, MATRICES)]
    for lr, beta, trust, decay in (
        (0.002, 0.9, 0.1, 0.0),
        (0.02, 0.5, 0.2, 0.1),
        (0.1, 0.0, 0.05, 1.0),
    ):
        options = {"lr": lr, "beta": beta, "trust": trust, "weight_decay": decay}
        for penalize, mask in masks:
            adapted = optax.lars(lr, decay, mask, trust, trust_ratio_mask=MATRICES, momentum=beta)
            book.by_optax("LARS", options | penalize, adapted)
    for lr, beta1, beta2, eps, decay in (
        (0.001, 0.9, 0.999, 1e-6, 0.0),
        (0.003, 0.9, 0.99, 0.1, 0.1),
        (0.001, 0.0, 0.9, 0.03, 1.0),
    ):
        options = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": decay}
        for penalize, mask in masks:
            adapted = optax.chain(
                optax.scale_by_adam(beta1, beta2, eps),
                optax.add_decayed_weights(decay, mask),
                optax.masked(optax.scale_by_trust_ratio(), MATRICES),
                optax.scale_by_learning_rate(lr),
            )
            book.by_optax("LAMB", options | penalize, adapted)
    for lr, momentum, decay in ((0.003, 0.95, 0.1), (0.001, 0.0, 0.0), (0.02, 0.99, 1.0)):
        options = {"lr": lr, "momentum": momentum, "weight_decay": decay}
        book.by_torch("Muon", options, MuonAndAdamW, **options)


def second_order(book: Book) -> None:
    for lr, size in ((0.1, 10), (0.4, 3), (0.4, 20)):
        options = {"lr": lr, "history_size": size}
        book.by_torch("LBFGS", options, optim.LBFGS, max_iter=1, **options)
    for lr, size in ((0.3, 2), (0.3, 50), (8.0, 10)):
        options = {"lr": lr, "history_size": size}
        search = {"max_iter": 1, "max_eval": 26, "line_search_fn": "strong_wolfe"}
        book.by_torch("LBFGS", options, optim.LBFGS, **options, **search)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    torch.set_default_dtype(torch.float64)  # else NAdam's product is float32
    torch.Tensor.bfloat16 = torch.Tensor.double  # Muon's precision
    book = Book()
    for family in (descent, adaptive, layerwise, second_order):
        family(book)
    about = np.array(json.dumps({"shapes": SHAPES, "steps": STEPS, "cases": book.cases}))
    path = Path(__file__).with_suffix(".npz")
    np.savez_compressed(path, about=about, starts=book.starts, **book.paths)


if __name__ == "__main__":
    main()
