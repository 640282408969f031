"""The folder of a run: marked, refused to others, given back."""

import os
import pathlib
import subprocess
import sys

import tensorflow as tf
from absl.testing import parameterized

from kure_tf.runs import run_folder

FLAGS = {"epochs": "3", "note": "first\nsecond"}


class RunFolderTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.here = pathlib.Path(self.get_temp_dir())
        self.path = self.here / "run"

    def _run(self, flags=FLAGS, **options):
        with run_folder(self.path, "train", flags, **options) as folder:
            (folder / "result").write_text("it")
        return folder

    def test_the_mark_is_a_flagfile_of_the_run(self):
        folder = self._run()

        lines = (folder / "train.cfg").read_text().splitlines()
        self.assertEqual(
            [line for line in lines if not line.startswith("#")],
            ["--epochs=3", "--note=first", "--note=second"],
        )

    def test_the_same_flags_go_on_in_it(self):
        self._run()
        self._run(dict(reversed(FLAGS.items())))

    @parameterized.named_parameters(
        ("another_value", {**FLAGS, "epochs": "4"}, "--epochs=3.*--epochs=4"),
        ("one_more", {**FLAGS, "seed": "1"}, "there --seed=None; here --seed"),
        ("one_less", {"epochs": "3"}, "there --note=first.*here --note=None"),
    )
    def test_other_flags_are_refused_and_named(self, flags, message):
        self._run()

        with self.assertRaisesRegex(ValueError, f"(?s)another run.*{message}"):
            self._run(flags)

    @parameterized.named_parameters(
        ("moved", "moved.json", "1", True),
        ("changed", "steps.json", "2", True),  # What is kept knows better.
        ("another", "moved.json", "2", False),
    )
    def test_a_file_is_known_by_its_name_or_its_content(
        self, name, content, same
    ):
        self._run_with_file("steps.json", "1")

        if same:
            self._run_with_file(name, content)
        else:
            with self.assertRaisesRegex(ValueError, "another run"):
                self._run_with_file(name, content)

    def test_each_of_several_files_is_known_by_its_content(self):
        first, second, moved = (self.here / name for name in "abc")
        for path, content in ((first, "1"), (second, "2"), (moved, "2")):
            path.write_text(content)
        options = {"files": ["setting"]}
        self._run({"setting": f"{first}\n{second}"}, **options)

        self._run({"setting": f"{first}\n{moved}"}, **options)
        with self.assertRaisesRegex(ValueError, "another run"):
            self._run({"setting": f"{moved}\n{first}"}, **options)

    def _run_with_file(self, name, content):
        (self.here / name).write_text(content)
        self._run({"step_sizes": str(self.here / name)}, files=["step_sizes"])

    @parameterized.parameters(
        ValueError, AttributeError, MemoryError, KeyboardInterrupt
    )
    def test_a_failure_of_any_class_gives_the_folder_back(self, kind):
        with self.assertRaises(kind):
            with run_folder(self.path, "train", FLAGS):
                raise kind("early")

        self.assertFalse(self.path.exists())
        self._run({"epochs": "4"})

    def test_empty_folders_are_no_result(self):
        with self.assertRaises(KeyError):
            with run_folder(self.path, "train", FLAGS) as folder:
                (folder / "seed0" / "logs").mkdir(parents=True)
                raise KeyError("missing")

        self.assertFalse(self.path.exists())

    def test_a_folder_that_was_there_stays_with_what_was_in_it(self):
        self.path.mkdir()
        (self.path / "mine").write_text("kept")

        with self.assertRaises(KeyError):
            with run_folder(self.path, "train", FLAGS):
                raise KeyError("early")

        self.assertEqual(os.listdir(self.path), ["mine"])

    def test_a_failure_after_a_result_keeps_the_mark(self):
        with self.assertRaises(KeyError):
            with run_folder(self.path, "train", FLAGS) as folder:
                (folder / "checkpoint").write_text("half")
                raise KeyError("late")

        self.assertCountEqual(
            os.listdir(self.path), ["checkpoint", "train.cfg"]
        )

    def test_leftovers_of_killed_processes_are_removed(self):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        deep = self.path / "seed0"
        deep.mkdir(parents=True)
        left = deep / f".tmp-{ended.pid}-0123456789ab-model.keras"
        used = deep / f".tmp-{os.getpid()}-0123456789ab-model.keras"
        for path in (left, used, deep / ".tmp-mine"):
            path.write_text("half")

        self._run()

        self.assertCountEqual(os.listdir(deep), [used.name, ".tmp-mine"])

    def test_a_mark_that_is_no_text_is_that_of_another_run(self):
        self._run()
        mark = self.path / "train.cfg"
        mark.write_bytes(mark.read_bytes().replace(b"=", b"=\xff"))

        with self.assertRaisesRegex(ValueError, "another run"):
            self._run()

    @parameterized.parameters("model ", " model", "a\rb", "a\x0bb", "a\u2028b")
    def test_what_a_flagfile_cannot_hold_is_refused(self, name):
        with self.assertRaisesRegex(ValueError, "--name.*flagfile.*Received"):
            with run_folder(self.path, "sweep", {"name": name}):
                pass
        self.assertFalse(self.path.exists())

    @parameterized.named_parameters(
        ("a_file", "file"), ("inside_a_file", "file/in"), ("nul", "a\0b")
    )
    def test_what_cannot_be_a_folder_is_named(self, name):
        (self.here / "file").write_text("")

        with self.assertRaisesRegex(ValueError, "Expected a workdir"):
            with run_folder(self.here / name, "train", FLAGS):
                pass


if __name__ == "__main__":
    tf.test.main()
