"""Merges reports of several runs side by side.

python tools/report.py --reports=runs/none,runs/kure --workdir=runs/both
"""

import common_flags
from absl import flags

_REPORTS = flags.DEFINE_list(
    "reports", None, "Folders with a report.json, or such files."
)
_TITLE = flags.DEFINE_string("title", None, "Title of the merged report.")
flags.adopt_module_key_flags(common_flags)


def main():
    from kure_tf.measurements import Report
    from kure_tf.pages import save_report, to_markdown

    if not _REPORTS.value:
        raise ValueError(
            "tools/report.py needs --reports, the folders with the reports to "
            "merge. For instance: --reports=runs/none,runs/kure."
        )
    folder = common_flags.workdir("report")
    reports = [Report.load(path) for path in _REPORTS.value]
    merged = Report.merge(reports, title=_TITLE.value)
    page = save_report(merged, folder)
    print(to_markdown(merged))
    print(f"Page: {page.resolve().as_uri()}")


if __name__ == "__main__":
    common_flags.run(main)
