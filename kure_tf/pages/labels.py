"""How reports write operating points and numbers."""

ROUNDING = {"nearest": "pow2", "up": "pow2-up"}


def point(weight_bits, activation_bits) -> str:
    """Returns "FP", "W4 (4/FP)" or "4/4"."""
    short = short_point(weight_bits, activation_bits)
    if weight_bits is not None and activation_bits is None:
        return f"{short} ({weight_bits}/FP)"
    return short


def short_point(weight_bits, activation_bits) -> str:
    """Returns "FP", "W4" or "4/4"."""
    if activation_bits is None:
        return "FP" if weight_bits is None else f"W{weight_bits}"
    return f"{weight_bits or 'FP'}/{activation_bits}"


def percent(fraction, digits=1) -> str:
    """Returns 0.8736 as "87.4", without the sign."""
    return f"{100 * fraction:.{digits}f}"


def ratio(number) -> str:
    """Returns a step ratio as short as it can be told: "1" or "1.05"."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def count(number) -> str:
    """Returns 10000 as "10,000"."""
    return f"{number:,}"


def accuracy_hint(row) -> str:
    """Returns on how many images a row's accuracy was measured, how well."""
    return (
        f"{count(row.examples)} {row.split} images, standard error "
        f"{percent(row.standard_error, 2)} points"
    )


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
