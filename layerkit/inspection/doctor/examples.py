"""Checks of the examples: scales, columns, labels, and rows that occur twice."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import listed
from layerkit.inspection.doctor.case import Case, fingerprints, labels_of
from layerkit.inspection.doctor.diagnosis import HINDERS, NOTE, STOPS, Check, Finding
from layerkit.inspection.scale import LARGE, SMALL, first_inputs, is_far, sizes

DOMINANT = 0.9
"""The share of the most frequent class, above which the others hardly count in the gradient."""
CONTRADICTING = 0.05
"""The share of training examples that no network can get right, since equal rows have other
labels: a few are the noise of any table."""
REPEATED = 0.01
"""The share of test rows that are among the training rows: a few may be equal by chance."""
MOST_ROWS = 1_000_000
"""Of more rows, equal ones are not looked for: it would take longer than an epoch."""


def inputs(case: Case) -> Check:
    """Look at the scale of what reaches the first weights."""
    check = Check("inputs near unit size")
    first = first_inputs(case.network, case.sample[0])
    if first is None:
        return unseen(check, "BatchNorm or an embedding comes first")
    address, given = first
    found = sizes(given).ravel()
    worst = int(found.argmax())
    column = case.column(worst) if given.shape == case.sample[0].shape else f"input {worst}"
    if given.ndim > 2:
        column = f"input {worst}"
    check.measured = {f"{address}, root mean square": float(found[worst])}
    check.summary = f"root mean square at most {found[worst]:.3g}, {column}; limit {LARGE:g}"
    if is_far(given):
        large = found[worst] > LARGE
        problem = (
            f"The inputs of {address} are far from unit size: the root mean square of {column} is "
            f"{found[worst]:.3g} (limit {LARGE:g})"
            if large
            else f"The inputs of {address} are tiny: no number is above {SMALL:g} (limit), and "
            f"the largest root mean square is {found[worst]:.3g}"
        )
        remedy = "Put Standardize() at the beginning of the body"
        if case.x.dtype == np.uint8:
            remedy += "; bytes are divided by 255: give numbers as x.astype(float)"
        value, limit = float(found[worst]), LARGE if large else SMALL
        check.findings = [Finding(column, problem, remedy, value, limit, STOPS)]
    return check


def columns(case: Case) -> Check:
    """Look for columns of a table with one value."""
    check = Check("columns that vary")
    names = case.columns
    if not names:
        return unseen(check, "the columns have no names")
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for chunk in case.network.inputs.chunks(case.x):
        rows = np.asarray(chunk)
        low, high = np.fmin(low, np.fmin.reduce(rows)), np.fmax(high, np.fmax.reduce(rows))
    constant = [name for name, a, b in zip(names, low, high, strict=True) if not b > a]
    check.measured = {"constant": float(len(constant))}
    check.summary = f"{len(names) - len(constant)} of {len(names)} columns"
    for name in constant:
        problem = f"Column {name!r} has the same value in all training examples"
        remedy = "Nothing can be learned from it: leave it out, or look at how the file was made"
        check.findings.append(Finding(name, problem, remedy, 0.0, 0.0, NOTE))
    return check


def targets(case: Case) -> Check:
    """Look at the scale of targets that are numbers."""
    check, net = Check("targets near unit size"), case.network
    if net.loss.judges_classes or not net.targets.standardizable:
        return unseen(check, "the targets are classes, or the loss needs them as they are")
    _, t, a = case.sample
    if a is not None and a.shape == t.shape:
        t = np.where(a > 0, t, 0)
    found = sizes(t).ravel()
    worst = int(found.argmax())
    names = net.seen.targets
    name = f"target {names[worst]!r}" if names else "the targets"
    check.measured = {name: float(found[worst])}
    check.summary = f"root mean square at most {found[worst]:.3g}; limit {LARGE:g}"
    if is_far(t):
        large = found[worst] > LARGE
        problem = (
            f"The root mean square of {name} is {found[worst]:.3g} (limits {SMALL:g} and {LARGE:g})"
        )
        remedy = (
            "Train with standardize_targets = true: the network then learns (t - mean) / std, and "
            "predicts in their units"
        )
        if net.seen.scale is not None:
            remedy = "They were standardized by an earlier training: network.initialize forgets it"
        value, limit = float(found[worst]), LARGE if large else SMALL
        check.findings = [Finding(name, problem, remedy, value, limit, STOPS)]
    return check


def classes(case: Case) -> Check:
    """Look for classes that dominate, or are missing."""
    check, t = Check("classes"), case.labels
    if t is None:
        return unseen(check, "the targets are not classes")
    K = max(case.network.body.output_shape[-1], 2)
    weights = case.a if case.a is not None and case.a.shape == t.shape else np.ones(t.shape)
    share = np.bincount(t.ravel(), weights.ravel(), K) / weights.sum()
    most = int(share.argmax())
    check.measured = {case.class_name(k): float(share[k]) for k in range(K)}
    check.summary = (
        f"{K} classes; {share[most]:.0%} of the training examples are of class "
        f"{case.class_name(most)}, limit {DOMINANT:.0%}"
    )
    if share[most] > DOMINANT:
        problem = (
            f"{share[most]:.1%} of the training examples are of class {case.class_name(most)} "
            f"(limit {DOMINANT:.0%}), so always answering it is right as often"
        )
        remedy = (
            'Train with class_weight = "balanced", and look at f1 or balanced_accuracy rather than '
            "the accuracy"
        )
        where = case.class_name(most)
        check.findings.append(Finding(where, problem, remedy, float(share[most]), DOMINANT))
    held_out = {name: labels_of(case.network, part[1]) for name, part in case.held_out.items()}
    parts: dict[str, Array | None] = {"training": t, **held_out}
    for name, of_part in parts.items():
        absent = [] if of_part is None else set(range(K)) - set(np.unique(of_part).tolist())
        if absent:
            which = listed([case.class_name(k) for k in sorted(absent)])
            problem = f"No {name} example is of class {which}"
            remedy = "Shuffle before you split, hold out more examples, or drop these classes"
            severity = HINDERS if name == "training" else NOTE
            check.findings.append(Finding(which, problem, remedy, 0.0, 1.0, severity))
    return check


def contradictions(case: Case) -> Check:
    """Look for equal rows with different labels."""
    check, t = Check("equal rows have equal labels"), case.labels
    if t is None or t.ndim > 1:
        return unseen(check, "the targets are not one class for each row")
    if len(t) > MOST_ROWS:
        return unseen(check, f"there are more than {MOST_ROWS:,} rows")
    counts: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for row, label in zip(case.prints, t.tolist(), strict=True):
        counts[row][label] += 1
    wrong = sum(c.total() - max(c.values()) for c in counts.values() if len(c) > 1)
    share = wrong / len(t)
    check.measured = {"share": share}
    check.summary = f"{share:.1%} contradict others; limit {CONTRADICTING:.0%}"
    if share > CONTRADICTING:
        problem = (
            f"{wrong:,} of {len(t):,} training examples have the same inputs as others with another"
            f" label, so no network gets more than {1 - share:.1%} of them right (limit "
            f"{CONTRADICTING:.0%})"
        )
        remedy = "Look at how the labels were made, and for columns that tell these examples apart"
        check.findings = [Finding("", problem, remedy, share, CONTRADICTING)]
    return check


def repeats(case: Case) -> Check:
    """Look for rows held out that are among the training rows."""
    check = Check("rows held out are new")
    if not case.held_out:
        return unseen(check, "no validation or test examples are given")
    if max(len(part[1]) for part in (*case.held_out.values(), (case.x, case.t))) > MOST_ROWS:
        return unseen(check, f"there are more than {MOST_ROWS:,} rows")
    known, limit = set(case.prints), min(1.0, max(REPEATED, 2 * by_chance(case)))
    for name, (x, _) in case.held_out.items():
        rows = fingerprints(case.network, x)
        share = check.measured[name] = sum(row in known for row in rows) / len(rows)
        if share > limit:
            problem = (
                f"{share:.1%} of the {name} rows are among the training rows too (limit "
                f"{limit:.0%}), so what is measured on them says little about new examples"
            )
            remedy = "Remove rows that occur twice before you split"
            check.findings.append(Finding(name, problem, remedy, share, limit))
    shares = [f"{share:.1%} of {name}" for name, share in check.measured.items()]
    check.summary = f"{', '.join(shares)} rows are training rows too; limit {limit:.0%}"
    return check


def by_chance(case: Case) -> float:
    """Return how many training rows equal a new one by chance, were columns independent."""
    x = np.asarray(case.sample[0]).reshape(len(case.rows), -1)
    likely = math.log(len(case.x))
    for column in x.T:
        counts = np.unique(column, return_counts=True)[1]
        likely += math.log(float(np.sum((counts / len(x)) ** 2)))
    return math.exp(min(likely, 0.0))


def unseen(check: Check, why: str) -> Check:
    """Return the check as one that could not be made, and why."""
    check.looked, check.summary = False, why
    return check
