"""Writes a report with its pages."""

import pathlib

from kure_tf.pages.report_page import report_page


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
    more = {"json": report.to_json(), "csv": report.to_csv()}
    return report_page(report).save(folder, "report", more)
