"""Checks of the values of a network: units, gradients, steps and weights."""

from __future__ import annotations

import numpy as np

from layerkit.inspection.doctor.case import FLAT, Case
from layerkit.inspection.doctor.diagnosis import HINDERS, STOPS, Check, Finding
from layerkit.inspection.doctor.examples import unseen
from layerkit.inspection.nonfinite import first_not_finite
from layerkit.inspection.summary import described

DEAD = SATURATED = 0.5
"""The share of a layer's units that may be dead, or saturated: wide layers that learn well have
many dead ones, and saturated ones are switches."""
ALWAYS = 0.99
"""A unit is saturated if it is level for this share of the examples."""
VANISHING, EXPLODING = 1e-3, 1e3
"""The size of the gradient at the first layer in parts of that at the last: with He or Glorot
weights it is near 1, also of many layers, and a rate that suits one layer then suits all."""
TINY_STEP, HUGE_STEP = 1e-5, 1.0
"""The size of a step in parts of the weights. About 1e-3 is a rule of thumb (CS231n, Stanford,
notes on "Ratio of weights:updates"); small networks do well with 1e-2, and much less near the end.
So only what is far from it is told: a thousand steps that change a hundredth, or one that replaces
the weights."""
WORSE = 2.0
"""The highest loss in some steps, in parts of what it was before and of the best constant answer's:
the noise of a batch does not double it."""


def finite(case: Case) -> Check:
    """Look whether values are finite; where not, nothing else can be said of them."""
    check = Check("values are finite", f"loss {case.answer[0]:.3g}")
    if not np.isfinite(case.answer[0]):
        with np.errstate(all="ignore"):
            sentence = first_not_finite(case.network, case.sample[0])
        remedy = "Try a smaller learning rate, the default initial weights, or scaled inputs"
        found = Finding("", sentence[0].upper() + sentence[1:], remedy, np.inf, 0.0, STOPS)
        check.findings = [found]
    return check


def symmetry(case: Case) -> Check:
    """Look for layers whose units are all the same, and stay so."""
    check, net = Check("units that differ"), case.network
    params = net.params()
    for name, g in case.grads.items():
        w = params[name].value
        if w.ndim == 2 and w.shape[1] > 1:
            same = max(np.ptp(w, axis=1).max(), np.ptp(g, axis=1).max()) == 0 and g.any()
            check.measured[name] = float(same)
            if same:
                problem = f"All {w.shape[1]} units of {name} have the same weights and gradients"
                remedy = "They stay copies of one unit: leave init out, which draws random weights"
                check.findings.append(Finding(name, problem, remedy, 0.0, 0.0, STOPS))
    check.summary = f"in {len(check.measured)} layers"
    return check


def units(case: Case, kind: str) -> Check:
    """Look for layers with many dead, or saturated, units."""
    limit = DEAD if kind == "dead" else SATURATED
    check = Check(f"{kind} units")
    last = [address for address, _ in case.network.layers()][-1]  # whose units are the answers
    for address, found in case.passes[0].items():
        if found.kind != kind or (kind == "saturated" and address == last):
            continue
        ill = found.largest == 0 if kind == "dead" else found.level >= ALWAYS
        share = check.measured[address] = float(ill.mean())
        if share > limit:
            name, count = type(case.network[address]).__name__, int(ill.sum())
            if kind == "dead":
                problem = (
                    f"{count} of {ill.size} units of {address} ({name}) are dead: their slope is 0 "
                    f"for all {len(case.rows):,} examples, so they never change (limit {limit:.0%})"
                )
                remedy = (
                    "Try a smaller learning rate, LeakyReLU, or Standardize or BatchNorm before it"
                )
            else:
                problem = (
                    f"{count} of {ill.size} units of {address} ({name}) are saturated: for "
                    f"{ALWAYS:.0%} of {len(case.rows):,} examples their slope is below {FLAT:.0%} "
                    f"of its largest, so they learn slowly (limit {limit:.0%})"
                )
                remedy = "Try smaller initial weights, Standardize or BatchNorm before it, or ReLU"
            severity = STOPS if share == 1 else HINDERS
            check.findings.append(Finding(address, problem, remedy, share, limit, severity))
    if not check.measured:
        return unseen(check, f"no activation that may have {kind} units")
    worst = max(check.measured, key=lambda address: check.measured[address])
    share = check.measured[worst]
    check.summary = f"at most {share:.0%} of a layer, {worst}; limit {limit:.0%}"
    return check


