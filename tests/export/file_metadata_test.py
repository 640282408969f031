"""What files say of themselves, as LiteRT's readers see it."""

import io
import zipfile

import flatbuffers
import numpy as np
import tensorflow as tf
from flatbuffers import number_types as kinds
from litert_files import interpreter_of
from tensorflow.lite.python import schema_py_generated as schema

from kure_tf.export import FileMetadata, check_file, file_note, write
from kure_tf.integer_graph import (
    IntegerGraph,
    Operator,
    Quantization,
    Tensor,
)


class _Table:
    """A table of a flatbuffer, read by the numbers of its fields."""

    def __init__(self, content, place):
        self._table = flatbuffers.table.Table(content, place)

    @classmethod
    def root(cls, content):
        place = flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0)
        return cls(content, place)

    def _at(self, field):
        return self._table.Pos + self._table.Offset(4 + 2 * field)

    def number(self, field, kind=kinds.Int8Flags):
        return self._table.Get(kind, self._at(field))

    def text(self, field):
        return self._table.String(self._at(field)).decode()

    def table(self, field):
        return _Table(self._table.Bytes, self._table.Indirect(self._at(field)))

    def tables(self, field):
        start = self._table.Vector(self._at(field) - self._table.Pos)
        count = self._table.VectorLen(self._at(field) - self._table.Pos)
        return [
            _Table(self._table.Bytes, self._table.Indirect(start + 4 * one))
            for one in range(count)
        ]

    def floats(self, field):
        return self._table.GetVectorAsNumpy(
            kinds.Float32Flags, self._at(field) - self._table.Pos
        )


def _graph():
    """Returns a graph of one operator, a global maximum of an image."""
    grid = Quantization(0.5, 0)
    tensors = [Tensor("image", (6, 4, 3), grid), Tensor("top", (3,), grid)]
    operator = Operator(
        "REDUCE_MAX", ("image",), "top", options={"axes": (1, 2)}
    )
    return IntegerGraph(
        "one",
        {tensor.name: tensor for tensor in tensors},
        (operator,),
        ("image",),
        ("top",),
    )


def _content(metadata):
    graph = _graph()
    return metadata.with_labels(write(graph, metadata=metadata.entries(graph)))


def _standard(content):
    """Returns the root table of LiteRT's metadata."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = [one for one in model.metadata if one.name == b"TFLITE_METADATA"]
    data = bytes(bytearray(model.buffers[entry.buffer].data))
    assert data[4:8] == b"M001"
    return _Table.root(data)


class FileMetadataTest(tf.test.TestCase):
    def test_readers_find_size_normalization_and_labels(self):
        content = _content(
            FileMetadata("A test.", ("ant", "bee", "cat"), (1, 2, 3), (4, 5, 6))
        )

        root = _standard(content)
        self.assertEqual([root.text(0), root.text(1)], ["one", "A test."])
        (subgraph,) = root.tables(3)
        (image,), (top,) = subgraph.tables(2), subgraph.tables(3)
        self.assertEqual([image.text(0), top.text(0)], ["image", "top"])
        properties = image.table(3)
        self.assertEqual(properties.number(0), 2)  # ImageProperties.
        size = properties.table(1).table(1)
        self.assertEqual(
            [size.number(field, kinds.Uint32Flags) for field in (0, 1)], [4, 6]
        )
        self.assertEqual(properties.table(1).number(0), 1)  # RGB.
        (unit,) = image.tables(4)
        self.assertEqual(unit.number(0), 1)  # NormalizationOptions.
        self.assertAllEqual(unit.table(1).floats(0), [1, 2, 3])
        self.assertAllEqual(unit.table(1).floats(1), [4, 5, 6])
        (labels,) = top.tables(6)
        self.assertEqual(labels.number(2), 2)  # TENSOR_AXIS_LABELS.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = archive.read(labels.text(0)).decode()
        self.assertEqual(text.split(), ["ant", "bee", "cat"])

    def test_it_changes_neither_answers_nor_tensors(self):
        metadata = FileMetadata(labels=("a", "b", "c"), note={"point": "4/8"})
        content = _content(metadata)

        self.assertEqual(content, _content(metadata))
        self.assertEmpty(check_file(content, _graph()).differences)
        interpreter = interpreter_of(content)
        interpreter.allocate_tensors()
        codes = np.arange(72, dtype=np.int8).reshape(1, 6, 4, 3)
        interpreter.set_tensor(
            interpreter.get_input_details()[0]["index"], codes
        )
        interpreter.invoke()
        found = interpreter.get_tensor(
            interpreter.get_output_details()[0]["index"]
        )
        self.assertAllEqual(found, [[69, 70, 71]])

    def test_the_note_comes_back(self):
        note = {"point": "4/8", "setting": {"images": 512, "seeds": [0, 1]}}
        self.assertEqual(file_note(_content(FileMetadata(note=note))), note)
        self.assertEqual(file_note(_content(FileMetadata())), {})

    def test_there_is_a_label_for_each_class(self):
        with self.assertRaisesRegex(ValueError, "3 labels.*'top'.*: 2"):
            _content(FileMetadata(labels=("ant", "bee")))
        with self.assertRaisesRegex(TypeError, "tuple of names.*'ant'"):
            FileMetadata(labels="ant")

    def test_what_is_no_file_has_no_note(self):
        content = _content(FileMetadata(note={"point": "4/8"}))

        for wrong in (b"junk", content[:12]):
            with self.assertRaisesRegex(ValueError, ".tflite file"):
                file_note(wrong)
        with self.assertRaisesRegex(TypeError, "bytes.*Received: str"):
            file_note("m.tflite")


if __name__ == "__main__":
    tf.test.main()
