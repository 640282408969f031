"""Finding the step sizes of a model, into a file."""

import pathlib

from kure_tf import ptq
from kure_tf.fake_quantized import fake_quantize_model, quantizers_of
from kure_tf.runs.sweep import with_journal
from kure_tf.sweeps.batch_norm_images import augmented_batches


def calibrate(
    model,
    dataset,
    method,
    point,
    folder,
    *,
    placement="paper",
    batch_size=256,
    augment=(),
    provenance=None,
):
    """Finds step sizes on a data set's calibration images.

    Args:
        model: A built float model, or one that has quantizers already, which
            keeps its placement.
        dataset: A `Dataset`.
        method: A PTQ method, or the name of one.
        point: The `OperatingPoint` to find step sizes for.
        folder: Gets step_sizes.json, and what a search that takes minutes has
            seen: killed and called again, it goes on from there.
        placement: "paper", "tflite" or a `Placement`.
        batch_size: Images per step.
        augment: Augmentations of the calibration images.
        provenance: What the file says beyond what is known here.

    Returns:
        `StepSizes`.

    Raises:
        TypeError, ValueError: As `fake_quantize_model` and the method.
    """
    folder = pathlib.Path(folder)
    method = with_journal(ptq.get(method), folder, "search")
    if not quantizers_of(model):
        model = fake_quantize_model(model, placement, verbose=True)
    calibration = ptq.calibrate(
        model,
        augmented_batches(dataset.calibration, batch_size, augment=augment),
        provenance={
            "data_set": dataset.name,
            "source": dataset.calibration.name,
            "point": str(point),
            **({"augment": list(augment)} if augment else {}),
            **(provenance or {}),
        },
    )
    step_sizes = method(calibration, point)
    step_sizes.save(folder / "step_sizes.json")
    return step_sizes
