"""What all layers made of layers have in common."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterable

from layerkit.errors import ConfigError
from layerkit.graph.merging import Sources
from layerkit.initializers.base import Initializer
from layerkit.layers.base import DEFAULT_INIT, Layer


class Container(Layer):
    """A layer made of layers. A subclass says in `wiring` what each of them reads.

    Raises
    ------
    ConfigError
        For containers inside each other deeper than Python's recursion limit allows. As many
        layers one after the other as you like are no depth.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        most, depth = sys.getrecursionlimit() // 10, 0
        level: list[Layer] = [self]
        while level and depth < most:
            depth += 1
            # by identity: a layer that stands at two places, which a Network refuses, counts once
            level = list({id(part): part for layer in level for _, part in layer.parts()}.values())
        if level:
            raise ConfigError(
                f"{type(self).__name__}: layers inside each other, more than {most} levels deep: "
                f"Python's recursion limit of {sys.getrecursionlimit()} has room for no more; put "
                "layers one after the other, or raise it by sys.setrecursionlimit"
            )

    @abstractmethod
    def wiring(self) -> dict[str, Sources]:
        """What each part reads, and at last what ``"output"`` is made of.

        Parts have their names of `parts`, in the order in which they work; ``"input"`` is what
        the container itself is given.
        """


def suiting(wishes: Iterable[Initializer]) -> Initializer:
    """What suits several readers: the first wish that is not the default."""
    return next((wish for wish in wishes if wish != DEFAULT_INIT), DEFAULT_INIT)
