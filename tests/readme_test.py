"""Runs the Python of README.md and of the pages that go on from it.

Their commands, targets and links are checked, too. A block whose line above
reads `<!-- not executed: reason -->` is left out. All others run in one folder,
in their order: later ones go on with the files of the first. What
`print(x)  # At least 0.95.` promises has to hold.
"""

import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from absl.testing import absltest, parameterized
from module_imports import ROOT

from kure_tf.compat import IS_KERAS_3

PAGES = ROOT / "docs" / "pages"
DOCUMENTS = (
    ROOT / "README.md",
    *(
        PAGES / f"{name}.md"
        for name in ("operating_points", "training", "to_the_device", "tools")
    ),
)

_BLOCK = re.compile(
    r"(?P<above>[^\n]*)\n\s*?\n?```(?P<language>\w+)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_NOT_EXECUTED = re.compile(r"<!-- not executed: .+ -->")


@dataclass(frozen=True)
class Block:
    text: str
    line: int  # Of the first line of `text`, counted from 1.
    path: pathlib.Path  # Of the document.

    @property
    def name(self):
        return f"{self.path.stem}_line_{self.line}"


def blocks(text, language, path=ROOT):
    """Returns the fenced blocks of `text` in `language` that are to be run."""
    found = []
    for match in _BLOCK.finditer("\n" + text):
        if match["language"] != language or _NOT_EXECUTED.search(
            match["above"]
        ):
            continue
        line = ("\n" + text).count("\n", 0, match.start("text"))
        found.append(Block(match["text"], line, path))
    return found


def commands(text):
    """Yields the words of each command, continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.removeprefix("$ ")
        for command in re.split(r"&&|;|\|", line):
            words = shlex.split(command, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)  # A variable set for this command.
            if words:
                yield words


def promises(text):
    """Returns the `(expression, least value)`s that a block promises."""
    found = re.findall(r"^print\((.+)\)  # At least ([\d.]+)\.$", text, re.M)
    return [(expression, float(least)) for expression, least in found]


def found_in(documents, *languages):
    return [
        block
        for path in documents
        for language in languages
        for block in blocks(path.read_text(encoding="utf-8"), language, path)
    ]


class DocumentsTest(parameterized.TestCase):
    def test_python_blocks_run_and_keep_their_promises(self):
        """README's in both Kerases, those of the pages in Keras 3."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        documents = DOCUMENTS if IS_KERAS_3 else DOCUMENTS[:1]
        for block in found_in(documents, "python"):
            # Blank lines before it: tracebacks then name the document's line.
            code = "\n" * (block.line - 1) + block.text
            names = {"__name__": block.name}
            exec(compile(code, str(block.path), "exec"), names)
            for expression, least in promises(block.text):
                with self.subTest(block=block.name, promise=expression):
                    self.assertGreaterEqual(eval(expression, names), least)

    @parameterized.named_parameters(
        (block.name, block) for block in found_in(DOCUMENTS, "bash", "sh")
    )
    def test_shell_block_names_what_exists(self, block):
        for words in commands(block.text):
            if words[0] == "make":
                self._check_make(words)
            elif pathlib.Path(words[0]).name.startswith("python"):
                self._check_tool(words)

    def _check_make(self, words):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in words[1:]:
            if "=" not in target:
                self.assertRegex(makefile, rf"(?m)^{target}:")

    def _check_tool(self, words):
        if words[1] == "-m":
            self.assertIsNotNone(importlib.util.find_spec(words[2]), words[2])
            return
        if words[1].startswith("examples/"):
            self.assertTrue((ROOT / words[1]).is_file(), words[1])
            return
        self.assertTrue((ROOT / words[1]).is_file(), f"No tool {words[1]}.")
        # Reads the flags and the flagfiles as the tool itself does, and stops.
        result = subprocess.run(
            [sys.executable, *words[1:], "--only_check_args"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(
            result.returncode, 0, f"{shlex.join(words)}\n{result.stderr}"
        )

    @parameterized.parameters(*DOCUMENTS)
    def test_links_into_the_repository_lead_somewhere(self, path):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not target.startswith("mailto:"):
                self.assertTrue((path.parent / target).exists(), target)


class BlocksTest(absltest.TestCase):
    """The reader of the documents itself, on a text made for it."""

    TEXT = (
        "Title\n\n```python\na = 1\n```\n\n"
        "<!-- not executed: takes a day -->\n```python\nb = 2\n```\n"
        "text\n```bash\nX=1 python tools/a.py \\\n    --b=c  # why\n```\n"
    )

    def test_blocks_are_found_with_their_lines(self):
        self.assertEqual(
            blocks(self.TEXT, "python"), [Block("a = 1\n", 4, ROOT)]
        )

    def test_promises_are_read(self):
        text = (
            "print(a)  # At least 0.9.\nprint(b)\nprint(c[1])  # At least 5.\n"
        )
        self.assertEqual(promises(text), [("a", 0.9), ("c[1]", 5.0)])

    def test_commands_are_split_into_words(self):
        (block,) = blocks(self.TEXT, "bash")
        self.assertEqual(
            list(commands(block.text)), [["python", "tools/a.py", "--b=c"]]
        )


if __name__ == "__main__":
    absltest.main()
