"""Tables of a report, as values; written as Markdown or by `html`."""

from kure_tf.pages import labels
from kure_tf.pages.series import bits_order, places_of
from kure_tf.pages.tables.table import Cell, Table


def accuracy_tables(series) -> list[Table]:
    """Returns accuracy against bits: weights only, then weights/activations.

    Rows are runs, in blocks of one PTQ method each; columns are points.
    """
    tables = []
    for title, member in (
        ("Weights only", lambda place: place.activation_bits is None),
        ("Weights and activations", lambda place: place.activation_bits),
    ):
        places = [
            place
            for place in places_of(series)
            if member(place)
            and not place.varies_step
            and place.bits != (None, None)
        ]
        if places:
            tables.append(_accuracy_table(title, places, series))
    if not tables and any(one.estimates for one in series):
        tables = [_float_table(series)]
    return [table for table in tables if table is not None]


def step_tables(series) -> list[Table]:
    """Returns accuracy against step ratio, one table per PTQ method.

    Rows are ratios, then steps rounded to powers of two; columns are points
    and runs.
    """
    swept = [place for place in places_of(series) if place.varies_step]
    methods = list(dict.fromkeys(place.method for place in swept))
    return [
        _step_table(
            method,
            [place for place in swept if place.method == method],
            series,
            methods,
        )
        for method in methods
    ]


def step_estimates(one, method, bits) -> dict:
    """Returns {(ratio, rounding): Estimate} of one series at one point.

    Ratio 1 is taken from the bit-width sweep if the step sweep left it out.
    """
    found = {
        (place.step_scale, place.step_rounding): estimate
        for place, estimate in one.estimates.items()
        if place.method == method and place.bits == bits and place.varies_step
    }
    for place, estimate in one.estimates.items():
        key = (place.step_scale, place.step_rounding)
        if place.method == method and place.bits == bits and key == (1, None):
            found.setdefault(key, estimate)
    return found


def block_label(place, places) -> str:
    """Returns how the step sizes of a block were made."""
    label = place.method.label([other.method for other in places])
    if place.step_rounding is None:
        return label
    return f"{label}, {labels.ROUNDING[place.step_rounding]}"


def error_caption(estimates) -> str:
    """States the standard error of one accuracy, and what +- means."""
    if not estimates:
        return ""
    largest = max(estimate.sampling_error for estimate in estimates)
    images = _ranged({estimate.images for estimate in estimates})
    splits = "/".join(dict.fromkeys(e.split for e in estimates))
    text = (
        "Top-1 accuracy in %. Standard error of one accuracy a, "
        f"sqrt(a (1 - a) / n) with n = {images} {splits} images: at most "
        f"{labels.percent(largest, 2)} points here."
    )
    seeds = {len(e.accuracies) for e in estimates} - {1}
    if seeds:
        text += (
            " After ±: standard deviation over "
            f"{_ranged(seeds)} training seeds."
        )
    return text


def _accuracy_table(title, places, series):
    columns = sorted({place.bits for place in places}, key=bits_order)
    blocks = list(
        dict.fromkeys((place.method, place.step_rounding) for place in places)
    )
    rows, shown = [], []
    for method, rounding in blocks:
        block = [
            place
            for place in places
            if (place.method, place.step_rounding) == (method, rounding)
        ]
        found = [_block_row(one, method, block, columns) for one in series]
        names = [one.name for one in series]
        kept = [(n, row) for n, row in zip(names, found, strict=True) if row]
        label = block_label(block[0], places)
        for name, row in kept:
            others = [other for _, other in kept if other is not row]
            cells = [
                _accuracy_cell(estimate, [other[i] for other in others])
                for i, estimate in enumerate(row)
            ]
            rows.append((Cell(label), Cell(name), *cells))
            shown += [estimate for estimate in row if estimate]
            label = ""
    return Table(
        title=title,
        header=(
            "Step sizes",
            "Run",
            "FP",
            *(labels.short_point(*bits) for bits in columns),
        ),
        rows=tuple(rows),
        caption=_accuracy_caption(columns, shown),
        labels=2,
    )


