"""Merges reports of several runs side by side.

python tools/report.py --reports=runs/none,runs/kure --workdir=runs/both
"""

import common_flags
from absl import flags

_REPORTS = flags.DEFINE_list(
    "reports", None, "Folders with a report.json, or such files."
)
_TITLE = flags.DEFINE_string("title", None, "Title of the merged report.")
flags.declare_key_flag("workdir")


def main():
    from kure_tf.measurements import Report
    from kure_tf.pages import save_report

    if not _REPORTS.value:
        raise ValueError(
            "tools/report.py needs --reports, the folders with the reports to "
            "merge. For instance: --reports=runs/none,runs/kure."
        )
    with common_flags.workdir() as folder:
        reports = [Report.load(path) for path in _REPORTS.value]
        merged = Report.merge(reports, title=_TITLE.value)
        common_flags.print_report(merged, save_report(merged, folder))


if __name__ == "__main__":
    common_flags.run(main)
