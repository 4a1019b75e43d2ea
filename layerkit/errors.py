"""What can go wrong: one small family, so that `except LayerkitError` catches all of it."""


class LayerkitError(ValueError):
    """Base of layerkit's errors: the message says what is wrong, `place` says where.

    Parameters
    ----------
    message : str
        What is wrong, with the value, and what is allowed.

    Examples
    --------
    >>> ShapeError("Dense takes rows of features").at("body.layers.2").place
    'body.layers.2'
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place = ""

    def at(self, place: str) -> "LayerkitError":
        """Say where it happened, unless that is known already, and return the error."""
        if not self.place:
            self.place = place
            self.add_note(f"at {place}")
        return self


class ShapeError(LayerkitError):
    """Arrays or layers whose shapes don't fit together."""


class DataError(LayerkitError):
    """Examples or labels that can't be used: NaN, a label out of range, a damaged data file."""


class ConfigError(LayerkitError):
    """An option that is unknown, missing, mistyped or out of range."""


class FileError(LayerkitError):
    """A file that can't be read as what it should be, or can't be written."""


class DivergenceError(LayerkitError):
    """Training reached a value that is not finite."""
