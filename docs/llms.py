"""llms.txt: each page with its first paragraph, for readers that are models."""

import pathlib
import re

_PARAGRAPH = re.compile(r"(?:^|\n\n)(?![#|>`!*\-:<\[])(\S.*?)(?=\n\n|\Z)", re.S)
_found = {}


def note(page, markdown):
    """Keeps title, address and first paragraph of a page."""
    match = _PARAGRAPH.search(markdown)
    text = " ".join(match[1].split()) if match else ""
    _found[page.url] = page.title, text


def write(config):
    """Writes llms.txt beside the pages."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    for url, (title, text) in _found.items():
        lines.append(f"- [{title}]({url}){': ' if text else ''}{text}")
    folder = pathlib.Path(config.site_dir)
    (folder / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
