"""The pages that are made when the site is built: a hook of MkDocs.

Each is text of Markdown, made of what the repository holds: results, device
profiles, public names. So none of them can fall behind.
"""

import cards
import devices
import llms
import paper
import reference
from mkdocs.structure.files import File


def pages():
    """Returns `{path: Markdown}` of all generated pages."""
    return {
        **cards.pages(),
        **devices.pages(),
        **paper.pages(),
        **reference.pages(),
    }


def on_config(config):
    """Adds the generated pages to the navigation."""
    config.nav += [
        {"Methods": sorted(cards.pages(), key=_index_first)},
        {"Devices": sorted(devices.pages(), key=_index_first)},
        {"Reference": sorted(reference.pages(), key=_index_first)},
    ]
    return config


def on_files(files, config):
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    llms.note(page, markdown)


def on_post_build(config):
    llms.write(config)


def _index_first(path):
    return not path.endswith("index.md"), path
