"""What `import kure_tf` did in one fresh process, for all who ask."""

import functools
import json
import os
import subprocess
import sys

from module_imports import ROOT

# Heavy modules are refused, as if none were installed, and who asks for one is
# noted. Keras 3 is let off: it imports matplotlib where it finds it, and so
# does so before. tensorflow-model-optimization changes the variable that
# chooses the Keras behind everybody's back; so does this.
_PROGRAM = """
import json, os, sys
import tensorflow as tf

tf.keras.Model
asked = []


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name not in (
            "tensorflow_model_optimization", "tensorflow_datasets", "matplotlib"
        ):
            return None
        frame = sys._getframe(1)
        while "importlib" in frame.f_globals["__name__"]:
            frame = frame.f_back
        asked.append((frame.f_globals["__name__"], name))
        raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Refuse())
legacy = os.environ["TF_USE_LEGACY_KERAS"]
os.environ["TF_USE_LEGACY_KERAS"] = str(1 - int(legacy))
import kure_tf
from absl import flags
from kure_tf import compat

modules = sorted(name for name in sys.modules if name.startswith("kure_tf."))
for name in kure_tf.__all__:
    getattr(kure_tf, name)  # Some are imported where they are asked for.
print(json.dumps({
    "asked": [pair for pair in asked if not pair[0].startswith("keras.")],
    "modules": modules,
    "keras": [compat.KERAS_NAME, compat.keras.__name__],
    "flags": sorted(
        module for module in flags.FLAGS.flags_by_module_dict()
        if module.startswith("kure_tf")
    ),
}))
"""


@functools.cache
def imported(keras_name):
    """Returns what was found under a Keras, "keras" or "tf_keras".

    "asked": who asked for a heavy module; "modules" of kure_tf that are loaded
    by the import alone; "keras", which one is active, where the variable that
    chooses it was changed in between; "flags" that it defined.
    """
    legacy = str(int(keras_name == "tf_keras"))
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=ROOT,
        env={**os.environ, "TF_USE_LEGACY_KERAS": legacy},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])
