"""TFLite's reference kernels, those of its resolver BUILTIN_REF."""

from kure_tf.export.kernel_sets.built_in import (
    BuiltIn,
    sum_of,
    weights_multiplier,
)
from kure_tf.export.kernel_sets.fixed_point import (
    code_half_away,
    once_half_up,
    twice_half_away,
)


class Reference(BuiltIn):
    """How TFLite's reference kernels round; see `BuiltIn`."""

    def linear(self, sums, operator, x, y):
        multiplier = weights_multiplier(operator, x, y)
        if operator.kind == "FULLY_CONNECTED":
            return once_half_up(sums, multiplier)
        return code_half_away(sums, multiplier)

    def add(self, levels, x, y):
        return sum_of(levels, x, y, twice_half_away)

    def table(self, kind, x, y):
        if kind == "ELU":
            raise ValueError(
                "Expected operators that the reference kernels have. They have "
                "no ELU: take the kernels 'xnnpack' or 'builtin'."
            )
        return super().table(kind, x, y)

    def softmax(self, levels, x):
        raise ValueError(
            "Expected operators whose answers are known to the last bit. The "
            "reference kernels compute SOFTMAX in a fixed point of their own, "
            "which is not foretold. Take the kernels 'xnnpack' or 'builtin', "
            "or let the model end in its logits."
        )
