import re
import shutil
import subprocess

import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.export import c_array


def _content(size):
    return np.random.default_rng(0).bytes(size)


class CArrayTest(parameterized.TestCase):
    @parameterized.parameters(1, 11, 12, 13, 24, 1000)
    def test_it_is_the_file_byte_for_byte(self, size):
        content = _content(size)

        source = c_array(content, "weights_2")

        body = re.search(r"weights_2\[\] = \{(.*?)\};", source, re.S)[1]
        values = [int(value, 16) for value in body.split(",")]
        self.assertEqual(bytes(values), content)
        self.assertIn(f"const unsigned int weights_2_len = {size};", source)

    def test_the_bytes_are_laid_out_as_xxd_does(self):
        if shutil.which("xxd") is None:
            self.skipTest("Needs xxd.")
        content = _content(100)
        printed = subprocess.run(
            ["xxd", "-i"], input=content, capture_output=True, check=True
        )

        source = c_array(content)

        self.assertIn(f"{{\n{printed.stdout.decode()}}};\n", source)

    def test_a_compiler_takes_it(self):
        compiler = shutil.which("cc")
        if compiler is None:
            self.skipTest("Needs a C compiler.")
        options = "-std=c11 -Wall -Werror -fsyntax-only -x c -".split()

        subprocess.run(
            [compiler, *options],
            input=c_array(_content(100)).encode(),
            check=True,
        )

    def test_what_c_does_not_take_is_refused(self):
        for name in ("2nd", "my-model", "", "a b"):
            with self.assertRaisesRegex(ValueError, "letters, digits and und"):
                c_array(b"TFL3", name)
        with self.assertRaisesRegex(ValueError, "Received none"):
            c_array(b"")


if __name__ == "__main__":
    absltest.main()
