"""What `import kure_tf` gives, and what it leaves alone."""

import inspect
import subprocess
import sys

from absl.testing import absltest
from import_probe import imported
from module_imports import ROOT

import kure_tf
from kure_tf.compat import KERAS_NAME


class PublicApiTest(absltest.TestCase):
    def test_names_are_those_of_the_design(self):
        self.assertEqual(
            set(kure_tf.__all__),
            {
                "Kernel",
                "KurtosisMonitor",
                "KurtosisRegularizer",
                "OperatingPoint",
                "Setting",
                "SumRegularizer",
                "__version__",
                "apply",
                "evaluate_robustness",
                "fake_quantize_model",
                "keeping",
                "kurtosis",
                "quantize_aware",
                "regularize_kurtosis",
                "run_sweep",
                "set_operating_point",
                "set_step_sizes",
                "to_tflite",
            },
        )

    def test_it_can_be_imported_before_tensorflow(self):
        program = (
            "import kure_tf; print(kure_tf.kurtosis([[-1.0, 1.0]]).numpy())"
        )
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(result.stdout.strip(), "1.0", result.stderr)

    def test_every_name_is_there_and_documented(self):
        for name in kure_tf.__all__:
            value = getattr(kure_tf, name)
            if name != "__version__":
                self.assertTrue(inspect.getdoc(value), name)

    def test_dir_shows_every_name(self):
        self.assertContainsSubset(kure_tf.__all__, dir(kure_tf))

    def test_an_unknown_name_is_an_attribute_error(self):
        with self.assertRaisesRegex(AttributeError, "no attribute 'kure'"):
            kure_tf.kure  # noqa: B018

    def test_the_import_is_light_and_defines_no_flags(self):
        """It works where none of the heavy modules is installed, too."""
        found = imported(KERAS_NAME)
        self.assertEqual(found["asked"], [])
        self.assertEqual(found["flags"], [])
        packages = {name.split(".")[1] for name in found["modules"]}
        self.assertTrue(
            packages.isdisjoint(
                {"pages", "ptq", "qat", "training", "export", "sweeps", "paper"}
            ),
            packages,
        )

    def test_sub_packages_list_what_they_have(self):
        for package in (
            *("data", "export", "fake_quantized", "models", "ops", "ptq"),
            *("quantizers", "regularizers", "sweeps", "training", "runs"),
            *("settings", "measurements", "evaluation", "qat", "pages"),
            *("paper", "paper.theory", "paper.theory_page"),
            "paper.experiments",
        ):
            module = __import__(f"kure_tf.{package}", fromlist=["__all__"])
            for name in module.__all__:
                self.assertTrue(hasattr(module, name), f"{package}.{name}")
            self.assertLen(set(module.__all__), len(module.__all__))


if __name__ == "__main__":
    absltest.main()
