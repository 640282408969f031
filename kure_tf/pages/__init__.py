"""Pages: what draws measurements."""

from kure_tf.pages.html import to_html
from kure_tf.pages.margins import Margins, margins
from kure_tf.pages.markdown import to_markdown
from kure_tf.pages.save import save_report

__all__ = ["Margins", "margins", "save_report", "to_html", "to_markdown"]
