"""Good and bad files for calls of tools."""

import json
import zipfile

import numpy as np

_OWN = """
import numpy as np

def nothing(*arguments, **shape):
    return None

def no_arguments():
    return None

def _pair(images, labels=None):
    return images, np.arange(len(images)) % 3 if labels is None else labels

def _images():
    return np.random.default_rng(0).integers(0, 9, (60, 8, 8, 1), np.uint8)

def images():
    return _pair(_images()), None, _pair(_images())

def strings():
    texts = _images().astype(str)
    return _pair(texts), None, _pair(texts)

def few_labels():
    pair = _pair(_images(), np.arange(9) % 3)
    return pair, None, pair

def not_finite_images():
    pair = _pair(np.full((60, 8, 8, 1), np.nan, np.float32))
    return pair, None, pair

def not_finite(num_classes, input_shape):
    from kure_tf import models
    model = models.small_cnn(num_classes, input_shape)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    return model
"""
_STEP = '"conv3/kernel": {"step_size": 0.1, "bits": 4}'


def write_tool_files(folder):
    """Writes what calls name, apart from a trained model."""
    (folder / "own.py").write_text(_OWN)
    (folder / "a_folder").mkdir()
    (folder / "texts" / "class").mkdir(parents=True)
    (folder / "texts" / "class" / "image.png").write_text("a text")
    (folder / "a_file").write_text("a text")
    (folder / "text.keras").write_text("a text")
    (folder / "empty.keras").write_bytes(b"")
    (folder / "cut.keras").write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(folder / "listed.keras", "w") as archive:
        archive.writestr("metadata.json", "[1]")
    np.savez(folder / "other.npz", unknown=np.zeros(3))
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "twice.json").write_text(f'{{"tensors": {{{_STEP}, {_STEP}}}}}')
    (folder / "no_steps.json").write_text('{"tensors": {}}')
    (folder / "foreign.json").write_text(json.dumps({"format": "other"}))
