import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from numpy_network import images

from kure_tf import compat
from kure_tf.models import (
    import_npz,
    mobilenet_v2,
    resnet18,
    resnet50,
    torch_arrays,
)

pytestmark = pytest.mark.one_keras

# Of torchvision 0.20, from the documented structure of its modules.
_RESNET18 = {
    "conv1.weight": (64, 3, 7, 7),
    "layer1.0.conv1.weight": (64, 64, 3, 3),
    "layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "layer2.0.downsample.1.running_mean": (128,),
    "layer4.1.bn2.running_mean": (512,),
    "fc.weight": (1000, 512),
}
_RESNET50 = {
    "layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "layer3.5.conv3.weight": (1024, 256, 1, 1),
    "layer4.0.conv2.weight": (512, 512, 3, 3),
}
_MOBILENET_V2 = {
    "features.0.0.weight": (32, 3, 3, 3),
    "features.0.1.running_mean": (32,),
    "features.1.conv.0.0.weight": (32, 1, 3, 3),
    "features.1.conv.0.1.running_mean": (32,),
    "features.1.conv.1.weight": (16, 32, 1, 1),
    "features.1.conv.2.running_mean": (16,),
    "features.17.conv.0.0.weight": (960, 160, 1, 1),
    "features.17.conv.1.0.weight": (960, 1, 3, 3),
    "features.17.conv.2.weight": (320, 960, 1, 1),
    "features.17.conv.3.running_mean": (320,),
    "features.18.0.weight": (1280, 320, 1, 1),
    "classifier.1.weight": (1000, 1280),
}


def _state_dict():
    rng = np.random.default_rng(0)
    shapes = {
        "conv.0.weight": (4, 2, 3, 3),
        "conv.1.weight": (4,),
        "conv.1.bias": (4,),
        "conv.1.running_mean": (4,),
        "conv.1.running_var": (4,),
        "deep.weight": (4, 1, 3, 3),
        "fc.weight": (5, 4),
        "fc.bias": (5,),
    }
    state = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return {**state, "conv.1.num_batches_tracked": np.array(7)}


def _weights(model):
    """Returns {layer.kind of weight: variable}, by the names of Keras 3."""
    return {
        f"{path}.{_kind(weight).replace('depthwise_', '')}": weight
        for path, layer in compat.layers_of(model)
        for weight in layer.weights
    }


def _kind(weight):
    return weight.name.rpartition("/")[2].partition(":")[0]


class TorchArraysTest(tf.test.TestCase, parameterized.TestCase):
    def test_axes_are_moved_by_kind_of_kernel(self):
        state = _state_dict()

        arrays = torch_arrays(state)

        kernel = arrays["conv.0.kernel"]
        self.assertEqual(kernel.shape, (3, 3, 2, 4))
        self.assertEqual(kernel[0, 2, 1, 3], state["conv.0.weight"][3, 1, 0, 2])
        depthwise = arrays["deep.kernel"]
        self.assertEqual(depthwise.shape, (3, 3, 4, 1))
        self.assertEqual(
            depthwise[0, 2, 3, 0], state["deep.weight"][3, 0, 0, 2]
        )
        self.assertAllEqual(arrays["fc.kernel"], state["fc.weight"].T)

    def test_names_are_those_of_keras(self):
        self.assertCountEqual(
            torch_arrays(_state_dict()),
            [
                *("conv.0.kernel", "deep.kernel", "fc.kernel", "fc.bias"),
                *("conv.1.gamma", "conv.1.beta"),
                *("conv.1.moving_mean", "conv.1.moving_variance"),
            ],
        )

    @parameterized.named_parameters(
        ("name", {"lstm.weight_ih": np.zeros(3)}, "'lstm.weight_ih'"),
        ("no_layer", {"weight": np.zeros((3, 3))}, "'weight'"),
        ("shape", {"conv.weight": np.zeros((3, 3, 3))}, r"\[3, 3, 3\]"),
    )
    def test_other_layers_are_refused(self, state, message):
        with self.assertRaisesRegex(ValueError, message):
            torch_arrays(state)

    @parameterized.parameters(
        (resnet18, _RESNET18),
        (resnet50, _RESNET50),
        (mobilenet_v2, _MOBILENET_V2),
    )
    def test_published_names_and_shapes_are_those_of_the_models(
        self, build, published
    ):
        model = build(1000, (32, 32, 3))

        arrays = torch_arrays({n: np.zeros(s) for n, s in published.items()})

        found = {n: tuple(w.shape) for n, w in _weights(model).items()}
        for name, array in arrays.items():
            layer, _, weight = name.rpartition(".")
            name = f"{layer.replace('.', '_')}.{weight}"
            self.assertEqual(found.get(name), array.shape, name)

    def test_a_depthwise_model_takes_them_under_both_kerases(self):
        model = mobilenet_v2(3, (32, 32, 3), width=0.35)
        rng = np.random.default_rng(0)
        arrays = {
            name: rng.uniform(0.1, 1, weight.shape)
            for name, weight in _weights(model).items()
        }
        path = pathlib.Path(self.get_temp_dir()) / "weights.npz"
        np.savez(path, **arrays)

        import_npz(model, path)

        (kernel,) = model.get_layer("features_2_conv_1_0").get_weights()
        self.assertAllClose(kernel, arrays["features_2_conv_1_0.kernel"])
        self.assertAllEqual(
            np.isfinite(model(images(1, (32, 32, 3)))), np.ones((1, 3))
        )


if __name__ == "__main__":
    tf.test.main()
