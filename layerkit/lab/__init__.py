"""Labs: exercises with a starting file, checks, hints and a solution.

`layerkit lab new backprop` makes a folder of them. A lab of your own is a Python file with a `Lab`.
"""

from layerkit.lab.exercises import Exercise, Lab, Mistake

__all__ = ["Exercise", "Lab", "Mistake"]
