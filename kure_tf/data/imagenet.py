"""ImageNet, as the paper's models see it."""

from kure_tf.data.dataset import Dataset
from kure_tf.data.tfds import tfds_dataset

_NAME = "imagenet2012"


def imagenet(
    *,
    data_dir=None,
    image_size=224,
    validation_count=0,
    calibration_count=512,
    calibration_seed=0,
) -> Dataset:
    """Returns ImageNet (ILSVRC 2012), which TFDS has prepared on disk.

    1,281,167 images to train on and 50,000 to test on: the split "validation",
    since the labels of "test" are withheld. Nothing may be chosen on those
    50,000; `validation_count` holds images out of training for that.

    Images are read from disk in every epoch. Evaluation resizes the shorter
    side to 256 pixels and cuts out the centre of 224 x 224; training does the
    same, or with the augmentation "crop" resizes a random part of the image
    (`StreamedSplit`). Pixels are (x / 255 - mean) / std with the mean (0.485,
    0.456, 0.406) and the standard deviation (0.229, 0.224, 0.225) that
    published weights were trained with.

    Args:
        data_dir: Folder of TFDS data sets; `~/tensorflow_datasets` if None.
        image_size: Side of the images in batches, in pixels; the shorter side
            is resized to 256/224 of it.
        validation_count, calibration_count, calibration_seed: As for
            `tfds_dataset`.

    Raises:
        FileNotFoundError: If the data set is not in `data_dir`. Its images
            have to be fetched by hand; the error says how.
        TypeError, ValueError: As for `tfds_dataset`.
    """
    try:
        return tfds_dataset(
            _NAME,
            data_dir=data_dir,
            image_size=image_size,
            validation_count=validation_count,
            calibration_count=calibration_count,
            calibration_seed=calibration_seed,
        )
    except FileNotFoundError as error:
        folder = str(data_dir or "~/tensorflow_datasets")
        raise FileNotFoundError(
            f"No ImageNet in the TFDS folder {folder!r}: expected "
            f"{folder}/{_NAME}. Nobody may pass its images on, so they are "
            "fetched by hand, once: register at https://image-net.org, put "
            "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar into "
            f"{folder}/downloads/manual, and run `tfds build {_NAME} "
            f"--data_dir={folder}` (about 300 GB of disk while it works, half "
            "of that afterwards). If they are somewhere else, name that folder "
            "with data_dir (tools: --data_dir)."
        ) from error
