"""The result of checking a TFLite file."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verification:
    """How a TFLite file did beside its Keras model, on the same images.

    Attributes:
        mode: That of `to_tflite`.
        step_size_source: Who chose the step sizes: "converter" for TFLite's
            own converter, "kure_tf" for the model, None in a float file.
        split: Name of the split, None if it has none.
        images: How many images were run.
        agreement: Share of images (0..1) for which both name the same class
            first. Between equal outputs, frequent among int8 codes, the class
            of the lower number wins. Where there is a class for each position:
            the mean over images of the share of positions; so are accuracies.
            Of numbers: the share of their variance over the images that the
            file reproduces, 1 - sum |file - model|^2 / sum |model - mean|^2.
        keras_accuracy: Accuracy of the Keras model (0..1), see
            `evaluation.evaluate`; None where labels are targets.
        tflite_accuracy: Accuracy of the file (0..1), or None.
        accuracy_drop: The first minus the second, or None.
        keras_loss: Mean loss of the Keras model; None where answers are right
            or wrong.
        tflite_loss: Mean loss of the file, or None.
        loss_name: What the loss is, or None.
        nan_outputs: Images for which the file puts out NaN or infinity.
        float_weights: In a file of integers, the constant floating-point
            tensors of more than one element; it should have none.
        float_ops: Operators of the file that compute in float (0 if integers
            do everything). Not limited: TFLite has no integer kernel for some
            operators; but an integer-only device cannot run them.
        resolver: Which kernels ran: "default", "builtin" or "reference".
        num_threads: How many interpreters ran side by side.
        interpreter: Package and version that ran the file.
        min_agreement: The limit of `agreement`.
        max_accuracy_drop: The limit of `accuracy_drop`.
        seconds: How long both took.
    """

    mode: str
    step_size_source: str | None
    split: str | None
    images: int
    agreement: float
    keras_accuracy: float | None
    tflite_accuracy: float | None
    accuracy_drop: float | None
    keras_loss: float | None = None
    tflite_loss: float | None = None
    loss_name: str | None = None
    nan_outputs: int
    float_weights: tuple[str, ...]
    float_ops: int
    resolver: str
    num_threads: int
    interpreter: str
    min_agreement: float
    max_accuracy_drop: float
    seconds: float

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each limit that the file does not keep."""
        found = []
        if self.nan_outputs:
            found.append(
                f"It puts out NaN or infinity for {self.nan_outputs} of "
                f"{self.images} images; 0 are allowed."
            )
        if self.agreement < self.min_agreement:
            found.append(
                f"{self._likeness}; min_agreement is {self.min_agreement:.2%}."
            )
        if (self.accuracy_drop or 0.0) > self.max_accuracy_drop:
            found.append(
                f"Its accuracy is {self.tflite_accuracy:.2%}, that of the "
                f"Keras model {self.keras_accuracy:.2%}: a drop of "
                f"{100 * self.accuracy_drop:.2f} points; max_accuracy_drop is "
                f"{100 * self.max_accuracy_drop:.2f} points."
            )
        if self.float_weights:
            found.append(
                "It is a full-integer file, yet these weights are in float: "
                f"{_some(self.float_weights)}; 0 are allowed."
            )
        return tuple(found)

    @property
    def _likeness(self):
        if self.loss_name is None:
            return (
                "It names the same class as the Keras model for "
                f"{self.agreement:.2%} of the images"
            )
        return (
            f"It reproduces {self.agreement:.2%} of the variance of the Keras "
            "model's outputs"
        )

    @property
    def _quality(self):
        if self.accuracy_drop is None:
            return (
                f"loss {self.tflite_loss:.4g} (Keras {self.keras_loss:.4g}), "
            )
        return (
            f"accuracy {self.tflite_accuracy:.2%} (Keras "
            f"{self.keras_accuracy:.2%}, drop {100 * self.accuracy_drop:.2f} "
            "points), "
        )

    def __str__(self):
        steps = {
            "converter": "step sizes of the TFLite converter",
            None: "not quantized",
        }.get(self.step_size_source, f"step sizes of {self.step_size_source}")
        return (
            f"{self.mode} file ({steps}), {self.images} images: "
            f"agreement {self.agreement:.2%}, {self._quality}"
            f"{self.float_ops} float operators; {self.interpreter}, "
            f"{self.resolver} kernels"
        )


class VerificationError(ValueError):
    """A TFLite file does not do what its Keras model does.

    Attributes:
        verification: The `Verification` with the numbers, or the
            `ExactVerification` if `export_exact` raised it.
    """

    def __init__(self, message, verification):
        super().__init__(message)
        self.verification = verification


def _some(names, limit=5):
    listed = ", ".join(repr(name) for name in names[:limit])
    more = len(names) - limit
    return f"{listed} and {more} more" if more > 0 else listed
