"""The files of an artifact, run beside what was foretold."""

import pathlib

import pytest
import tensorflow as tf
from nested_net import images, quantized_net, settings_of

from kure_tf.artifact import pack, verify_artifact
from kure_tf.export import VerificationError

pytestmark = pytest.mark.one_keras


class VerifyArtifactTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        model, _ = quantized_net("per_tensor")
        points = ((8, 8), (3, 8))
        cls.settings = settings_of("per_tensor", "even", points)
        cls.others = settings_of("per_tensor", "middle", points)
        cls.given = model, cls.settings, [images()]
        cls.content = pack(*cls.given, file_batch_size=1)

    def _verify(self, settings):
        model, _, calibration = self.given
        split = [(images(12, seed=1), tf.range(12) % 3)]
        return verify_artifact(
            self.content,
            pathlib.Path("net.kure"),
            model,
            settings,
            calibration,
            split,
            files={"file_batch_size": 1},
            kernels="xnnpack",
            progress=False,
        )

    def test_each_file_is_run_and_answers_as_foretold(self):
        found = list(self._verify(self.settings))

        points = [(one.bits, one.container) for one in found]
        self.assertEqual(points, [(8, 8), (3, 8), (3, 4)])
        for one in found:
            self.assertEqual(one.verification.codes, 36)
            self.assertEqual(one.verification.differing_codes, 0)

    def test_a_file_of_other_codes_is_refused(self):
        with self.assertRaisesRegex(VerificationError, "transposed/kernel"):
            list(self._verify(self.others[1:]))


if __name__ == "__main__":
    tf.test.main()
