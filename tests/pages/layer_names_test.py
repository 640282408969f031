import tensorflow as tf
from absl.testing import parameterized

from kure_tf.pages.plots import weights as weight_plots


class LayerNamesTest(parameterized.TestCase):
    @parameterized.named_parameters(
        (
            "without_folders",
            ["conv1/kernel", "logits/kernel"],
            ["conv1", "logits"],
        ),
        (
            "with_one_folder",
            ["net/a/conv1/kernel", "net/a/conv2/kernel"],
            ["conv1", "conv2"],
        ),
        (
            "with_different_folders",
            ["net/a/conv/kernel", "net/b/conv/kernel"],
            ["a/conv", "b/conv"],
        ),
    )
    def test_leave_out_what_all_share(self, paths, names):
        self.assertEqual(weight_plots._short_names(paths), names)


if __name__ == "__main__":
    tf.test.main()