def dead(case: Case) -> Check:
    """Look for ReLUs that are 0 for all examples."""
    return units(case, "dead")


def saturated(case: Case) -> Check:
    """Look for sigmoids that are level for nearly all examples."""
    return units(case, "saturated")


def gradients(case: Case) -> Check:
    """Look whether gradients reach the first layer, and are not far larger there."""
    check, sizes = Check("gradients"), case.passes[1]
    check.measured = dict(sizes)
    first, *_, last = list(sizes) if len(sizes) > 1 else ["", ""]
    if not sizes.get(last):
        return unseen(check, "fewer than two layers with weights, or no gradient at all")
    ratio = sizes[first] / sizes[last]
    check.summary = (
        f"{ratio:.2g} at {first} for each 1 at {last}; from {VANISHING:g} to {EXPLODING:g}"
    )
    both = f"the gradient at {first} is {sizes[first]:.2g}, at {last} {sizes[last]:.2g}"
    if ratio < VANISHING:
        problem = f"Gradients vanish: {both}, {ratio:.2g} of it (limit {VANISHING:g})"
        remedy = (
            "The first layers hardly learn: try ReLU in place of sigmoids, BatchNorm or LayerNorm, "
            "Residual blocks, or fewer layers"
        )
        if not ratio:
            problem = f"No gradient reaches {first}: {both} (limit {VANISHING:g} of it)"
            remedy = "Nothing before the last layers can learn: mend dead units, and weights of 0"
        check.findings = [Finding(first, problem, remedy, ratio, VANISHING, STOPS)]
    elif not ratio <= EXPLODING:
        problem = f"Gradients explode: {both}, {ratio:.2g} times as much (limit {EXPLODING:g})"
        remedy = (
            "Try the default initial weights, BatchNorm or LayerNorm, clip_global_norm, or fewer "
            "layers"
        )
        check.findings = [Finding(first, problem, remedy, ratio, EXPLODING, STOPS)]
    return check


def steps(case: Case) -> Check:
    """Look at the sizes of some steps on a copy, and whether they make the loss much worse."""
    check, now, optimizer = Check("size of the steps"), case.steps, case.optimizer
    if now is None or optimizer is None:
        return unseen(check, "no optimizer is given")
    rule = described(optimizer)
    tried = {"these": now}
    if case.trained and not case.does_well and (first := case.first_steps):
        tried["initial"] = first  # where the training came from
    check.measured = dict(now.sizes)
    for weights, found in tried.items():
        before, after = found.losses[0], max(found.losses)
        limit = WORSE * float(np.fmax(before, case.guess))
        if not after <= limit and limit > 0:
            problem = (
                f"From {weights} weights, {len(found.losses) - 1} steps of {rule} raise the "
                f"loss to {after:.3g}, from {before:.3g} (limit {limit:.3g})"
            )
            remedy = "The learning rate is too high: try a tenth of it, or layerkit lr-range"
            check.findings = [Finding("optimizer.lr", problem, remedy, after, limit, STOPS)]
    sizes = {
        name: max(found.sizes.get(name, 0.0) for found in tried.values()) for name in now.sizes
    }
    if check.findings or not sizes:
        check.summary = f"loss up to {max(max(found.losses) for found in tried.values()):.3g}"
        return check
    name = max(sizes, key=lambda name: sizes[name])
    ratio = sizes[name]
    limits = f"from {TINY_STEP:g} to {HUGE_STEP:g}"
    check.summary = f"at most {ratio:.1g} of the weights, {name}; {limits}"
    problem, usual = f"A step of {rule} changes ", "1e-3 is usual"
    if ratio > HUGE_STEP:
        problem += f"{name} by {ratio:.2g} times its size (limit {HUGE_STEP:g}; {usual})"
        remedy = "The learning rate is too high: try a tenth of it, or layerkit lr-range"
        check.findings = [Finding(name, problem, remedy, ratio, HUGE_STEP)]
    elif ratio < TINY_STEP and not optimizer.schedules and not case.does_well:
        size = f"{ratio:.2g} of their size (limit {TINY_STEP:g}; {usual})"
        problem += f"no weights by more than {size}"
        remedy = "The learning rate is too low: try ten times as much, or layerkit lr-range"
        check.findings = [Finding("optimizer.lr", problem, remedy, ratio, TINY_STEP, STOPS)]
    return check