def _block_row(one, method, block, columns):
    """Returns FP and one estimate per column; None if nothing was measured."""
    by_bits = {
        place.bits: one.estimates[place]
        for place in block
        if place in one.estimates
    }
    if not by_bits:
        return None
    return [one.float_estimate(method), *(by_bits.get(b) for b in columns)]


def _accuracy_caption(columns, estimates):
    text = error_caption(estimates)
    weights = [bits[0] for bits in columns if bits[1] is None]
    if weights:
        text += (
            f" W{weights[0]} is the operating point {weights[0]}/FP: "
            f"{weights[0]}-bit weights, activations in float."
        )
    return text


def _float_table(series):
    found = [(one.name, one.float_estimate()) for one in series]
    found = [(name, estimate) for name, estimate in found if estimate]
    if not found:
        return None
    return Table(
        title="In float",
        header=("Run", "FP"),
        rows=tuple((Cell(name), _accuracy_cell(e)) for name, e in found),
        caption=error_caption([estimate for _, estimate in found]),
    )


def _step_table(method, places, series, methods):
    points = sorted({place.bits for place in places}, key=bits_order)
    columns = [
        (bits, one, estimates)
        for bits in points
        for one in series
        if (estimates := step_estimates(one, method, bits))
    ]
    keys = sorted(
        {key for _, _, estimates in columns for key in estimates},
        key=lambda key: (bool(key[1]), key[1] or "", key[0]),
    )
    rows = []
    for key in keys:
        cells = []
        for bits, one, estimates in columns:
            rivals = [
                e.get(key) for b, o, e in columns if b == bits and o is not one
            ]
            cells.append(_accuracy_cell(estimates.get(key), rivals))
        rows.append((Cell(_ratio(*key)), *cells))
    return Table(
        title=f"Step ratio: {method.label(methods)}",
        header=(
            "Ratio",
            *(f"{labels.short_point(*b)}\n{one.name}" for b, one, _ in columns),
        ),
        rows=tuple(rows),
        caption=_step_caption(keys)
        + error_caption([e for _, _, es in columns for e in es.values()]),
    )


def _step_caption(keys):
    text = (
        "Every quantized weight's step size times the ratio: below 1 it is "
        "too small and clips, above 1 too large and coarser. "
    )
    meanings = {
        "nearest": "pow2: each step size rounded to the nearest power of two. ",
        "up": "pow2-up: each step size rounded up to a power of two. ",
    }
    used = {rounding for _, rounding in keys}
    return text + "".join(v for k, v in meanings.items() if k in used)


def _ratio(scale, rounding):
    if rounding is None:
        return f"{scale:.2f}" if round(scale, 2) == scale else f"{scale:g}"
    factor = "" if scale == 1 else f" x{scale:g}"
    return labels.ROUNDING[rounding] + factor


def _accuracy_cell(estimate, rivals=()):
    if estimate is None:
        return Cell("-", "not measured")
    text = labels.percent(estimate.mean)
    if estimate.deviation is not None:
        text += f" ± {labels.percent(estimate.deviation)}"
    hint = (
        f"{labels.count(estimate.images)} {estimate.split} images, standard "
        f"error {labels.percent(estimate.sampling_error, 2)} points"
    )
    rivals = [rival for rival in rivals if rival is not None]
    strong = bool(rivals) and all(_clearly_ahead(estimate, r) for r in rivals)
    return Cell(text, hint, strong)


def _clearly_ahead(estimate, rival):
    difference, error = estimate.ahead_of(rival)
    return difference > 2 * error


def _ranged(numbers):
    low, high = min(numbers), max(numbers)
    if low == high:
        return labels.count(low)
    return f"{labels.count(low)} to {labels.count(high)}"
