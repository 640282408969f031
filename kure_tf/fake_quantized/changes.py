"""What is going to be written into variables, as data."""

from kure_tf import compat


class Changes:
    """Values for variables: none is written before all of them are checked.

    What depends on others, such as a step ratio on the step size, is looked up
    by `value_of`, which sees what will be there.
    """

    def __init__(self):
        self._values = {}

    def put(self, variable, value):
        """Takes note of what to write into `variable`."""
        self._values[id(variable)] = (variable, value)

    def value_of(self, variable):
        """Returns what `variable` will hold, as an array."""
        if id(variable) in self._values:
            return self._values[id(variable)][1]
        return compat.to_numpy(variable)

    def write(self):
        """Assigns all values."""
        for variable, value in self._values.values():
            variable.assign(value)
