"""Small data sets in the files of TensorFlow Datasets."""

import json
import pathlib

import numpy as np
import tensorflow as tf


def write_tfds(
    folder,
    name,
    splits,
    *,
    shape=(8, 8, 3),
    classes=3,
    shards=2,
    version="1.0.0",
):
    """Writes a data set of PNG images as TFDS does.

    Args:
        folder: The TFDS folder.
        name: Name of the data set.
        splits: `{split: (uint8 images, labels)}`.
        shape: Of all images; None where it varies.
        classes: Number of classes.
        shards: Files per split.
        version: Of the data set.
    """
    target = pathlib.Path(folder) / name / version
    target.mkdir(parents=True)
    infos = []
    for split, (images, labels) in splits.items():
        parts = np.array_split(np.arange(len(labels)), shards)
        for i, part in enumerate(parts):
            path = f"{name}-{split}.tfrecord-{i:05d}-of-{shards:05d}"
            with tf.io.TFRecordWriter(str(target / path)) as writer:
                for j in part:
                    writer.write(_example(images[j], labels[j]))
        infos.append(
            {
                "filepathTemplate": (
                    "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
                ),
                "name": split,
                "numBytes": str(len(labels) * 300),
                "shardLengths": [str(len(part)) for part in parts],
            }
        )
    info = {
        "disableShuffling": True,
        "fileFormat": "tfrecord",
        "moduleName": "__main__",
        "name": name,
        "splits": infos,
        "supervisedKeys": {
            "tuple": {
                "items": [{"featureKey": "image"}, {"featureKey": "label"}]
            }
        },
        "version": version,
    }
    (target / "dataset_info.json").write_text(json.dumps(info))
    features = "tensorflow_datasets.core.features"
    image_class = f"{features}.image_feature.Image"
    sides = [str(-1 if side is None else side) for side in shape]
    (target / "features.json").write_text(
        json.dumps(
            {
                "pythonClassName": f"{features}.features_dict.FeaturesDict",
                "featuresDict": {
                    "features": {
                        "image": {
                            "pythonClassName": image_class,
                            "image": {
                                "dtype": "uint8",
                                "encodingFormat": "png",
                                "shape": {"dimensions": sides},
                            },
                        },
                        "label": {
                            "pythonClassName": (
                                f"{features}.class_label_feature.ClassLabel"
                            ),
                            "classLabel": {"numClasses": str(classes)},
                        },
                    }
                },
            }
        )
    )


def _example(image, label):
    png = tf.io.encode_png(image).numpy()
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        # ImageNet has it; where a data set does not, it is not read.
        "file_name": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[b"any.png"])
        ),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString()
