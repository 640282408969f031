"""The plot of a report's first screen as SVG files, for a README."""

import html
import importlib.resources
import re

from kure_tf.pages.first_plot import first_places, first_plot
from kure_tf.pages.headline import Headline
from kure_tf.pages.series import series_of

_LEGEND_HEIGHT = 18
_BESIDE = 150  # Between the names of two runs.


def pictures(report) -> dict[str, str]:
    """Returns `{"light": SVG, "dark": SVG}`, without a background.

    Args:
        report: A `Report` with values at two bit-widths or more.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is nothing to plot.
    """
    series = series_of(report.runs)
    headline = Headline.of(series)
    places = first_places(series, headline and headline.method)
    if not places:
        raise ValueError(
            "Expected a report with values at two bit-widths or more, to draw "
            f"them. Received: {report.title!r}, which has none."
        )
    (panel,) = first_plot(series, places)[0].content
    drawn = _with_legend(panel.svg, [one.name for one in series])
    return {name: _coloured(drawn, found) for name, found in _themes().items()}


def _with_legend(svg, names):
    """Puts the names of runs, in their colours, above a plot of a page."""
    svg = re.sub(r"<title>.*?</title>", "", svg)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    legend = "".join(
        f'<text x="{40 + _BESIDE * i}" y="-5" style="font-size: 12px; '
        f'font-weight: 600; fill: var(--run-{i})">{html.escape(name)}</text>'
        for i, name in enumerate(names)
    )
    return re.sub(
        r"<svg[^>]*>",
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 {-_LEGEND_HEIGHT} {width} '
        f'{float(height) + _LEGEND_HEIGHT:g}" '
        f'font-family="system-ui, sans-serif">{legend}',
        svg,
        count=1,
    )


def _themes():
    """Returns the page's colours: `{"light": {variable: colour}, "dark": ...}`.

    What the style sheet sets for the dark alone comes second.
    """
    folder = importlib.resources.files("kure_tf.pages") / "templates"
    style = (folder / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    found = [dict(re.findall(r"(--[\w-]+): (#\w+)", text)) for text in blocks]
    return dict(zip(("light", "dark"), found, strict=True))


def _coloured(svg, colours):
    return re.sub(r"var\((--[\w-]+)\)", lambda m: colours[m[1]], svg) + "\n"
