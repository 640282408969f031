"""Optional dependencies: which extra of the package brings them."""

import contextlib

EXTRAS = {
    "tensorflow_datasets": "data",
    "ai_edge_litert": "export",
    "pandas": "frames",
    "tensorflow_model_optimization": "qat",
    "tf_keras": "qat",
    "jinja2": "report",
    "matplotlib": "report",
    "tensorboard": "report",
}
"""`{module: extra}`, as in the package's metadata."""


@contextlib.contextmanager
def needed(purpose):
    """Names the extra that is missing where an import in the block fails.

    Args:
        purpose: What needs the module, such as "The page of a report".

    Raises:
        ImportError: In place of a module of `EXTRAS` that is not installed.
            Other errors of imports are left as they are.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise ImportError(
            f"{purpose} needs {module}, which is not installed. Install it: "
            f"pip install 'kure-tf[{EXTRAS[module]}]'.",
            name=module,
        ) from error
