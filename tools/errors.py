"""Which errors are the user's to mend, and which are bugs."""

import dis
import pathlib

_TOOLS = pathlib.Path(__file__).resolve().parent
_PACKAGES = ("kure_tf", "kure_materialize")


def is_for_the_user(error) -> bool:
    """Whether the message of an error says to the user what to mend.

    It does if a `raise` statement of kure_tf, kure_materialize or a tool raised
    it: somebody has written the message. It does if the system refuses a file
    that it names, or if TensorFlow finds a record of a data set damaged. What
    Python or another library raises is a bug, of this project or of the user's
    own code, and needs its traceback.
    """
    if isinstance(error, OSError) and error.filename is not None:
        return True
    if type(error).__name__ == "DataLossError":  # TensorFlow, of its records.
        return True
    if not isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    return _is_of_the_project(last.tb_frame) and any(
        instruction.opname == "RAISE_VARARGS"
        for instruction in dis.get_instructions(last.tb_frame.f_code)
        if instruction.offset == last.tb_lasti
    )


def _is_of_the_project(frame):
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    path = pathlib.Path(frame.f_code.co_filename)
    return package in _PACKAGES or path.resolve().parent == _TOOLS
