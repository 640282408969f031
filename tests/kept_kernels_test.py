from unittest import mock

import tensorflow as tf
from kept_kernels import KeptKernels
from tensorflow.python.eager import context


class KeptKernelsTest(tf.test.TestCase):
    def test_each_seed_starts_the_draws_anew(self):
        draws = []
        for _ in range(2):
            tf.random.set_seed(3)
            draws.append([tf.random.normal((4,)), tf.random.uniform((4,))])

        self.assertAllEqual(draws[0], draws[1])

    def test_kernels_are_kept_until_something_is_drawn(self):
        """TensorFlow's own seeding forgets once each time."""

        def seed(*_):
            context.pywrap_tfe.TFE_ContextClearCaches(None)

        kernels, here = KeptKernels(lambda _: (0, 0), seed), context.context()
        with mock.patch.object(
            context.pywrap_tfe, "TFE_ContextClearCaches"
        ) as forget:
            kernels.begin_module()
            forget.assert_called_once()
            kernels.set_global_seed(here, 5)
            forget.assert_called_once()

            self.assertEqual(kernels.get_seed(None), (0, 0))
            kernels.set_global_seed(here, 5)
            self.assertEqual(forget.call_count, 2)


if __name__ == "__main__":
    tf.test.main()
