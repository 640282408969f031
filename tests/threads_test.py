"""What is equal to the last bit on 1, 2 and 4 threads.

Training is not, nor what learns by gradients: sums over a batch are split
among the threads.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from absl.testing import absltest

pytestmark = pytest.mark.tool_flow

_THREADS = (1, 2, 4)


class ThreadsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        printed = subprocess.run(
            [sys.executable, __file__],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "TF_USE_LEGACY_KERAS": "0"},
        ).stdout
        cls.found = list(map(json.loads, printed.splitlines()))
        assert len(cls.found) == len(_THREADS)

    def test_what_learns_nothing_is_equal(self):
        for name in self.found[0].keys() - {"threads"}:
            with self.subTest(name):
                values = {json.dumps(one[name]) for one in self.found}
                self.assertLen(values, 1)

    def test_reports_name_the_threads(self):
        named = [one["threads"] for one in self.found]
        self.assertEqual(named, list(_THREADS))


def _print_on(threads):
    """Prints what a process of its own finds on so many threads."""
    child = os.fork()
    if not child:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        print(json.dumps(_found()), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)


def _found():
    import numpy as np

    from kure_tf import (
        artifact,
        data,
        export,
        fake_quantize_model,
        models,
        ptq,
        sweeps,
    )
    from kure_tf.fake_quantized import apply, paper_placement

    digits = data.digits(calibration_count=128)
    model = models.small_cnn()
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0, 0.1, w.shape) for w in model.get_weights()]
    )
    ends = paper_placement(first_layer=8, last_layer=8)
    model = fake_quantize_model(model, ends)
    batches = [*digits.calibration.batches(64)]
    calibration = ptq.calibrate(model, batches, progress=False)
    report = sweeps.evaluate_robustness(
        model, digits, points="{8,3}/8", ptq="lp_norm", progress=False
    )
    nested = ptq.nested_rounding(
        calibration, (8, 3), nearest=True, progress=False
    )
    settings = ptq.nested_settings(calibration, nested)
    apply(model, settings[0])
    graph = export.to_integer_graph(model, digits.calibration)
    images, _ = next(iter(digits.test.batches(64)))
    arrays = {
        "largest values": [t.highest for t in calibration.tensors.values()],
        **{
            name: _steps(getattr(ptq, name)(calibration, "4/8"))
            for name in ("minmax", "lp_norm", "aciq")
        },
        "exact file": export.write(graph),
        "foretold answers": export.simulate(graph, images),
        "artifact": artifact.pack(model, settings, digits.calibration),
    }
    return {
        **{name: _digest(value) for name, value in arrays.items()},
        "rows": [(r.value, r.details) for r in report.runs[0].rows],
        "threads": report.runs[0].provenance["threads"],
    }


def _steps(step_sizes):
    return [float(one.step_size) for one in step_sizes.tensors.values()]


def _digest(value):
    import numpy as np

    content = value if isinstance(value, bytes) else np.asarray(value).tobytes()
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    import kure_tf.runs  # noqa: F401

    for _number in _THREADS:
        _print_on(_number)
