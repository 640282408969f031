"""Pages: what draws measurements."""

from kure_tf.pages.margins import Margins, margins
from kure_tf.pages.picture import pictures
from kure_tf.pages.report_page import to_html, to_markdown
from kure_tf.pages.save import save_report

__all__ = [
    "Margins",
    "margins",
    "pictures",
    "save_report",
    "to_html",
    "to_markdown",
]
