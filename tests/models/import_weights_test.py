import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.models import import_npz

pytestmark = pytest.mark.one_keras


def _model():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2D(3, 3, use_bias=False, name="block1_0_conv"),
            layers.BatchNormalization(name="block1_0_bn"),
            layers.SeparableConv2D(2, 1, name="separable"),
            layers.Flatten(),
            layers.Dense(2, name="linear"),
        ]
    )


def _arrays():
    rng = np.random.default_rng(0)
    shapes = {
        "block1.0.conv.kernel": (3, 3, 2, 3),
        "block1.0.bn.gamma": (3,),
        "block1.0.bn.beta": (3,),
        "block1.0.bn.moving_mean": (3,),
        "block1.0.bn.moving_variance": (3,),
        "separable.depthwise_kernel": (1, 1, 3, 1),
        "separable.pointwise_kernel": (1, 1, 3, 2),
        "separable.bias": (2,),
        "linear.kernel": (8, 2),
        "linear.bias": (2,),
    }
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


class ImportNpzTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.get_temp_dir()) / "weights.npz"
        self.model = _model()
        self.before = self.model.get_weights()

    def _assert_unchanged(self):
        for now, before in zip(
            self.model.get_weights(), self.before, strict=True
        ):
            self.assertAllEqual(now, before)

    @parameterized.product(
        save=(np.savez, np.savez_compressed), dtype=(np.float32, np.float16)
    )
    def test_every_array_reaches_its_weight(self, save, dtype):
        arrays = {k: v.astype(dtype) for k, v in _arrays().items()}
        save(self.path, **arrays)

        import_npz(self.model, self.path)

        found = {
            f"{path}.{name}": np.array(getattr(layer, name))
            for path, layer in compat.layers_of(self.model)
            for name in (
                "kernel depthwise_kernel pointwise_kernel bias gamma beta "
                "moving_mean moving_variance"
            ).split()
            if getattr(layer, name, None) is not None
        }
        for name, array in arrays.items():
            weight = name.replace("1.0.", "1_0_")
            self.assertAllEqual(found[weight], array.astype(np.float32))

    def test_underscores_are_taken_as_they_are(self):
        arrays = {
            name.replace("block1.0.", "block1_0_"): array
            for name, array in _arrays().items()
        }
        np.savez(self.path, **arrays)

        import_npz(self.model, str(self.path))

        self.assertAllEqual(
            self.model.get_layer("linear").bias, arrays["linear.bias"]
        )

    @parameterized.parameters("kernel", "depthwise_kernel")
    def test_a_depthwise_kernel_has_either_name_under_both_kerases(self, name):
        model = keras.Sequential(
            [
                keras.Input((4, 4, 2)),
                keras.layers.DepthwiseConv2D(3, use_bias=False, name="deep"),
            ]
        )
        kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 1))
        np.savez(self.path, **{f"deep.{name}": kernel})

        import_npz(model, self.path)

        self.assertAllClose(model.get_weights()[0], kernel)

    def test_layers_of_nested_models_carry_its_name(self):
        inner = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, name="dense")],
            name="inner",
        )
        model = keras.Sequential([keras.Input((3,)), inner])
        kernel = np.ones((3, 2), np.float32)
        np.savez(
            self.path,
            **{"inner.dense.kernel": kernel, "inner.dense.bias": [1.0, 2.0]},
        )

        import_npz(model, self.path)

        self.assertAllEqual(model.get_weights()[0], kernel)

    @parameterized.named_parameters(
        ("missing", {"linear.bias": None}, r"missing: \['linear.bias'\]"),
        ("extra", {"other.bias": [1.0]}, r"not in the model: \['other.bias'\]"),
        ("no_layer", {"bias": [1.0]}, "not in the model"),
        ("shape", {"linear.bias": np.zeros(3)}, r"\(2,\).*shape \(3,\)"),
        ("rank", {"linear.bias": np.zeros((2, 1))}, r"\(2, 1\)"),
        ("twice", {"block1_0_bn.beta": np.zeros(3)}, "mean the same weight"),
        ("text", {"linear.bias": np.array(["a", "b"])}, "numbers.*linear.bias"),
        ("complex", {"linear.bias": np.zeros(2, complex)}, "numbers.*complex"),
    )
    def test_other_arrays_are_refused(self, change, message):
        arrays = {**_arrays(), **change}
        np.savez(
            self.path, **{k: v for k, v in arrays.items() if v is not None}
        )

        with self.assertRaisesRegex(ValueError, message):
            import_npz(self.model, self.path)
        self._assert_unchanged()

    @parameterized.parameters(0, 1, 100, -1, -30, -200)
    def test_a_truncated_file_is_refused(self, end):
        np.savez(self.path, **_arrays())
        content = self.path.read_bytes()
        self.path.write_bytes(content[:end])

        with self.assertRaisesRegex(ValueError, "weights.npz.*truncated"):
            import_npz(self.model, self.path)
        self._assert_unchanged()

    @parameterized.parameters(200, 600, 1200)
    def test_a_damaged_file_is_refused(self, at):
        np.savez_compressed(self.path, **_arrays())
        content = bytearray(self.path.read_bytes())
        content[at : at + 40] = b"\xa5" * 40
        self.path.write_bytes(content)

        with self.assertRaisesRegex(ValueError, "weights.npz"):
            import_npz(self.model, self.path)
        self._assert_unchanged()

    def test_shapes_are_compared_before_anything_is_unpacked(self):
        np.savez(self.path, **_arrays())
        claim = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
        with zipfile.ZipFile(self.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, content in members.items():
                with archive.open(name, "w") as file:
                    if name == "linear.bias.npy":
                        np.lib.format.write_array_header_1_0(file, claim)
                    else:
                        file.write(content)

        with self.assertRaisesRegex(ValueError, r"shape \(1099511627776,\)"):
            import_npz(self.model, self.path)
        self._assert_unchanged()

    def test_pickled_objects_are_never_loaded(self):
        np.savez(
            self.path,
            **{**_arrays(), "linear.bias": np.array([{}, {}], object)},
        )

        with self.assertRaisesRegex(ValueError, "Expected numbers.*object"):
            import_npz(self.model, self.path)
        self._assert_unchanged()

    def test_other_files_are_refused(self):
        self.path.write_bytes(pickle.dumps(_arrays()))
        with self.assertRaisesRegex(ValueError, "Expected an .npz file"):
            import_npz(self.model, self.path)
        self.path.write_text("some text")
        with self.assertRaisesRegex(ValueError, "Expected an .npz file"):
            import_npz(self.model, self.path)
        with self.path.open("wb") as file:
            np.save(file, np.zeros(3))
        with self.assertRaisesRegex(ValueError, "Expected an .npz file"):
            import_npz(self.model, self.path)
        self._assert_unchanged()

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "nowhere.npz"):
            import_npz(self.model, "nowhere.npz")
        with self.assertRaisesRegex(FileNotFoundError, "does not exist"):
            import_npz(self.model, self.get_temp_dir())


if __name__ == "__main__":
    tf.test.main()
