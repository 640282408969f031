"""Classifies images by a .tflite file, with ai_edge_litert and NumPy alone.

python examples/run_litert.py model.tflite images.npy [labels.npy]

images.npy: float32 [count, height, width, channels], normalized as in training.
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def classify(path, images):
    """Returns the class that the file names for each image."""
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    if source["dtype"] == np.int8:
        scale, zero_point = source["quantization"]
        codes = np.rint(images / np.float32(scale)) + zero_point
        images = np.clip(codes, -128, 127).astype(np.int8)
    classes = []
    for image in images:
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        classes.append(interpreter.get_tensor(target["index"])[0].argmax())
    return np.array(classes)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    path, images, *labels = sys.argv[1:]
    classes = classify(path, np.load(images))
    print(*classes)
    if labels:
        print(f"top-1: {np.mean(classes == np.load(labels[0])):.2%}")
