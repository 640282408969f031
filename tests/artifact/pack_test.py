"""One file of which those of all bit-widths are made."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
import tracemalloc
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import calibrated, run
from nested_net import (
    PLACEMENTS,
    images,
    nearest_settings,
    quantized_net,
    settings_of,
)

import kure_materialize
from kure_tf.artifact import materialize, pack, points
from kure_tf.compat import keras
from kure_tf.export import (
    FileMetadata,
    check_file,
    file_note,
    simulate,
    to_integer_graph,
    with_container,
    write,
)
from kure_tf.fake_quantized import apply, keeping, paper_placement
from kure_tf.settings import Setting

pytestmark = pytest.mark.one_keras

_POINTS = tuple((bits, 8) for bits in (8, 7, 6, 5, 4, 3, 2))
_FEW = ((8, 8), (3, 8), (3, 4))
_LABELS = FileMetadata(labels=("cat", "dog", "cow"), note={"by": "me"})


@functools.cache
def _packed(placement="per_tensor", reading="even", points=_FEW, labels=False):
    metadata = _LABELS if labels else None
    return _pack(settings_of(placement, reading, points), placement, metadata)


def _pack(settings, placement="per_tensor", metadata=None, **options):
    model, _ = quantized_net(placement)
    options = {"file_batch_size": 1, "metadata": metadata, **options}
    return pack(model, settings, [images()], **options)


def _written(placement, setting, metadata):
    """Yields container, graph and bytes of files, by the exact writer."""
    model, _ = quantized_net(placement)
    note = {**metadata.note, "point": str(setting.point)}
    metadata = dataclasses.replace(metadata, note=note)
    with keeping(model):
        apply(model, setting)
        graph = to_integer_graph(model, [images()])
    for container in (8, 4):
        graph = with_container(graph, container)
        content = write(graph, batch_size=1, metadata=metadata.entries(graph))
        yield container, graph, metadata.with_labels(content)


class PackTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        placement=[*PLACEMENTS], reading=["even", "middle", "truncate"]
    )
    def test_every_file_is_that_of_the_exact_writer(self, placement, reading):
        content = _packed(placement, reading, _POINTS)

        for setting in settings_of(placement, reading, _POINTS):
            bits = setting.provenance["nested_bits"]
            for container, _, expected in _written(
                placement, setting, FileMetadata()
            ):
                found = materialize(content, bits, container=container)
                self.assertEqual(found, expected, (bits, container))

    def test_kernels_that_fit_are_in_int4(self):
        content = _packed()

        sizes = {
            (bits, container): len(
                materialize(content, bits, container=container)
            )
            for bits, _, container in points(content)
        }
        self.assertEqual(sizes[8, 4], sizes[8, 8])
        self.assertLess(sizes[3, 4], sizes[3, 8] - 100)

    def test_files_with_labels_are_those_of_the_exact_writer(self):
        content = _packed(labels=True)

        (_, setting, _) = settings_of("per_tensor", "even", _FEW)
        for container, graph, expected in _written(
            "per_tensor", setting, _LABELS
        ):
            found = materialize(content, 3, container=container)
            self.assertEqual(found, expected)
            self.assertEmpty(check_file(found, graph).differences)
            self.assertEqual(file_note(found), {"by": "me", "point": "3/8"})

    @parameterized.parameters(False, True)
    def test_the_artifact_runs_and_reads_as_the_file_of_8_bits(self, labels):
        content = _packed(labels=labels)

        eight = materialize(content, 8)
        self.assertStartsWith(content, eight)
        setting, *_ = settings_of("per_tensor", "even", _FEW)
        (_, graph, _), *_ = _written("per_tensor", setting, FileMetadata())
        codes = graph.quantization("image").codes_of(images(4, seed=5))
        expected = simulate(graph, codes)
        found = [run(content, [one[np.newaxis]])[0] for one in codes]
        self.assertAllEqual(found, expected)
        self.assertEmpty(check_file(content, graph).differences)
        self.assertEqual(file_note(content)["point"], "8/8")

    def test_activation_bits_default_to_the_most(self):
        content = _packed()

        most = materialize(content, 3)

        self.assertEqual(most, materialize(content, 3, activation_bits=8))
        fewer = materialize(content, 3, activation_bits=4)
        self.assertEqual(file_note(fewer)["point"], "3/4")

    def test_settings_may_come_in_any_order_and_the_bytes_stay(self):
        settings = settings_of("per_tensor", "even", _FEW)

        self.assertEqual(_pack(settings[::-1]), _packed())

    def test_the_model_stays(self):
        model, _ = quantized_net("per_tensor")
        before = [np.array(value) for value in model.get_weights()]

        _pack(settings_of("per_tensor", "even", _FEW))

        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_a_file_of_another_layout_costs_bytes_only(self):
        """Notes of other lengths, and a channel without codes, move things."""
        settings = settings_of("per_tensor", "even", ((8, 8), (2, 8)))
        codes = [dict(one.rounded_weights.codes) for one in settings]
        for one in codes:
            one["hidden/kernel"] = one["hidden/kernel"].copy()
        codes[0]["hidden/kernel"][:, 0] = 1  # Reads 0 at 2 bits.
        codes[1]["hidden/kernel"][:, 0] = 0
        settings = [
            dataclasses.replace(
                setting,
                rounded_weights=dataclasses.replace(
                    setting.rounded_weights, codes=new
                ),
            )
            for setting, new in zip(settings, codes, strict=True)
        ]

        content = _pack(settings)

        *_, (_, _, expected) = _written(
            "per_tensor", settings[1], FileMetadata()
        )
        self.assertEqual(materialize(content, 2, container=4), expected)


def _shared_net():
    """Returns a net that calls a layer twice, with gains of other signs."""
    inputs = keras.Input((6, 4), name="rows")
    shared = keras.layers.Conv1D(4, 2, padding="same", name="shared")
    x = keras.layers.BatchNormalization(name="plus")(shared(inputs))
    y = keras.layers.BatchNormalization(
        gamma_initializer=keras.initializers.Constant(-0.7), name="minus"
    )(shared(keras.layers.ReLU()(x)))
    x = keras.layers.Flatten()(keras.layers.Add()([x, y]))
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x))


class SharedLayerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("even", "middle", "truncate")
    def test_a_layer_that_is_called_twice_is_read_for_both_calls(self, reading):
        rows = np.random.default_rng(0).normal(size=(8, 6, 4))
        rows = rows.astype(np.float32)
        model, calibration = calibrated(
            _shared_net(),
            rows,
            paper_placement(first_layer=None, last_layer=None),
        )
        settings = nearest_settings(model, calibration, reading, _FEW[:2])

        content = pack(model, settings, [rows], containers=(8,))

        with keeping(model):
            apply(model, settings[1])
            graph = to_integer_graph(model, [rows])
        note = {"point": str(settings[1].point)}
        metadata = FileMetadata(note=note).entries(graph)
        self.assertEqual(
            materialize(content, 3), write(graph, metadata=metadata)
        )


class RefusalTest(tf.test.TestCase, parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = settings_of("per_tensor", "even", _FEW)

    def _check(self, settings, words, error=ValueError, **options):
        with self.assertRaisesRegex(error, words):
            _pack(settings, **options)

    def test_no_8_bits(self):
        self._check(self.settings[1:], "weights of 8 bits.*3, 8")

    def test_no_settings(self):
        self._check([], "weights of 8 bits")
        self._check(["3/8"], "Expected Settings.*str", TypeError)

    def test_settings_that_are_not_nested(self):
        self._check([Setting("8/8")], "nested weights.*8/8")

    def test_twice_the_same_point(self):
        self._check([*self.settings, self.settings[1]], "different points")

    def test_two_readings(self):
        other = settings_of("per_tensor", "middle", ((4, 8),))
        self._check([*self.settings, *other], "'even', 'middle'")

    def test_activations_in_float(self):
        one = dataclasses.replace(self.settings[0], point="8/FP")
        self._check([one], "without floats.*8/FP")

    def test_codes_that_are_no_reading(self):
        codes = dict(self.settings[1].rounded_weights.codes)
        codes["hidden/kernel"] = codes["hidden/kernel"] + np.int8(1)
        other = dataclasses.replace(
            self.settings[1].rounded_weights, codes=codes
        )
        one = dataclasses.replace(self.settings[1], rounded_weights=other)
        self._check([self.settings[0], one], "hidden/kernel.* at 3/8 are no")

    def test_containers_without_8(self):
        self._check(self.settings, "8 bits, each once", containers=(4,))


class MaterializeTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.content = _packed()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "net.kure"
        self.path.write_bytes(self.content)

    def test_what_is_not_held_is_refused_with_what_is(self):
        with self.assertRaisesRegex(
            ValueError, r"W3/A4 in int4\. Received: W5 in int8"
        ):
            materialize(self.content, 5)

    def test_damage_is_refused_or_does_no_harm(self):
        expected = materialize(self.content, 3, container=4)
        rng = np.random.default_rng(0)
        refused = 0
        for place in rng.integers(len(self.content), size=150):
            changed = bytearray(self.content)
            changed[place] ^= 1 << rng.integers(8)
            try:
                found = materialize(bytes(changed), 3, container=4)
                self.assertEqual(found, expected, place)
            except ValueError as error:
                self.assertIn("Expected", str(error))
                refused += 1
        self.assertGreater(refused, 50)

    def test_what_is_cut_off_is_refused(self):
        for size in np.linspace(0, len(self.content) - 1, 20).astype(int):
            with self.assertRaisesRegex(ValueError, "whole .kure file"):
                materialize(self.content[:size], 3)

    @parameterized.parameters(b"", b"not a file of this kind" * 99)
    def test_what_is_something_else_is_refused(self, content):
        self.path.write_bytes(content)
        for source in (content, self.path):
            with self.assertRaisesRegex(ValueError, "whole .kure file"):
                points(source)
        with self.assertRaisesRegex(ValueError, "no item named"):
            points(_LABELS.with_labels(b"TFL3"))
        with self.assertRaises(FileNotFoundError):
            points(self.folder / "missing.kure")

    def test_it_works_alone_without_tensorflow(self):
        """A copy of the one file, NumPy, and nothing else of ours."""
        source = pathlib.Path(kure_materialize.__file__)
        (self.folder / "kure_materialize.py").write_bytes(source.read_bytes())
        code = (
            "import sys, kure_materialize as k;"
            "sys.modules.update(tensorflow=None, kure_tf=None);"
            "k.main(sys.argv[1:]);"
            "assert not [n for n in sys.modules if n.startswith('keras')]"
        )
        command = [sys.executable, "-c", code, self.path.name]

        subprocess.run(
            [*command, "--bits=3", "--container=4", "--out=three.tflite"],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]},
            check=True,
        )

        self.assertEqual(
            (self.folder / "three.tflite").read_bytes(),
            materialize(self.content, 3, container=4),
        )
        self.assertLen([*self.folder.iterdir()], 4)  # And the bytecode.

    def test_the_command_writes_beside_the_artifact_by_default(self):
        kure_materialize.main([str(self.path), "--bits=3", "--activations=4"])

        self.assertEqual(
            (self.folder / "net.kure_3.tflite").read_bytes(),
            materialize(self.content, 3, activation_bits=4),
        )

    def test_the_command_refuses_in_words_and_writes_nothing(self):
        with self.assertRaises(SystemExit) as raised:
            kure_materialize.main([str(self.path), "--bits=5"])

        self.assertEqual(raised.exception.code, 2)
        self.assertLen([*self.folder.iterdir()], 1)

    def test_a_file_that_cannot_take_its_place_leaves_nothing(self):
        (self.folder / "taken.tflite" / "in").mkdir(parents=True)

        with self.assertRaises(SystemExit):
            kure_materialize.main(
                [str(self.path), "--bits=3"]
                + [f"--out={self.folder / 'taken.tflite'}"]
            )

        names = {path.name for path in self.folder.iterdir()}
        self.assertEqual(names, {"net.kure", "taken.tflite"})

    def test_two_at_once_do_not_share_a_temporary_file(self):
        names = set()
        for process in (1, 2):
            with (
                mock.patch.object(os, "getpid", return_value=process),
                mock.patch.object(
                    pathlib.Path,
                    "replace",
                    autospec=True,
                    side_effect=lambda new, path: names.add(new.name),
                ),
            ):
                kure_materialize.main([str(self.path), "--bits=3"])

        self.assertLen(names, 2)


def _large_artifact(folder):
    """Writes the artifact of a net of one large kernel."""
    rows = np.random.default_rng(0).normal(size=(8, 1000)).astype(np.float32)
    layers = [keras.Input((1000,)), keras.layers.Dense(1000, name="hidden")]
    model, calibration = calibrated(
        keras.Sequential(layers),
        rows,
        paper_placement(first_layer=None, last_layer=None),
    )
    settings = nearest_settings(model, calibration, "even", _FEW[:2])
    path = pathlib.Path(folder) / "large.kure"
    path.write_bytes(pack(model, settings, [rows]))
    return path


class MemoryTest(tf.test.TestCase):
    def test_peak_memory_is_at_most_twice_the_file(self):
        """One large kernel, whose codes are read in pieces."""
        path = _large_artifact(self.get_temp_dir())

        for container in (8, 4):
            tracemalloc.start()
            materialize(path, 3, container=container)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(peak, 2 * path.stat().st_size, container)
