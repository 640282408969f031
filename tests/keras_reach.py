"""Says which test files reach a Keras, from their imports alone."""

import functools

from module_imports import ROOT, imports_of

# These run tools and programs, and so both Kerases, in other processes.
_PROGRAMS = ("tools", "readme_test.py", "public_api_test.py", "runs")
_DOOR = "kure_tf.compat"
_KERASES = ("keras", "tf_keras", "tensorflow_model_optimization")


def reaches_keras(path) -> bool:
    """Returns whether the test file at `path` has to do with a Keras.

    One that does not gives the same under both, and `make test` runs it once.
    """
    inside = path.resolve().relative_to(ROOT / "tests").parts
    return inside[0] in _PROGRAMS or _reaches(path.resolve())


@functools.cache
def _reaches(path):
    # Through `import kure_tf` alone Keras is loaded but not used.
    for found in imports_of(path):
        root = found.module.partition(".")[0]
        if root in _KERASES or f"{found.module}.".startswith(f"{_DOOR}."):
            return True
        if found.module == "kure_tf":
            return True
        source = _source(found.module)
        if source is not None and source != path and _reaches(source):
            return True
    return False


def _source(module):
    """Returns the file of a module of this repository, None for others."""
    for folder in (ROOT, ROOT / "tests"):
        base = folder.joinpath(*module.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None
