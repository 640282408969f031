"""What the files of a run say of themselves."""

from kure_tf.export import FileMetadata


def file_metadata(setting, ptq, dataset, facts, labels=()) -> FileMetadata:
    """Returns the metadata of a file: where it comes from, what it takes.

    Args:
        setting: The `Setting` of the file.
        ptq: What reports call the PTQ method.
        dataset: The `Dataset`, whose normalization the model was trained with.
        facts: What the report says of model, data and software.
        labels: Names of the classes.
    """
    mean, std = _normalization(dataset.test)
    return FileMetadata(
        description=f"{facts['model']} at {setting.point}, {dataset.name}",
        labels=labels,
        mean=mean,
        std=std,
        note={
            "point": str(setting.point),
            "ptq": ptq,
            "setting": setting.provenance,
            "checkpoint_hash": facts["checkpoint_hash"],
            "versions": facts["versions"],
        },
    )


def _normalization(split):
    """Returns mean and std of pixels as they come; None of what are none."""
    if not split.holds_images:
        return None, None
    white = getattr(split, "white", 255.0)
    channels = split.input_shape[-1]
    return tuple(
        tuple(white * float(value) for value in values)
        for values in (
            split.mean or (0.0,) * channels,
            split.std or (1.0,) * channels,
        )
    )
