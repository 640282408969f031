"""The figures of a report's first screen, each with its uncertainty."""

from kure_tf.pages import labels
from kure_tf.pages.elements import Figure
from kure_tf.pages.estimate import uncertainty
from kure_tf.pages.tables.devices import budget_texts, device_rows
from kure_tf.pages.tables.margins import share_text, side_text
from kure_tf.pages.tables.models import mean_kurtosis, regularized_layers

_WITHIN = "within one standard error"


def figures(headline, series) -> list[Figure]:
    """Returns three or four figures about the subject of a `Headline`.

    Args:
        headline: The `Headline` of `series`; None without measured values.
        series: All of the report.
    """
    if headline is None:
        return _files(series)
    found = [
        _in_float(headline),
        _bits(headline),
        _step(headline),
        _devices(headline, series) or _kurtosis(headline, series),
    ]
    return [figure for figure in found if figure is not None]


def _in_float(headline):
    subject = headline.subject
    own = subject.float_estimate()
    if own is None:
        return None
    value = own.metric.value
    best = headline.rival(lambda one: one.float_estimate())
    if best is None:
        return Figure("In float", value(own.mean), (uncertainty(own),))
    rival, other = best
    cost = other.ahead_of(own)[0]
    details = (
        f"{subject.name}: {value(own.mean)}; {rival.name}: {value(other.mean)}",
        uncertainty(own, other),
    )
    text = own.metric.points(cost) if cost > 0 else "none"
    return Figure(f"Cost of {subject.name} in float", text, details)


def _bits(headline):
    own, others = _margins_of(headline, "bits")
    if own is None:
        return None
    same = [(n, b) for n, b in others if b.activations == own.activations]
    details = (
        *(f"{name}: {_fewest(bits.lowest)}" for name, bits in same),
        f"{_bits_span(own)}{_trained(headline)}",
    )
    what = "bits" if own.activations else "weight bits"
    name = f"Fewest {what} within {_budget(headline)} of float"
    return Figure(name, _fewest(own.lowest), details)


def _step(headline):
    own, others = _margins_of(headline, "steps")
    if own is None or not (own.smaller or own.larger):
        return None
    same = [(n, step) for n, step in others if step.place == own.place]
    details = (
        *(f"{name}: {_sides(step, side_text)}" for name, step in same),
        f"{_step_span(own)}{_trained(headline)}",
    )
    name = f"Step error that costs {_budget(headline)} at {own.label}"
    return Figure(name, _sides(own, side_text), details)


def _margins_of(headline, kind):
    """Returns the subject's first margin and `(name, margin)` of others."""
    name = headline.subject.name
    found = [
        (one.name, margin)
        for one in headline.margins
        for margin in getattr(one, kind)
        if margin.method == headline.method
    ]
    own = next((margin for n, margin in found if n == name), None)
    return own, [(n, margin) for n, margin in found if n != name]


def _budget(headline):
    return headline.subject.metric.budget(headline.margins[0].budget)


def _trained(headline):
    return labels.trained([headline.subject, *headline.others])


def _fewest(bits):
    return "none" if bits is None else str(bits)


def _bits_span(bits):
    if None in (error for _, (_, error) in bits.drops):
        return ""
    low, high = map(_fewest, bits.interval[::-1])
    span = "no other" if low == high else f"{low} to {high}"
    return f"{span} {_WITHIN}, "


def _step_span(step):
    if not step.difference_error:
        return ""
    return f"{_sides(step, _interval)} {_WITHIN}, "


def _sides(step, text_of):
    sides = (("too small", step.smaller), ("too large", step.larger))
    return ", ".join(f"{text_of(side)} {what}" for what, side in sides if side)


def _interval(side):
    low, high = (share_text(share) for share in side.interval)
    if low == high:
        return side_text(side)
    return f"{low} to {high} %" if side.crossed else f"{low} % or more"


def _devices(headline, series):
    """Counts the devices within the budget, and what is too close to call."""
    rows = device_rows(series)
    judged = {}
    for name, row in rows:
        if "passed" in row.details:
            judged.setdefault(name, []).append(row.details)
    if not judged:
        return None
    own = next((n for n in judged if n.startswith(headline.subject.name)), None)
    texts = {name: _passed(found) for name, found in judged.items()}
    value = texts.pop(own or next(iter(judged)))
    details = [f"{name}: {text}" for name, text in texts.items()]
    limit = budget_texts([row for _, row in rows], headline.subject.metric)
    details.append(_trained(headline))
    return Figure(f"Devices within {limit} of float", value, tuple(details))


def _passed(found):
    passed = sum(one["passed"] for one in found)
    close = sum(bool(one.get("too_close")) for one in found)
    text = f"{passed} of {len(found)}"
    return f"{text} ({close} too close to call)" if close else text


def _kurtosis(headline, series):
    layers = regularized_layers(series)
    _, after = mean_kurtosis(headline.subject, layers)
    if after is None:
        return None
    found = [
        (one.name, mean_kurtosis(one, layers)[1]) for one in headline.others
    ]
    details = [f"{name}: {mean:.2f}" for name, mean in found if mean]
    counted = labels.counted(len(layers), "regularized layer")
    details.append(f"a uniform distribution: 1.8; mean over {counted}")
    return Figure("Kurtosis of the weights", f"{after:.2f}", tuple(details))


def _files(series):
    rows = [row for one in series for _, row in one.rows_of("tflite")]
    if not rows:
        return []
    found = [Figure("LiteRT files", labels.count(len(rows)), ())]
    foretold = [row.details for row in rows if "codes" in row.details]
    if foretold:
        codes = sum(details["codes"] for details in foretold)
        differing = sum(details["differing_codes"] for details in foretold)
        details = (f"of {codes:,} that {len(foretold)} of the files put out",)
        name = "Output codes that were not as foretold"
        found.append(Figure(name, labels.count(differing), details))
    return found
