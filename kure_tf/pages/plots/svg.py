"""Figures as inline SVG whose colours the page decides, in light and dark."""

import contextlib
import html
import io
import re

from kure_tf import extras

RUN_COLOURS = 8

INK = "#02fe00"
MUTED = "#02fe01"
RULE = "#02fe02"
_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule"}
_RUN = "#01fe"

_STYLE = {
    "svg.fonttype": "none",  # Text stays text: small, selectable, sharp.
    "svg.hashsalt": "kure_tf",  # The same report gives the same page.
    "font.size": 9,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}


def run_colour(index) -> str:
    """Returns the stand-in colour of the run number `index`."""
    return f"{_RUN}{index % RUN_COLOURS:02x}"


@contextlib.contextmanager
def figure(width, height):
    """Yields a Matplotlib `Figure` of so many inches, in the page's style.

    No global state of pyplot is touched; settings hold inside the `with`.
    """
    matplotlib, figure_class = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcParams.update(matplotlib.rcParamsDefault)
        matplotlib.rcParams.update(_STYLE)
        yield figure_class(
            figsize=(width, height), facecolor="none", layout="constrained"
        )


def explain(line, texts):
    """Gives each marker of a Matplotlib line what a mouse reveals of it."""
    line.set_label("\n".join(texts))


def to_svg(drawn, prefix, description) -> str:
    """Returns a figure as an `<svg>` element to put into a page.

    Args:
        drawn: A `Figure`, drawn inside `figure`'s `with`.
        prefix: Unique in the page; goes before the ids inside. What an id
            cannot hold becomes a hyphen.
        description: What a screen reader says instead.
    """
    explained = _named_lines(drawn)
    stream = io.StringIO()
    drawn.savefig(stream, format="svg", transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for name, texts in explained.items():
        text = _with_titles(text, name, texts)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]+)"', text)[1]
    text = re.sub(
        r"<svg[^>]*>",
        f'<svg viewBox="{view}" role="img" '
        f'aria-label="{html.escape(description, quote=True)}">',
        text,
        count=1,
    )
    text = _own_ids(text, re.sub(r"[^\w-]+", "-", prefix))
    text = _page_fonts(text)
    return re.sub(r"\n\s*", "\n", _page_colours(text)).strip()


def _matplotlib():
    with extras.needed("A plot (report.json and its tables do without)"):
        import matplotlib
        from matplotlib.figure import Figure
    return matplotlib, Figure


def _named_lines(drawn):
    """Names the lines that `explain` was called for: `{id: texts}`."""
    lines = [line for axes in drawn.axes for line in axes.lines]
    # Matplotlib calls the others _child0, _child1; empty ones draw nothing.
    lines = [x for x in lines if (x.get_label() or "_")[0] != "_"]
    for number, line in enumerate(lines):
        line.set_gid(f"explained-{number}")
    return {line.get_gid(): line.get_label().split("\n") for line in lines}


def _with_titles(text, name, texts):
    """Puts `texts` into the markers of the group `name`, one into each."""
    start = text.index(f'<g id="{name}">')
    end = text.find('<g id="', start + 1)
    end = len(text) if end < 0 else end
    titles = iter(texts)
    titled = re.sub(
        r"(<use [^>]*?)/>",
        lambda m: f"{m[1]}><title>{html.escape(next(titles))}</title></use>",
        text[start:end],
    )
    return text[:start] + titled + text[end:]


def _own_ids(text, prefix):
    """Makes ids unique among all figures; drops those nothing points to."""
    used = set(re.findall(r'(?:url\(#|xlink:href="#)([^")]+)', text))

    def rename(match):
        name = match[1]
        return f' id="{prefix}-{name}"' if name in used else ""

    text = re.sub(r'\sid="([^"]+)"', rename, text)
    text = text.replace('xlink:href="#', f'href="#{prefix}-')
    return text.replace("url(#", f"url(#{prefix}-")


def _page_fonts(text):
    """Leaves the size of text to the figure and its family to the page."""
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", text)
    return re.sub(r"font-family: [^;\"]+;? ?", "", text)


def _page_colours(text):
    text = re.sub(
        _RUN + "([0-9a-f]{2})",
        lambda match: f"var(--run-{int(match[1], 16)})",
        text,
    )
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
