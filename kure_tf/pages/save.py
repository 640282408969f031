"""Writes a report with its pages."""

import pathlib

from kure_tf.files import write_atomically
from kure_tf.pages.html import to_html
from kure_tf.pages.markdown import to_markdown


def save_report(report, folder) -> pathlib.Path:
    """Writes report.json, report.csv, report.md and report.html.

    Each file is replaced atomically, and none before all four are made.

    Args:
        report: A `Report`.
        folder: Where to; created if missing.

    Returns:
        The path of the page, report.html.

    Raises:
        OSError: If a file cannot be written; the message names it.
    """
    files = {
        "report.json": report.to_json(),
        "report.csv": report.to_csv(),
        "report.md": to_markdown(report),
        "report.html": to_html(report),
    }
    for name, text in files.items():
        write_atomically(pathlib.Path(folder) / name, text)
    return pathlib.Path(folder) / "report.html"
