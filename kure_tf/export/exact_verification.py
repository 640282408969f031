"""The result of checking a file of exactly a model's codes."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What a file answered with one set of kernels.

    Attributes:
        kernels: Whose rounding ran, and was foretold.
        codes: How many output codes were compared with the foretold ones;
            where layers are left in float, also those that go into them, all
            foretold from what came out of them. A second file, of the same
            graph with these tensors as further outputs, puts them out;
            agreement and accuracy are those of the file itself.
        differing_codes: How many of them were others.
        agreement: Share of examples (0..1) for which the file and the
            fake-quantized Keras model name the same class. The model leaves
            biases and sums in float: at 4-bit activations 95 to 99 % is usual.
            Where it names a class at each position: the mean over examples of
            the share of positions, and so are the accuracies. Of numbers: the
            share of their variance over the examples that the file reproduces,
            1 - sum |file - model|^2 / sum |model - mean|^2.
        accuracy: Accuracy of the file (0..1), see `evaluation.evaluate`; None
            where labels are targets.
        loss: Mean loss of the file; None where answers are right or wrong.
    """

    kernels: str
    codes: int
    differing_codes: int
    agreement: float
    accuracy: float | None
    loss: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactVerification:
    """How a file did beside its integer graph and its Keras model.

    Attributes:
        container: Bits of the narrowest container that a kernel got; 8 if all
            stayed in that.
        split: Name of the split, None if it has none.
        examples: How many examples were run.
        tensors: How many tensors of the file were compared with the graph.
        kernels: How many of them are kernels.
        equal_kernels: How many kernels have the model's codes, scales and
            biases, to the last bit.
        differences: One sentence for each tensor or operator that differs.
        float_operators: Operators of the file that compute in float.
        float_layers: Names of the layers that were left to them.
        keras_accuracy: Accuracy of the fake-quantized model (0..1), or None.
        keras_loss: Its mean loss, or None.
        loss_name: What the loss is, or None.
        answers: The `Answers` of each set of kernels.
        file_size: Bytes.
        lower_seconds: How long it took to lower the model, most of it for the
            ranges on the calibration images.
        write_seconds: How long it took to make the file of that.
        interpreter: Package and version that ran the file.
        seconds: How long all of it took.
    """

    container: int
    split: str | None
    examples: int
    tensors: int
    kernels: int
    equal_kernels: int
    differences: tuple[str, ...]
    float_operators: int
    float_layers: tuple[str, ...]
    keras_accuracy: float | None
    keras_loss: float | None = None
    loss_name: str | None = None
    answers: tuple[Answers, ...]
    file_size: int
    lower_seconds: float
    write_seconds: float
    interpreter: str
    seconds: float

    @property
    def file_accuracy(self) -> float | None:
        """Accuracy of the file with the first set of kernels (0..1)."""
        return self.answers[0].accuracy

    @property
    def file_loss(self) -> float | None:
        """Its mean loss, where labels are targets."""
        return self.answers[0].loss

    @property
    def agreement(self) -> float:
        """Its agreement with the Keras model, likewise (0..1)."""
        return self.answers[0].agreement

    @property
    def codes(self) -> int:
        """How many output codes were compared, of all sets of kernels."""
        return sum(one.codes for one in self.answers)

    @property
    def differing_codes(self) -> int:
        """How many of them were not the foretold ones."""
        return sum(one.differing_codes for one in self.answers)

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each way in which the file is not the model's."""
        found = list(self.differences)
        if self.float_operators and not self.float_layers:
            found.append(
                f"{self.float_operators} of its operators compute in float; 0 "
                "are allowed."
            )
        found += [
            f"{one.differing_codes} of {one.codes} output codes are not the "
            f"foretold ones of the {one.kernels} kernels."
            for one in self.answers
            if one.differing_codes
        ]
        return tuple(found)
