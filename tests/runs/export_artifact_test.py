"""One artifact of a model, written once all its files answer as foretold."""

import pathlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from nested_net import nearest_settings
from small_run import make_dataset, make_model

from kure_tf import artifact, data, runs
from kure_tf.export import VerificationError, file_note
from kure_tf.files import read_json
from kure_tf.runs.export_artifact import write_examples

pytestmark = pytest.mark.one_keras


def _search(calibration):
    points = ((8, 8), (3, 8))
    return nearest_settings(calibration.model, calibration, "even", points)


class ExportArtifactTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.dataset = make_dataset()

    def _export(self, **options):
        return runs.export_artifact(
            make_model(),
            self.dataset,
            self.folder,
            _search,
            progress=False,
            **options,
        )

    def test_the_table_is_that_of_the_files_it_makes(self):
        found = self._export()

        self.assertEqual(read_json(self.folder / "model.json"), found)
        path = self.folder / "model.kure"
        content = path.read_bytes()
        self.assertEqual(found["artifact"]["bytes"], len(content))
        self.assertEqual(
            [(one["bits"], one["container"]) for one in found["files"]],
            [(8, 8), (3, 8), (3, 4)],
        )
        for one in found["files"]:
            file = artifact.materialize(
                path, one["bits"], container=one["container"]
            )
            self.assertLen(file, one["bytes"])
            self.assertEqual(file_note(file)["point"], one["point"])
            self.assertEqual(one["differing_codes"], 0)
            self.assertEqual(one["examples"], self.dataset.test.count)

    def test_examples_are_drawn_from_the_test_split(self):
        """The first ones may all be of one class."""
        self._export(example_images=5, containers=(8,))

        found = np.load(self.folder / "images.npz")
        images, labels = self.dataset.test.take(5, seed=0).arrays()
        self.assertAllEqual(found["images"], images)
        self.assertAllEqual(found["labels"], labels)
        self.assertNotAllEqual(images, self.dataset.test.arrays()[0][:5])

    def test_several_inputs_may_be_called_as_they_like(self):
        inputs = {"labels": np.zeros((4, 2)), "file": np.ones((4, 3))}
        split = data.Split("test", inputs, np.arange(4))

        write_examples(split, 3, self.folder)

        found = np.load(self.folder / "images.npz")
        self.assertEqual(found["input_labels"].shape, (3, 2))
        self.assertEqual(found["input_file"].shape, (3, 3))
        self.assertEqual(found["labels"].shape, (3,))

    def test_nothing_is_written_if_a_file_is_not_as_foretold(self):
        error = VerificationError("no", None)
        with mock.patch.object(artifact, "verify_artifact", side_effect=error):
            with self.assertRaises(VerificationError):
                self._export()

        self.assertEmpty([*self.folder.iterdir()])


if __name__ == "__main__":
    tf.test.main()
