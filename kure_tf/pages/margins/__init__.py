"""How far step sizes and bits may go within a budget of accuracy."""

from kure_tf.pages.margins.margins import Margins, margins

__all__ = ["Margins", "margins"]
