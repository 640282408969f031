import hashlib
import os
import pathlib
from unittest import mock

import numpy as np
import scipy.stats
import tensorflow as tf

from kure_tf import fake_quantize_model
from kure_tf.compat import KERAS_NAME, array_hash, keras
from kure_tf.fake_quantized import Placement
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer
from kure_tf.sweeps import (
    kurtosis_facts,
    versions,
    weight_histograms,
    weight_kurtosis,
)
from kure_tf.sweeps.machine import machine_facts


def _model():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(50, name="deep")], name="inner"
    )
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, name="last")(inner(inputs))
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


class ProvenanceTest(tf.test.TestCase):
    def test_kurtosis_is_that_of_scipy(self):
        model = _model()
        kernels = {
            "inner/deep/kernel": model.get_weights()[0],
            "last/kernel": model.get_weights()[2],
        }
        for made in (model, fake_quantize_model(model, Placement())):
            found = weight_kurtosis(made)
            self.assertEqual(list(found), list(kernels))
            for path, value in kernels.items():
                expected = scipy.stats.kurtosis(value.ravel(), fisher=False)
                self.assertAllClose(found[path], expected, rtol=1e-5)

    def test_kernels_with_kure_are_told_from_others(self):
        both = SumRegularizer("l2", KurtosisRegularizer(1.8))
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(4, name="plain", kernel_regularizer="l2"),
                keras.layers.Dense(4, name="kure", kernel_regularizer=both),
            ]
        )
        for made in (model, fake_quantize_model(model, Placement())):
            found = kurtosis_facts(made)
            self.assertEqual(list(found), ["plain/kernel", "kure/kernel"])
            self.assertFalse(found["plain/kernel"]["regularized"])
            self.assertIsNone(found["kure/kernel"]["before"])
        self.assertTrue(kurtosis_facts(model)["kure/kernel"]["regularized"])

    def test_histograms_count_every_weight_of_the_kernels_asked_for(self):
        (item,) = weight_histograms(_model(), ["last/kernel"], bins=9).items()
        path, histogram = item
        self.assertEqual(path, "last/kernel")
        self.assertLen(histogram["edges"], 10)
        self.assertEqual(sum(histogram["counts"]), 150)

    def test_the_hash_is_that_of_all_weights(self):
        model = _model()
        raw = b"".join(w.tobytes() for w in model.get_weights())
        self.assertEqual(array_hash(model), hashlib.sha256(raw).hexdigest())
        model.layers[-1].bias.assign(np.ones(3))
        self.assertNotEqual(array_hash(model), hashlib.sha256(raw).hexdigest())

    def test_processor_and_threads_are_named(self):
        name = "TF_NUM_INTRAOP_THREADS"
        with mock.patch.dict(os.environ, {name: "3"}):
            self.assertEqual(machine_facts()["threads"], 3)
        with mock.patch.dict(os.environ, {name: ""}):
            allowed = len(os.sched_getaffinity(0))
            self.assertEqual(machine_facts()["threads"], allowed)

        described = pathlib.Path("/proc/cpuinfo").read_text()
        self.assertNotEmpty(machine_facts()["processor"])
        self.assertIn(machine_facts()["processor"], described)

    def test_versions_name_the_active_keras(self):
        self.assertIn(KERAS_NAME, versions()["active Keras"])
        self.assertIn("kure_tf", versions())


if __name__ == "__main__":
    tf.test.main()
