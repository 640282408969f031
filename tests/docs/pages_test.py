"""The pages that are written by hand: their commands, and the files named."""

import re
import shlex
import subprocess
import sys

from absl.testing import absltest, parameterized
from module_imports import ROOT

TEXT = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs" / "pages").glob("*.md"))
)
COMMANDS = re.findall(r"^kure (.+)$", TEXT.replace("\\\n", " "), re.MULTILINE)
FILES = re.findall(r"`((?:configs|docs|examples|results|tools)/[\w/.]*)`", TEXT)


class PagesTest(parameterized.TestCase):
    def test_there_is_something_to_check(self):
        self.assertLen(COMMANDS, 2)
        self.assertNotEmpty(FILES)

    @parameterized.parameters(*zip(COMMANDS))
    def test_a_command_has_flags_that_there_are(self, command):
        tool, *flags = shlex.split(command)
        result = subprocess.run(
            [sys.executable, f"tools/{tool}.py", *flags, "--only_check_args"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_files_that_are_named_exist(self):
        for name in FILES:
            self.assertTrue((ROOT / name).exists(), name)


if __name__ == "__main__":
    absltest.main()
