"""The paragraph above a report, computed from its rows."""

from kure_tf.pages import labels
from kure_tf.pages.dimensions import STEPS
from kure_tf.pages.margins.margins import margins
from kure_tf.pages.series import bits_order, places_of
from kure_tf.pages.tables.devices import budget_texts, device_rows
from kure_tf.pages.tables.margins import side_text
from kure_tf.pages.tables.models import mean_kurtosis, regularized_layers

_HEADLINE_WEIGHT_BITS = 3  # Where the paper's effect is largest yet usable.
_METHODS_SHOWN = 2
_POINTS_SHOWN = 2


def summarize(series) -> str:
    """Returns what the rows say about the regularized run, in sentences.

    The run in question is the first whose kurtosis was regularized, else the
    first with "KURE" in its name, else the last. At each point it is compared
    with the best other run. A difference counts as clear only beyond two
    standard errors, as `Estimate.ahead_of` has them.
    """
    if not any(one.estimates for one in series):
        return _file_sentences(series)
    subject = _subject(series)
    others = [one for one in series if one is not subject]
    sentences = [
        _float_sentence(subject, others),
        *(
            _point_sentence(subject, others, place)
            for place in _headline_places(subject, others)
        ),
        _count_sentence(subject, others),
        _step_sentence(subject, others),
        _margin_sentences(subject, others),
        _device_sentence(series),
        _kurtosis_sentence(subject, others, series),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _file_sentences(series):
    rows = [row for one in series for _, row in one.rows_of("tflite")]
    if not rows:
        return "This report holds no measurements yet."
    foretold = [row.details for row in rows if "codes" in row.details]
    sentences = [f"This report holds {len(rows)} LiteRT files."]
    if foretold:
        codes = sum(details["codes"] for details in foretold)
        differing = sum(details["differing_codes"] for details in foretold)
        sentences.append(
            f"Of {codes:,} codes that {len(foretold)} of them put out, "
            f"{differing:,} were not as foretold."
        )
    return " ".join(sentences)


def _subject(series):
    measured = [one for one in series if one.estimates]
    for one in measured:
        if regularized_layers([one]):
            return one
    for one in measured:
        if "kure" in one.name.lower():
            return one
    return measured[-1]


def _best(others, estimate_of):
    """Returns the (series, estimate) of the best value, or None."""
    found = [(one, estimate_of(one)) for one in others]
    found = [(one, estimate) for one, estimate in found if estimate]

    def goodness(pair):
        estimate = pair[1]
        return estimate.metric.ahead(estimate.mean, 0.0)

    return max(found, key=goodness, default=None)


def _float_sentence(subject, others):
    own = subject.float_estimate()
    if own is None:
        return ""
    best = _best(others, lambda one: one.float_estimate())
    return _sentence("In float", subject, own, best)


def _point_sentence(subject, others, place):
    name, method = labels.bits(place.point), place.method.label()
    if place.point.activation_bits is None:
        where = f"At {name} ({place.point}, {method})"
    else:
        where = f"At {name} ({method})"
    best = _best(others, lambda one: one.estimates.get(place))
    return _sentence(where, subject, subject.estimates[place], best)


def _sentence(where, subject, own, best):
    reached = f"{where} {subject.name} reaches {_value(own)}"
    if best is None:
        return f"{reached}."
    rival, other = best
    verdict = _verdict(subject.name, own, other) + _seeds(own, other)
    return f"{reached} and {rival.name} {_value(other)}: {verdict}."


def _seeds(*estimates):
    """Says where no spread over training runs is known."""
    alone = all(estimate.deviation is None for estimate in estimates)
    return " (one training run each)" if alone else ""


def _verdict(name, own, other):
    difference, error = own.ahead_of(other)
    points = own.metric.points(abs(difference))
    if difference == 0:
        return f"{name} is not ahead, the two are level"
    if difference > 0:
        direction = f"{points} ahead"
    else:
        direction = f"not ahead but {points} behind"
    if error is None:
        return f"{name} is {direction}"
    limit = f"two standard errors ({own.metric.difference(2 * error)})"
    clear = "more than" if abs(difference) > 2 * error else "no more than"
    return f"{name} is {direction}, {clear} {limit}"


def _headline_places(subject, others):
    """Returns one weights-only point per PTQ method, then one W/A point.

    Where batch norm was both kept and re-estimated, they are those with it
    kept, and a weights-only point with it re-estimated comes last.
    """
    places = [
        place
        for place in _quantized_places(subject)
        if not others or any(place in one.estimates for one in others)
    ]
    again = [place for place in places if place.method.reestimated_batch_norm]
    kept = [place for place in places if place not in again]
    places = kept or again
    weights = _weights_only(places)
    methods = list(dict.fromkeys(place.method for place in weights))
    chosen = [
        _nearest([place for place in weights if place.method == method])
        for method in methods[:_METHODS_SHOWN]
    ]
    both = [p for p in places if p.point.activation_bits is not None]
    chosen += [_nearest(both)] if both else []
    if kept and (weights := _weights_only(again)):
        last = weights[-1].method
        chosen += [_nearest([p for p in weights if p.method == last])]
    return chosen


def _weights_only(places):
    return [place for place in places if place.point.activation_bits is None]


def _nearest(places):
    """Returns the place nearest to the headline bits; the lower one first."""
    return min(
        places,
        key=lambda place: (
            abs(place.point.weight_bits - _HEADLINE_WEIGHT_BITS),
            place.point.weight_bits,
            bits_order(place.point)[::-1],
        ),
    )


def _quantized_places(one):
    return [
        place
        for place in places_of([one])
        if place.point.weight_bits is not None and not labels.rest(place.point)
    ]


def _count_sentence(subject, others):
    ahead, behind, total = _tally(subject, others, _quantized_places(subject))
    if total < 2:
        return ""
    return (
        f"Over all {total} quantized points of the bit-width sweep "
        f"{subject.name} is clearly ahead at {ahead} (by more than two "
        "standard errors of the difference), clearly behind at "
        f"{behind}, and too close to call at {total - ahead - behind}."
    )


def _step_sentence(subject, others):
    """Tells the two sides apart: too large is forgiven, too small is not."""
    swept = places_of([subject], STEPS.name)
    smaller = [place for place in swept if place.point.step_scale < 1]
    larger = [place for place in swept if place.point.step_scale > 1]
    parts = []
    for what, places in (("too small", smaller), ("too large", larger)):
        ahead, behind, total = _tally(subject, others, places)
        if total:
            parts.append(
                f"with steps {what} {subject.name} is clearly ahead at "
                f"{ahead} and clearly behind at {behind} of "
                f"{labels.counted(total, 'point')}"
            )
    return f"In the step sweep, {'; '.join(parts)}." if parts else ""


def _margin_sentences(subject, others):
    """Gives the margins of one PTQ method's step sweeps, two of them."""
    found = [margins(one) for one in (subject, *others)]
    steps = [step for step in found[0].steps if step.smaller or step.larger]
    if not steps:
        return ""
    method = min(
        (step.method for step in steps),
        key=lambda method: method.reestimated_batch_norm,
    )
    shown = [step for step in steps if step.method == method][:_POINTS_SHOWN]
    texts = [
        f"at {labels.point(s.place.point)} {_margin_texts(found, s.place)}"
        for s in shown
    ]
    metric, error = subject.metric, shown[0].difference_error
    known = "one standard error of a difference is"
    known = f"; {known} {metric.points(error)}" if error else ""
    return (
        f"For {metric.budget(found[0].budget)} ({method.label()}{known}) the "
        f"step may be {'; '.join(texts)}."
    )


def _margin_texts(found, place):
    """Returns "2.0 % too small or at least 30 % too large (KURE), ..."."""
    texts = []
    for one in found:
        for step in one.steps:
            if step.place != place:
                continue
            sides = (("too small", step.smaller), ("too large", step.larger))
            known = [f"{side_text(s)} {what}" for what, s in sides if s]
            if known:
                texts.append(f"{' or '.join(known)} ({one.name})")
    return ", ".join(texts)


def _device_sentence(series):
    """Counts the devices within the budget, and what is too close to call."""
    verdicts = {}
    found = device_rows(series)
    limit = budget_texts([row for _, row in found], series[0].metric)
    for name, row in found:
        if "passed" in row.details:
            verdicts.setdefault(name, []).append(row.details)
    if not verdicts:
        return ""
    texts = []
    for name, found in verdicts.items():
        passed = sum(one["passed"] for one in found)
        close = sum(bool(one.get("too_close")) for one in found)
        total = len(found) if texts else labels.counted(len(found), "device")
        text = f"{name} on {passed} of {total}"
        texts.append(f"{text} ({close} too close to call)" if close else text)
    return f"Within {limit} of float is {', '.join(texts)}."


def _tally(subject, others, places):
    """Returns at how many places it is clearly ahead, behind, compared."""
    ahead = behind = total = 0
    for place in places:
        own = subject.estimates[place]
        best = _best(others, lambda one, place=place: one.estimates.get(place))
        if best is not None and own.ahead_of(best[1])[1] is not None:
            total += 1
            ahead += own.clearly_ahead_of(best[1])
            behind += best[1].clearly_ahead_of(own)
    return ahead, behind, total


def _kurtosis_sentence(subject, others, series):
    layers = regularized_layers(series)
    _, after = mean_kurtosis(subject, layers)
    if not layers or after is None:
        return ""
    compared = [(one.name, mean_kurtosis(one, layers)[1]) for one in others]
    means = [f"{after:.2f} ({subject.name})"]
    means += [f"{mean:.2f} ({name})" for name, mean in compared if mean]
    counted = labels.counted(len(layers), "regularized layer")
    return f"Mean kurtosis of the {counted}: {', '.join(means)}."


def _value(estimate):
    text = estimate.metric.value(estimate.mean)
    if estimate.deviation is not None:
        spread = estimate.metric.difference(estimate.deviation)
        text += f" (± {spread} over seeds)"
    return text
