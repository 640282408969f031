"""Ways in which a file gets damaged: cut off, changed, replaced."""

import numpy as np


def damaged(content, *, flips=24, cuts=12, seed=0):
    """Yields `(name, bytes)`: damaged copies of a file's content.

    Args:
        content: The bytes.
        flips: How many copies have one bit changed, at places drawn evenly.
        cuts: How many copies end early, at places drawn evenly.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    for place in _spread(rng, len(content), flips):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        yield f"flip at {place}", bytes(changed)
    for place in _spread(rng, len(content), cuts):
        yield f"cut at {place}", content[:place]
    middle = len(content) // 2
    yield "zeros in the middle", _overwritten(content, middle, bytes(16))
    yield "noise in the middle", _overwritten(content, middle, rng.bytes(16))
    yield "a part twice", content[:middle] + content[middle // 2 :]
    yield "last byte gone", content[:-1]
    yield "zeros only", bytes(len(content))
    yield "noise only", rng.bytes(len(content))
    yield "text", b"no such format"
    yield "other JSON", b'[{"a": [1, null]}]'
    yield "an empty object", b"{}"
    yield "a number", b"1"


def _spread(rng, size, count):
    """Returns places in `range(size)`, one in each of `count` equal parts."""
    part = size / count
    return [int((i + rng.random()) * part) for i in range(count)]


def _overwritten(content, start, new):
    return content[:start] + new + content[start + len(new) :]
