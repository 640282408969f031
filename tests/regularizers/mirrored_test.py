"""Two logical devices need a process of their own: TensorFlow fixes them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kure_tf import compat

pytestmark = pytest.mark.tool_flow

TRAIN = """
import json
import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)

import kure_tf
from kure_tf.compat import keras


def build():
    def options(slot, **regularizer):
        return {
            f"{slot}_initializer": keras.initializers.RandomNormal(seed=0),
            f"{slot}_regularizer": kure_tf.KurtosisRegularizer(
                1.8, 0.5, **regularizer
            ),
        }

    per_channel = {"granularity": "per_channel"}
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, **options("kernel", **per_channel)),
            keras.layers.DepthwiseConv2D(
                3, **options("depthwise", channel_axes=(-2, -1), **per_channel)
            ),
            keras.layers.Flatten(),
            keras.layers.Dense(3, **options("kernel")),
        ]
    )
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "mse")
    return model


rng = np.random.default_rng(0)
x = rng.normal(size=(8, 6, 6, 2)).astype(np.float32)
y = rng.normal(size=(8, 3)).astype(np.float32)
results = {}
strategies = {
    "one": tf.distribute.OneDeviceStrategy("CPU:0"),
    "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
}
for name, strategy in strategies.items():
    with strategy.scope():
        model = build()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    results[name] = {
        "replicas": strategy.num_replicas_in_sync,
        "losses": [float(loss) for loss in model.losses],
        "initial": [w.tolist() for w in model.get_weights()],
        "history": model.fit(data, epochs=2, verbose=0).history["loss"],
        "trained": [w.tolist() for w in model.get_weights()],
    }
print(json.dumps(results))
"""


class MirroredTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        result = subprocess.run(
            [sys.executable, "-c", TRAIN],
            env={
                **os.environ,
                "TF_USE_LEGACY_KERAS": "0" if compat.IS_KERAS_3 else "1",
                "CUDA_VISIBLE_DEVICES": "-1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(result.stderr)
        cls.results = json.loads(result.stdout.splitlines()[-1])

    def test_two_devices_give_the_losses_of_one(self):
        one, two = self.results["one"], self.results["two"]

        self.assertEqual((one["replicas"], two["replicas"]), (1, 2))
        self.assertLen(one["losses"], 3)
        self.assertAllClose(two["losses"], one["losses"])
        # What training reports includes them once, not once per device.
        self.assertAllClose(two["history"], one["history"], rtol=1e-5)

    def test_two_devices_give_the_update_of_one(self):
        one, two = (self.results[name]["trained"] for name in ("one", "two"))

        for ours, theirs, initial in zip(
            two, one, self.results["one"]["initial"], strict=True
        ):
            self.assertNotAllClose(np.array(theirs), np.array(initial))
            self.assertAllClose(
                np.array(ours), np.array(theirs), rtol=1e-4, atol=1e-6
            )


if __name__ == "__main__":
    tf.test.main()
