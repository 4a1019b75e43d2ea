"""The exercises of docs/labs.md, with hints and solutions folded.

`python -m docs.generate.labs` writes them anew.
"""

import re
from pathlib import Path

from layerkit.lab.exercises import Exercise, find_lab

FORMULAS = dict(
    line.split(" :: ")
    for line in r"""y = x W + b :: y = x W + b
W_ij :: W_{ij}
x_ni :: x_{ni}
y_nj :: y_{nj}
dW = xᵀ dy :: dW = x^T dy
dx = dy Wᵀ :: dx = dy\, W^T
y = max(x, 0) :: y = \max(x, 0)
dx = dy · slope :: dx = dy \cdot \text{slope}
z_k :: z_k
p_k = exp(z_k) / Σ_j exp(z_j) :: p_k = \exp(z_k) / \sum_j \exp(z_j)
l = -log p_t :: l = -\log p_t
dl/dz = p - q :: dl/dz = p - q
exp(1000) :: \exp(1000)
log p = z - log Σ exp(z) :: \log p = z - \log \sum \exp(z)
w ← w - lr g :: w \leftarrow w - \text{lr}\, g
v ← β v + (1 - β) g :: v \leftarrow \beta v + (1 - \beta)\, g
w ← w - lr v :: w \leftarrow w - \text{lr}\, v
m ← β₁ m + (1 - β₁) g :: m \leftarrow \beta_1 m + (1 - \beta_1)\, g
v ← β₂ v + (1 - β₂) g² :: v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2
m' = m / (1 - β₁ᵗ) :: m' = m / (1 - \beta_1^t)
v' = v / (1 - β₂ᵗ) :: v' = v / (1 - \beta_2^t)
w ← w - lr m' / (√v' + ε) :: w \leftarrow w - \text{lr}\, m' / (\sqrt{v'} + \varepsilon)
v ← α v + (1 - α) g² :: v \leftarrow \alpha v + (1 - \alpha)\, g^2
w ← w - lr g / (√v + ε) :: w \leftarrow w - \text{lr}\, g / (\sqrt{v} + \varepsilon)
g² :: g^2
y = m x :: y = m x
1 / (1 - rate) :: 1 / (1 - \text{rate})
1 - rate :: 1 - \text{rate}
y = x :: y = x
x̂ = (x - mean) r :: \hat{x} = (x - \text{mean})\, r
r = 1 / √(variance + ε) :: r = 1 / \sqrt{\text{variance} + \varepsilon}
y = γ x̂ + β :: y = \gamma \hat{x} + \beta
dx̂ = γ dy :: d\hat{x} = \gamma\, dy
dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) :: dx = r\, (d\hat{x} - \text{mean}(d\hat{x}) - \hat{x}\, \text{mean}(d\hat{x}\, \hat{x}))
x̂ :: \hat{x}
N / (N - 1) :: N / (N - 1)
y = a x + b :: y = a x + b
x / (1 + |x|) :: x / (1 + |x|)
1 / (1 + |x|)² :: 1 / (1 + |x|)^2
sin x :: \sin x
x · sigmoid(x) :: x \cdot \text{sigmoid}(x)
log(1 + x²) :: \log(1 + x^2)""".splitlines()  # noqa: E501, RUF001
)
"""The formulas of tasks and hints as they are written there, and in LaTeX."""
CODE = r"```.*?```|`[^`]*`"
PAGE = Path(__file__).parents[1] / "labs.md"
BEGIN = "## The exercises\n"


def written(page: str) -> str:
    """Return the page with the present texts of the exercises."""
    head = page.partition(BEGIN)[0]
    return (
        head + "\n\n".join([BEGIN.strip(), *map(_exercise, find_lab("backprop").exercises)]) + "\n"
    )


def _exercise(exercise: Exercise) -> str:
    hints = [_folded(f"Hint {i}", _typeset(hint)) for i, hint in enumerate(exercise.hints, start=1)]
    solution = _folded("Solution", f"```python\n{exercise.solution.strip()}\n```")
    start = f"`{exercise.file}` begins with\n\n```python\n{exercise.start.strip()}\n```"
    return "\n\n".join([f"### {exercise.title}", _typeset(exercise.task), start, *hints, solution])


def _typeset(text: str) -> str:
    """Return a text whose formulas are LaTeX; code is left as it is."""
    known = "|".join(map(re.escape, sorted(FORMULAS, key=len, reverse=True)))

    def latex(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        return ";\u2002".join(f"${FORMULAS[part]}$" for part in (found[2] or found[3]).split("; "))

    bold = r"\*\*(.+?)\*\*"
    pattern = rf"({CODE})|{bold}|(?<!\w)({known})(?![\w²ᵗᵀ])"
    return re.sub(pattern, latex, text, flags=re.DOTALL)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
