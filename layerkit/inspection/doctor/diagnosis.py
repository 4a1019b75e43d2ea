"""Diagnoses: what was looked at, what was found, and what to try."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import NamedTuple

from layerkit.inspection.notebook import html_table
from layerkit.inspection.summary import aligned

STOPS, HINDERS, NOTE = 3, 2, 1
"""The severity of a finding: nothing is learned, less than could be, or it is worth knowing."""
WIDTH = 100
"""Of a line of a finding."""


class Finding(NamedTuple):
    """A finding: what is wrong, where, how far beyond which limit, and what to try.

    Attributes
    ----------
    where : str
        The address of a layer or parameter, the name of a column, or empty.
    sentence, remedy : str
        The sentence about what is wrong, and the one about what to try.
    value, limit : float
        The number that was measured, and the limit that it is beyond.
    severity : int
        3 where nothing is learned, 2 where less is than could be, 1 for what is worth knowing.
    """

    where: str
    sentence: str
    remedy: str
    value: float
    limit: float
    severity: int = HINDERS

    def __str__(self) -> str:
        return f"{self.sentence}. {self.remedy}."


@dataclass
class Check:
    """A check: what was looked at, what was measured, and what was found.

    Attributes
    ----------
    name : str
        Such as "dead units".
    summary : str
        A phrase that says what was measured, or why it was not.
    measured : dict of str to float
        The numbers, by address, column or name.
    findings : list of Finding
        The things that are wrong.
    looked : bool
        Whether it could be looked at.
    """

    name: str
    summary: str = ""
    measured: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    looked: bool = True

    @property
    def mark(self) -> str:
        """The mark: ✓ if all is well, ✗ if something is wrong, ``-`` if it was not looked at."""
        return ("✗" if self.findings else "✓") if self.looked else "-"


@dataclass(repr=False)
class Diagnosis:
    """A diagnosis, from `layerkit.diagnose`: shown as a table of checks, and what was found.

    Attributes
    ----------
    about : str
        The numbers of examples and epochs, in words.
    checks : dict of str to Check
        All checks by name, causes before what they cause.
    """

    about: str
    checks: dict[str, Check]

    @property
    def findings(self) -> list[Finding]:
        """All findings, the worst first."""
        found = [finding for check in self.checks.values() for finding in check.findings]
        return sorted(found, key=lambda finding: -finding.severity)

    def _rows(self) -> list[tuple[str, ...]]:
        return [(check.mark, check.name, check.summary) for check in self.checks.values()]

    def __repr__(self) -> str:
        paragraphs = [
            textwrap.fill(
                f"{number}. {finding}",
                WIDTH,
                subsequent_indent=" " * (len(str(number)) + 2),
                break_long_words=False,
                break_on_hyphens=False,
            )
            for number, finding in enumerate(self.findings, 1)
        ]
        found = "\n\n".join(paragraphs) or "Nothing found."
        return f"{self.about}\n\n{aligned(self._rows(), right=())}\n\n{found}"

    def _repr_html_(self) -> str:
        rows = [("", "", self.about), *self._rows()]
        for finding in self.findings:
            rows.append(("", finding.where, str(finding)))
        return html_table(rows, right=())
