"""Make the factors that tests/test_schedules.py compares with, from PyTorch and optax.

Run by hand, where torch and optax are installed: python tests/reference/schedules.py
"""

import json
from pathlib import Path
from typing import Any

import jax
import optax
import torch
from torch.optim import lr_scheduler

jax.config.update("jax_enable_x64", True)
CASES: list[dict[str, Any]] = []


def add(source: str, kind: str, options: dict[str, Any], factors: list[float]) -> None:
    table = {"type": f"{kind}Schedule", **options}
    CASES.append({"source": source, "schedule": table, "factors": factors})


def by_torch(
    kind: str, options: dict[str, Any], steps: int, cls: Any, *settings: Any, **more: Any
) -> None:
    """Walk along a schedule of PyTorch with the learning rate 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, factors = cls(optimizer, *settings, **more), []
    for _ in range(steps):
        factors.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    add(f"torch {torch.__version__}", kind, options, factors)


def by_optax(kind: str, options: dict[str, Any], steps: int, schedule: Any) -> None:
    factors = [float(schedule(jax.numpy.float64(step))) for step in range(steps)]
    add(f"optax {optax.__version__}", kind, options, factors)


def warmed_up(warmup: int, rest: Any) -> Any:
    rise = optax.linear_schedule(1 / (warmup + 1), 1.0, warmup)
    return optax.join_schedules([rise, rest], [warmup])


def plain() -> None:
    def noam(n: int) -> float:
        """The paper's, with d_model = 512 and 10 steps of warm-up."""
        return float(512**-0.5 * min(n**-0.5, n * 10**-1.5))

    by_torch("Constant", {"value": 0.3}, 5, lr_scheduler.ConstantLR, 0.3, 100)
    by_torch("Step", {"every": 7}, 30, lr_scheduler.StepLR, 7)
    by_torch("Step", {"every": 1, "gamma": 0.7}, 20, lr_scheduler.StepLR, 1, 0.7)
    milestones = [3, 10, 11]
    by_torch(
        "MultiStep",
        {"milestones": milestones, "gamma": 0.3},
        20,
        lr_scheduler.MultiStepLR,
        milestones,
        0.3,
    )
    by_torch("Exponential", {"gamma": 0.9}, 30, lr_scheduler.ExponentialLR, 0.9)
    by_optax("Exponential", {"gamma": 0.4, "every": 7}, 30, optax.exponential_decay(1.0, 7, 0.4))
    by_torch("InverseTime", {"decay": 0.3}, 20, lr_scheduler.LambdaLR, lambda i: 1 / (1 + 0.3 * i))
    by_torch(
        "InverseSqrt",
        {"warmup": 10},
        40,
        lr_scheduler.LambdaLR,
        lambda i: noam(i + 1) / noam(10),
    )


def ending() -> None:
    by_torch("Linear", {"steps": 20, "end": 0.2}, 30, lr_scheduler.LinearLR, 1.0, 0.2, 20)
    by_optax(
        "Linear",
        {"steps": 20, "warmup": 6, "end": 0.1},
        30,
        warmed_up(6, optax.linear_schedule(1.0, 0.1, 14)),
    )
    by_torch("Polynomial", {"steps": 20, "power": 2.5}, 30, lr_scheduler.PolynomialLR, 20, 2.5)
    by_optax(
        "Polynomial",
        {"steps": 25, "warmup": 4, "end": 0.3, "power": 0.5},
        30,
        warmed_up(4, optax.polynomial_schedule(1.0, 0.3, 0.5, 21)),
    )
    by_torch("Cosine", {"steps": 20, "end": 0.1}, 21, lr_scheduler.CosineAnnealingLR, 20, 0.1)
    by_optax(
        "Cosine",
        {"steps": 30, "warmup": 7, "end": 0.05},
        40,
        optax.warmup_cosine_decay_schedule(1 / 8, 1.0, 7, 30, 0.05),
    )
    by_optax("Cosine", {"steps": 1}, 3, optax.cosine_decay_schedule(1.0, 1))
    roof = [optax.constant_schedule(1.0), optax.linear_schedule(1.0, 0.1, 8)]
    by_optax(
        "WarmupStableDecay",
        {"steps": 25, "warmup": 5, "decay": 0.4, "end": 0.1},
        30,
        warmed_up(5, optax.join_schedules(roof, [12])),
    )
    for steps, rise, curve in [(20, 0.3, "cosine"), (21, 0.25, "linear"), (5, 0.5, "cosine")]:
        by_torch(
            "OneCycle",
            {"steps": steps, "rise": rise, "curve": curve},
            steps,
            lr_scheduler.OneCycleLR,
            1.0,
            steps,
            pct_start=rise,
            anneal_strategy={"cosine": "cos"}.get(curve, curve),
            cycle_momentum=False,
        )
    by_torch(
        "OneCycle",
        {"steps": 10, "start": 0.5, "end": 0.1},
        10,
        lr_scheduler.OneCycleLR,
        1.0,
        10,
        div_factor=2.0,
        final_div_factor=5.0,
        cycle_momentum=False,
    )


def composed() -> None:
    for growth in (1, 2, 3):
        by_torch(
            "CosineRestarts",
            {"period": 5, "growth": growth, "end": 0.1},
            60,
            lr_scheduler.CosineAnnealingWarmRestarts,
            5,
            growth,
            0.1,
        )
    for mode, down, gamma in [
        ("triangular", 4, 1.0),
        ("triangular", 7, 1.0),
        ("triangular2", 4, 1.0),
        ("exp_range", 3, 0.95),
    ]:
        by_torch(
            "Cyclic",
            {"up": 4, "down": down, "low": 0.2, "mode": mode, "gamma": gamma},
            40,
            lr_scheduler.CyclicLR,
            0.2,
            1.0,
            4,
            down,
            mode,
            gamma,
            cycle_momentum=False,
        )
    parts = [
        {"type": "ConstantSchedule", "value": 0.5},
        {"type": "CosineSchedule", "steps": 7, "end": 0.2},
        {"type": "ExponentialSchedule", "gamma": 0.8},
    ]
    cosine = optax.cosine_decay_schedule(1.0, 7, 0.2)
    exponential = optax.exponential_decay(1.0, 1, 0.8)
    by_optax(
        "Chained",
        {"schedules": parts, "milestones": [3, 12]},
        20,
        optax.join_schedules([optax.constant_schedule(0.5), cosine, exponential], [3, 12]),
    )
    by_torch("Chained", {"schedules": parts[::2], "milestones": [4]}, 20, constant_then_exponential)


def constant_then_exponential(optimizer: torch.optim.Optimizer) -> Any:
    first = lr_scheduler.ConstantLR(optimizer, 0.5, 100)
    second = lr_scheduler.ExponentialLR(optimizer, 0.8)
    return lr_scheduler.SequentialLR(optimizer, [first, second], [4])


if __name__ == "__main__":
    plain()
    ending()
    composed()
    lines = ",\n".join(json.dumps(case) for case in CASES)
    Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")
