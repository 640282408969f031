"""What a .tflite file holds, read from its flatbuffer."""

import collections
import functools
import hashlib
import math

from kure_tf import extras

_FLOATS = ("float16", "float32", "float64", "bfloat16")
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def file_details(content) -> dict:
    """Describes a .tflite file of one input and one output.

    Args:
        content: The bytes of the file.

    Returns:
        Dictionary of plain values:

        * size: Bytes.
        * sha256: Hash of the content.
        * tensors: `{dtype: number of tensors}`.
        * ops: `{operator: how often}`.
        * float_ops: How many operators read or write a floating-point tensor,
          other than QUANTIZE and DEQUANTIZE, which only lead to them.
        * float_op_names: `{operator: how often}` of those.
        * float_weights: Names of the constant floating-point tensors of more
          than one element.
        * input, output: `{"name", "shape", "dtype", "scale", "zero_point"}`;
          the batch size in `shape` is None where any will do. A value x is
          stored as round(x / scale) + zero_point; both are None in float.
    """
    with extras.needed("Reading a LiteRT file"):
        from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    tensors = [
        graph.Tensors(i)
        for graph in graphs
        for i in range(graph.TensorsLength())
    ]
    ops, float_ops = _operators(model, graphs)
    return {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "tensors": dict(collections.Counter(_dtype(t) for t in tensors)),
        "ops": dict(ops),
        "float_ops": float_ops.total(),
        "float_op_names": dict(float_ops),
        "float_weights": [
            t.Name().decode() for t in tensors if _is_float_weight(model, t)
        ],
        "input": _port(graphs[0].Tensors(graphs[0].Inputs(0))),
        "output": _port(graphs[0].Tensors(graphs[0].Outputs(0))),
    }


def _operators(model, graphs):
    """Returns counters of all operators and of those that touch floats."""
    every, floating = collections.Counter(), collections.Counter()
    for graph in graphs:
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            name = _operator_name(model.OperatorCodes(op.OpcodeIndex()))
            every[name] += 1
            used = [op.Inputs(j) for j in range(op.InputsLength())]
            used += [op.Outputs(j) for j in range(op.OutputsLength())]
            # -1 stands for an input that is left out.
            dtypes = {_dtype(graph.Tensors(j)) for j in used if j >= 0}
            if dtypes.intersection(_FLOATS) and name not in _CONVERSIONS:
                floating[name] += 1
    return every, floating


def _operator_name(code):
    # Old files know only the first of the two fields.
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    name = _names("BuiltinOperator")[number]
    if name == "CUSTOM":
        return code.CustomCode().decode()
    return name


def _dtype(tensor):
    return _names("TensorType")[tensor.Type()].lower()


@functools.cache
def _names(enumeration):
    from ai_edge_litert import schema_py_generated as schema

    members = vars(getattr(schema, enumeration))
    return {
        number: name
        for name, number in members.items()
        if isinstance(number, int)
    }


def _is_float_weight(model, tensor):
    buffer = model.Buffers(tensor.Buffer())
    # Files over 2 GB keep their constants behind the flatbuffer.
    constant = buffer.DataLength() > 0 or buffer.Size() > 1
    size = math.prod(tensor.Shape(i) for i in range(tensor.ShapeLength()))
    return constant and size > 1 and _dtype(tensor) in _FLOATS


def _port(tensor):
    shape = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    # The signature, where there is one, has -1 for sizes left open.
    for i in range(tensor.ShapeSignatureLength()):
        if tensor.ShapeSignature(i) < 0:
            shape[i] = None
    quantization = tensor.Quantization()
    quantized = quantization is not None and quantization.ScaleLength() > 0
    return {
        "name": tensor.Name().decode(),
        "shape": shape,
        "dtype": _dtype(tensor),
        "scale": float(quantization.Scale(0)) if quantized else None,
        "zero_point": int(quantization.ZeroPoint(0)) if quantized else None,
    }
