import errno
import os
import pathlib
from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

from kure_tf import files
from kure_tf.files import write_atomically


class WriteAtomicallyTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "report.json"

    @parameterized.named_parameters(
        ("text", "naïve\r\n", "naïve\r\n".encode()),
        ("bytes", b"\x00\xff", b"\x00\xff"),
        ("nothing", "", b""),
    )
    def test_the_file_holds_exactly_the_data(self, data, expected):
        self.assertEqual(write_atomically(self.path, data), self.path)

        self.assertEqual(self.path.read_bytes(), expected)
        self.assertEqual(os.listdir(self.folder), ["report.json"])

    def test_missing_folders_are_created(self):
        path = self.folder / "a" / "b" / "c.txt"

        write_atomically(str(path), "x")

        self.assertEqual(path.read_text(), "x")

    def test_the_mode_of_an_existing_file_is_kept(self):
        self.path.write_text("old")
        self.path.chmod(0o640)

        write_atomically(self.path, "new")

        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    def test_a_new_file_has_the_mode_of_any_new_file(self):
        (self.folder / "plain").write_text("")

        write_atomically(self.path, "new")

        self.assertEqual(
            self.path.stat().st_mode, (self.folder / "plain").stat().st_mode
        )

    def test_a_link_stays_a_link(self):
        (self.folder / "target").write_text("old")
        self.path.symlink_to(self.folder / "target")

        write_atomically(self.path, "new")

        self.assertTrue(self.path.is_symlink())
        self.assertEqual((self.folder / "target").read_text(), "new")

    @parameterized.named_parameters(
        ("disk_full_at_flush", "os.fsync", OSError(errno.ENOSPC, "No space")),
        ("rename_refused", "os.replace", PermissionError(errno.EACCES, "No")),
        ("interrupted", "os.fsync", KeyboardInterrupt()),
    )
    def test_failure_keeps_the_old_file_and_no_temporary(self, where, error):
        self.path.write_text("old")

        with (
            mock.patch(where, side_effect=error),
            self.assertRaises(type(error)) as caught,
        ):
            write_atomically(self.path, "new")

        self.assertEqual(self.path.read_text(), "old")
        self.assertEqual(os.listdir(self.folder), ["report.json"])
        if isinstance(error, OSError):
            self.assertIn(
                f"Could not write {str(self.path)!r}", str(caught.exception)
            )
            self.assertEqual(caught.exception.errno, error.errno)

    def test_a_folder_in_the_way_is_named(self):
        self.path.mkdir()

        with self.assertRaisesRegex(OSError, "report.json"):
            write_atomically(self.path, "new")

        self.assertEqual(os.listdir(self.folder), ["report.json"])

    def test_a_file_in_place_of_the_folder_is_named(self):
        self.path.write_text("old")

        with self.assertRaisesRegex(OSError, "Could not write"):
            write_atomically(self.path / "inside.txt", "new")

        self.assertEqual(self.path.read_text(), "old")

    def test_a_changed_object_is_refused_until_its_seal_is_taken_out(self):
        files.write_json(self.path, {"loss": 0.125, "of": {"2": 1}})
        self.assertEqual(
            files.read_json(self.path), {"loss": 0.125, "of": {"2": 1}}
        )
        text = self.path.read_text().replace("0.125", "0.126")
        self.path.write_text(text)

        with self.assertRaisesRegex(ValueError, "as it was written.*'sha256'"):
            files.read_json(self.path)

        seal = text.partition(',\n "sha256"')[0]
        self.path.write_text(f"{seal}}}")
        self.assertEqual(files.read_json(self.path)["loss"], 0.126)

    def test_other_types_are_refused(self):
        with self.assertRaisesRegex(TypeError, "str or bytes. Received: dict"):
            write_atomically(self.path, {})
        self.assertEmpty(os.listdir(self.folder))


if __name__ == "__main__":
    tf.test.main()
