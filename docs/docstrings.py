"""Docstrings as mkdocstrings reads them: an extension of griffe.

It knows the heading "Examples:" alone; ours have one and are headed "Example:".
"""

import re

import griffe


class Docstrings(griffe.Extension):
    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.M
            )
