"""Protocol Buffers: the fields of a message, read from its bytes without a description of it.

A field is its number, and a whole number or bytes: of a text, of numbers, or of another message.
Nothing is copied, and nothing is nested before it is asked for.

Source: Google, Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_FIELDS = 100_000
"""The number of fields that a message may have: each needs much more memory than its bytes."""
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Encodings of a field's value; 3 and 4 are of groups, which nobody writes any more."""
SIZES = {EIGHT_BYTES: 8, FOUR_BYTES: 4}


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a whole number, seven bits in each byte, and where it ends.

    Raises
    ------
    ValueError
        If the bytes end before it does, or it has more than 64 bits.

    Examples
    --------
    >>> varint(memoryview(bytes([150, 1, 7])), 0)
    (150, 2)
    """
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128 and value < 2**64:
            return value, at + i + 1
    raise ValueError("a whole number is cut off, or too big")


def fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field of a message.

    Raises
    ------
    ValueError
        If these bytes are not a message.
    """
    at = count = 0
    while at < len(data):
        key, at = varint(data, at)
        number, encoding = key >> 3, key & 7
        value: int | memoryview
        if encoding == VARINT:
            value, at = varint(data, at)
        else:
            size = SIZES.get(encoding)
            if encoding == LENGTH:
                size, at = varint(data, at)
            if size is None or at + size > len(data):
                raise ValueError(f"field {number} is cut off, or encoded as nothing known")
            value, at = data[at : at + size], at + size
        count += 1
        if count > MOST_FIELDS:
            raise ValueError(f"a part of it has more than {MOST_FIELDS:,} fields")
        yield number, value


def message(data: Any, names: Mapping[int, str]) -> dict[str, list[Any]]:
    r"""Return the values of the fields that have these names, in their order; others are left out.

    Raises
    ------
    ValueError
        If `data` is not a message.

    Examples
    --------
    >>> found = message(memoryview(b"\x0a\x02hi\x10\x05"), {1: "name", 2: "size", 3: "other"})
    >>> text(found["name"]), found["size"], found["other"]
    ('hi', [5], [])
    """
    if not isinstance(data, memoryview):
        raise ValueError(f"the number {data} is where a message should be")
    found: dict[str, list[Any]] = {name: [] for name in names.values()}
    for number, value in fields(data):
        if number in names:
            found[names[number]].append(value)
    return found


def text(values: list[Any]) -> str:
    """Return a text, the last one if there are several, "" if there is none.

    Raises
    ------
    ValueError
        If it is a number, or not UTF-8.
    """
    if values and not isinstance(values[-1], memoryview):
        raise ValueError(f"the number {values[-1]} is where a text should be")
    return bytes(values[-1]).decode() if values else ""


def whole(values: list[Any]) -> int:
    """Return a whole number of 64 bits with its sign, the last one if there are several, else 0.

    Raises
    ------
    ValueError
        If it is a text.
    """
    value = values[-1] if values else 0
    if not isinstance(value, int):
        raise ValueError("bytes are where a number should be")
    return value - 2**64 if value >= 2**63 else value


def wholes(values: list[Any]) -> Iterator[int]:
    """Yield the whole numbers of a repeated field, each by itself or packed into bytes."""
    for value in values:
        at = 0
        if isinstance(value, int):
            yield whole([value])
            continue
        while at < len(value):
            number, at = varint(value, at)
            yield whole([number])
