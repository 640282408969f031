"""Merges reports of several runs side by side.

python tools/report.py --reports=runs/none,runs/kure --workdir=runs/both

or writes the pages below a folder again from the JSON beside them, with what
this version of kure_tf draws:

python tools/report.py --again --workdir=results

With --picture the plot of the first screen is beside it as accuracy_light.svg
and accuracy_dark.svg, for a README; --again draws those anew too.
"""

import pathlib

import common_flags
from absl import flags

_REPORTS = flags.DEFINE_list(
    "reports", None, "Folders with a report.json, or such files."
)
_TITLE = flags.DEFINE_string("title", None, "Title of the merged report.")
_AGAIN = flags.DEFINE_bool(
    "again", False, "Write all pages below --workdir again, merge nothing."
)
_PICTURE = flags.DEFINE_bool(
    "picture", False, "Write the first plot as SVG files too."
)
flags.declare_key_flag("workdir")


def main():
    if _AGAIN.value:
        _write_again(pathlib.Path(common_flags.WORKDIR.value))
        return
    if not _REPORTS.value:
        raise ValueError(
            "tools/report.py needs --reports, the folders with the reports to "
            "merge, or --again. For instance: --reports=runs/none,runs/kure."
        )
    from kure_tf.measurements import Report

    with common_flags.workdir() as folder:
        reports = [Report.load(path) for path in _REPORTS.value]
        merged = Report.merge(reports, title=_TITLE.value)
        page = _save(merged, pathlib.Path(folder), _PICTURE.value)
        common_flags.print_report(merged, page)


def _save(report, folder, picture):
    from kure_tf.files import write_atomically
    from kure_tf.pages import pictures, save_report

    if picture:
        for theme, text in pictures(report).items():
            write_atomically(folder / f"accuracy_{theme}.svg", text)
    return save_report(report, folder)


def _write_again(root):
    from kure_tf.measurements import Report
    from kure_tf.paper import experiments

    for path in sorted(root.rglob("report.json")):
        picture = path.with_name("accuracy_light.svg").is_file()
        print(_save(Report.load(path), path.parent, picture))
    for index in sorted(root.rglob("index.md")):
        kept = [index.with_name(f"{n}.json") for n in experiments.NAMES]
        outcomes = [experiments.load(path) for path in kept if path.is_file()]
        for outcome in outcomes:
            print(experiments.save(outcome, index.parent))
        print(experiments.save_index(outcomes, index.parent))


if __name__ == "__main__":
    common_flags.run(main)
