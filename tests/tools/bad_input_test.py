"""What tools say to bad input: an error with a way out, exit code 2."""

import pathlib
import tempfile
import zipfile

import pytest
from absl.testing import absltest, parameterized
from forked_tools import Call, run_all

pytestmark = pytest.mark.tool_flow

_OWN = """
def broken(num_classes, input_shape):
    return {}["missing"]

def nothing(num_classes, input_shape):
    return None
"""

# What a tool imports late, and must not find in the working directory.
_SHADOW = "open('imported', 'w').close()"


class BadInputTest(parameterized.TestCase):
    """Errors found after TensorFlow is loaded: one process for all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._temporary.cleanup)
        folder = pathlib.Path(cls._temporary.name)
        (folder / "other").mkdir()
        (folder / "other" / "train.cfg").write_text("--epochs=77\n--seed=0\n")
        (folder / "truncated.keras").write_bytes(b"PK\x03\x04 and no more")
        (folder / "foreign.keras").write_text("a text")
        (folder / "steps.json").write_text('{"a/kernel": 0.1}')
        (folder / "own.py").write_text(_OWN)
        (folder / "tensorflow_datasets.py").write_text(_SHADOW)
        with zipfile.ZipFile(folder / "listed.keras", "w") as archive:
            archive.writestr("metadata.json", "[1]")
        with zipfile.ZipFile(folder / "other.keras", "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.8.0"}')
        cls.folder = folder
        compare = "compare.py --kurtosis_coefficient=1"
        cases = {
            "no_data_set": "train.py --workdir=a --dataset=lost --data_dir=.",
            "no_imagenet": "train.py --workdir=a --dataset=imagenet",
            "no_images": "train.py --workdir=a --dataset=folder:other",
            "no_such_name": "train.py --workdir=a --dataset=:x",
            "own_splits": "train.py --workdir=a --validation_count=3",
            "own_size": "train.py --workdir=a --image_size=9",
            "two_lines": "sweep.py --workdir=a --name=a\nb",
            "same_placement": "sweep.py --workdir=a --placement=paper,paper",
            "same_file": "export_tflite.py --workdir=a --export=float,float",
            "no_share": "export_tflite.py --workdir=a --min_agreement=nan",
            "no_kernels": "export_tflite.py --workdir=a --kernels=gpu",
            "bad_augment": "sweep.py --workdir=a --batch_norm_augment=spin",
            "no_metric": "sweep.py --workdir=a --metric=speed",
            "own_data": "calibrate.py --workdir=a --dataset=own:nothing",
            "other_run": "train.py --workdir=other --epochs=3",
            "no_such_model": "sweep.py --workdir=b --model=resnet9",
            "missing_file": "sweep.py --workdir=c --model=gone.keras",
            "truncated": "sweep.py --workdir=d --model=truncated.keras",
            "foreign": "sweep.py --workdir=e --model=foreign.keras",
            "bad_point": "calibrate.py --workdir=f --point=4-8",
            "two_placements": "calibrate.py --workdir=f "
            "--placement=paper,tflite",
            "bad_bits": "sweep.py --workdir=g --points={8,4.5}/FP",
            "one_bit": "sweep.py --workdir=h --points=1/FP",
            "brace": "sweep.py --workdir=i --points={4,3/FP",
            "bad_placement": f"{compare} --workdir=j --placement=paper,onnx",
            "no_method": "sweep.py --workdir=k --ptq=magic",
            "two_methods": "sweep.py --workdir=k --ptq=minmax,lp_norm",
            "method": "sweep.py --workdir=k --points=magic:4/FP",
            "no_steps": "calibrate.py --workdir=w --ptq=predefined",
            "no_experiment": "reproduce.py --workdir=z",
            "no_such_experiment": "reproduce.py --workdir=z --experiment=fig9",
            "bad_seeds": f"{compare} --workdir=l --seeds=0,one",
            "no_coefficient": "compare.py --workdir=m",
            "no_function": "sweep.py --workdir=n --model=own:missing",
            "bad_step_sizes": "sweep.py --workdir=o --step_sizes=steps.json",
            "no_weights": "train.py --workdir=p --weights=gone.npz",
            "no_setting": "export_tflite.py --workdir=p --setting=own.py "
            "--setting=gone.npz",
            "no_reports": "report.py --workdir=q",
            "missing_report": "report.py --workdir=q --reports=nowhere",
            "learned_folded": "sweep.py --workdir=s --placement=paper,tflite "
            "--ptq=learned_steps",
            "trained_float": "sweep.py --workdir=s --ptq=trained",
            "trained_steps": "calibrate.py --workdir=t --ptq=trained",
            "theory_bits": "theory.py --workdir=u --bits=4,half",
            "theory_grid": "theory.py --workdir=v --grid=narrow --bits=1,2",
            "no_device": "devices.py --workdir=w --profiles=phone",
            "bad_device": "devices.py --workdir=x --profiles=steps.json",
            "bad_budget": "devices.py --workdir=y --budget=2",
            "no_model": "sweep.py --workdir=n --model=own:nothing",
            "listed": "sweep.py --workdir=n --model=listed.keras",
            "other_keras": "sweep.py --workdir=n --model=other.keras "
            "--keras=tf_keras",
            "parity": "sweep.py --workdir=n --parity_points=4-FP",
            "sampled": "train.py --workdir=n --sampled_weight_bits=3,4",
            "taught": "train.py --workdir=n --teacher=start.keras",
            "bug": "sweep.py --workdir=n --model=own:broken",
            "bad_learning_rate": "train.py --workdir=r --learning_rate=-1",
        }
        cls.before = set(folder.iterdir())
        calls = {
            name: Call(tool, tuple(arguments))
            for name, (tool, *arguments) in (
                (name, text.split(" ")) for name, text in cases.items()
            )
        }
        cls.results = run_all(calls, folder, "tf_keras")

    @parameterized.named_parameters(
        ("no_data_set", "'lost'.*--data_dir"),
        ("no_imagenet", "ILSVRC2012_img_train.tar.*--data_dir"),
        ("no_images", "'other'.*Received: none.*each class into a folder"),
        ("no_such_name", "No data set ':x'.*--data_dir"),
        ("own_splits", "--validation_count with a TFDS.*--dataset=digits"),
        ("own_size", "--image_size with.*8 x 8"),
        ("two_lines", "--name in one line.*'a.nb'"),
        ("same_placement", "placements that differ"),
        ("same_file", "each once"),
        ("no_share", "--min_agreement as a fraction"),
        ("no_kernels", "kernels that.*'gpu'"),
        ("bad_augment", "'flip'.*'spin'"),
        ("no_metric", "one of .*'top_5'.*'speed'"),
        ("own_data", "of no arguments.*'own:nothing'"),
        ("other_run", "another run.*there --.*--epochs=77.*here.*--epochs=3"),
        ("no_such_model", "small_cnn.*'resnet9'"),
        ("missing_file", "gone.keras"),
        ("truncated", "truncated.keras.*truncated, not a saved model"),
        ("foreign", "foreign.keras.*not a saved model"),
        ("bad_point", "'4/8'.*Received: '4-8'"),
        ("two_placements", "one --placement"),
        ("bad_bits", "'4/8'.*'4.5/FP'.*part of .{8,4.5./FP"),
        ("one_bit", "at least 2 bits on the grid 'narrow'"),
        ("brace", "brace is not closed"),
        ("bad_placement", "paper.*tflite.*'onnx'"),
        ("no_method", "name of a PTQ method.*'magic'"),
        ("two_methods", "one PTQ method.*--points='minmax: "),
        ("method", "name of a PTQ method.*'magic'"),
        ("no_steps", "'predefined 0.01,0.02,0.05'"),
        ("no_experiment", "--experiment: one or several of fig1, fig2"),
        ("no_such_experiment", "experiment of the paper.*fig3b.*'fig9'"),
        ("bad_seeds", "--seeds.*'one'"),
        ("no_coefficient", "--kurtosis_coefficient above 0"),
        ("no_function", "package.module:function.*'own:missing'"),
        ("bad_step_sizes", "steps.json"),
        ("no_model", "Keras model. Received: NoneType"),
        ("listed", "listed.keras.*not a saved model"),
        ("other_keras", "--keras=keras3"),
        ("parity", "'4/8'.*'4-FP'"),
        ("sampled", "which needs --qat=lsq"),
        ("taught", "--distillation=1"),
        ("no_weights", "'gone.npz', which --weights names"),
        ("no_setting", "'gone.npz', which --setting names"),
        ("no_reports", "--reports="),
        ("missing_report", "nowhere"),
        ("trained_float", "with quantizers.*'trained'.*Name a method"),
        ("learned_folded", "'tflite' folds it.*'lapq_gradient'"),
        ("trained_steps", "finds step sizes.*--ptq=lp_norm"),
        ("theory_bits", "--bits to be numbers.*'half'"),
        ("theory_grid", "at least 2 bits on the grid 'narrow'"),
        ("no_device", "'builtin'.*w4a8_per_channel.*path.*'phone'"),
        ("bad_device", "JSON list of objects.*steps.json"),
        ("bad_budget", "accuracy budget.*0.01.*Received: 2"),
        ("bad_learning_rate", "learning.rate.*-1"),
    )
    def test_is_an_error_with_a_way_out(self, message):
        name = self.id().rpartition("_way_out_")[2]
        code, printed = self.results[name]
        self.assertEqual(code, 2, printed)
        self.assertRegex(printed, f"(?s)error: .*{message}")
        self.assertNotIn("Traceback", printed)

    def test_a_bug_keeps_its_traceback(self):
        code, printed = self.results["bug"]
        self.assertEqual(code, 1, printed)
        self.assertIn("Traceback", printed)
        self.assertIn("KeyError: 'missing'", printed)

    def test_the_working_directory_shadows_no_library(self):
        self.assertNotEqual(self.results["no_data_set"][0], 0)
        self.assertFalse((self.folder / "imported").exists())

    def test_leaves_no_folder_behind(self):
        left = set(self.folder.iterdir()) - self.before
        self.assertEqual({p.name for p in left} - {"__pycache__"}, set())


if __name__ == "__main__":
    absltest.main()
