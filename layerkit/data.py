"""Data sets: the embedded digits, MNIST and Fashion-MNIST, and one's own files.

x    examples, one row each: (N, features); bytes for images of 0 to 255, else floats
t    class numbers (N,)
"""

from __future__ import annotations
