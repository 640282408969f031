"""A battery runs empty, and the bits of a model's weights follow it.

python examples/battery.py model.kure images.npz

One stored model: for each charge its weights are made of the same 8-bit codes,
by NumPy, and run by ai_edge_litert. images.npz holds "images" (float32, as in
training) and "labels", such as tools/export_artifact.py --example_images
writes.
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import kure_materialize

STEPS = 10  # From full to empty.


def smallest(path, bits):
    """Returns the shortest file of a width that the artifact makes."""
    return min(
        (
            kure_materialize.materialize(path, bits, container=container)
            for width, _, container in kure_materialize.points(path)
            if width == bits
        ),
        key=len,
    )


def accuracy(content, images, labels):
    """Returns the share of the images that a file names the class of."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    codes = np.rint(images / np.float32(scale)) + zero_point
    right = 0
    for image, label in zip(np.clip(codes, -128, 127), labels, strict=True):
        interpreter.set_tensor(source["index"], np.int8(image[np.newaxis]))
        interpreter.invoke()
        right += interpreter.get_tensor(target["index"])[0].argmax() == label
    return right / len(labels)


def main(path, data):
    data, read = np.load(data), 0
    widths = list(dict.fromkeys(p[0] for p in kure_materialize.points(path)))
    for step in range(STEPS):
        bits = widths[step * len(widths) // STEPS]
        content = smallest(path, bits)
        read += len(content)
        right = accuracy(content, data["images"], data["labels"])
        print(
            f"battery {1 - step / STEPS:4.0%}  {bits} bits  "
            f"accuracy {right:6.1%}  {len(content):,} bytes to read, "
            f"{read:,} so far"
        )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
