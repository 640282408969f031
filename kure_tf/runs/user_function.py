"""Functions of the user's own, named in a text."""

import importlib
import inspect


def user_function(name, *arguments, **keywords):
    """Returns the function that "package.module:function" names.

    Args:
        name: The text.
        *arguments, **keywords: What it is going to be called with, if only in
            kind: whether it takes as many and these names is checked.

    Raises:
        ValueError: If it cannot be imported, or takes other arguments.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
        inspect.signature(found).bind(*arguments, **keywords)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        takes = " and ".join((*arguments, *keywords)) or "no arguments"
        raise ValueError(
            f"Expected package.module:function, a function of {takes} that "
            "can be imported, tools: from the working directory. "
            f"Received: {name!r} ({error})."
        ) from error
    return found
