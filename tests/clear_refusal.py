"""What makes a refusal clear: of a tool's call, and of a function's."""

import re

from errors import is_for_the_user

_SAYS_THE_RULE = re.compile(
    r"expected|needs|must|should|does not|\bno\b|unknown|cannot|could not"
    r"|is not|takes|finds"
    r"|invalid|missing|unexpected",
    re.IGNORECASE,
)


def tool_fault(code, printed, named=()):
    """Returns what is wrong with how a tool refused; None if it is clear.

    Clear is: exit code 2, no traceback, and one error that says the rule and
    names what was received.

    Args:
        code, printed: What `forked_tools.run_all` returned.
        named: Texts of which the error has to contain one.
    """
    if "Traceback" in printed:
        return "traceback"
    if code != 2:
        return f"exit code {code}"
    said = printed.rpartition("error: ")[2]
    if said == printed or not _SAYS_THE_RULE.search(said):
        return "no rule"
    if named and not any(text in said for text in named):
        return f"names none of {named}"
    return None


def error_fault(error):
    """Returns what is wrong with a raised error; None if it is clear."""
    if not is_for_the_user(error):
        return f"a bug: {type(error).__name__}"
    if not _SAYS_THE_RULE.search(str(error)):
        return "no rule"
    return None
