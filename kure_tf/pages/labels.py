"""How pages write operating points and numbers."""


def bits(point) -> str:
    """Returns the bits of an operating point: "FP", "W4" or "4/4"."""
    if point.activation_bits is None:
        return f"W{point.weight_bits}" if point.weight_bits else "FP"
    return f"{point.weight_bits or 'FP'}/{point.activation_bits}"


def long_bits(point) -> str:
    """Returns "FP", "W4 (4/FP)" or "4/4"."""
    if point.activation_bits is None and point.weight_bits is not None:
        return f"{bits(point)} ({point.weight_bits}/FP)"
    return bits(point)


def rest(point) -> str:
    """Returns what an operating point says after its bits: "x0.9 pow2"."""
    return str(point).partition(" ")[2]


def point(point) -> str:
    """Returns "W4" or "4/4 x0.9 pow2"."""
    return f"{bits(point)} {rest(point)}".rstrip()


def count(number) -> str:
    """Returns 10000 as "10,000"."""
    return f"{number:,}"


def counted(number, noun) -> str:
    """Returns "1 point" or "12 points"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def ranged(numbers) -> str:
    """Returns "100" or "100 to 10,000"."""
    return " to ".join(map(count, sorted({min(numbers), max(numbers)})))


def trained(series) -> str:
    """Returns how often runs were trained: "one training run each"."""
    runs = [one.seeds for one in series]
    if max(runs) > 1:
        return f"{ranged(runs)} training seeds"
    return f"one training run{' each' if len(runs) > 1 else ''}"


def size(file_bytes) -> str:
    """Returns a file size in kB (1,000 bytes), MB from a million up."""
    if file_bytes >= 1_000_000:
        return f"{file_bytes / 1e6:.2f} MB"
    return f"{file_bytes / 1e3:.1f} kB"


def value(thing) -> str:
    """Returns a plain value of a provenance as one line of text."""
    if thing is None:
        return "-"
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, float):
        return f"{thing:g}"
    if isinstance(thing, list):
        return ", ".join(value(item) for item in thing)
    if isinstance(thing, dict):
        return ", ".join(f"{k} {value(v)}" for k, v in thing.items())
    return " ".join(str(thing).split())
