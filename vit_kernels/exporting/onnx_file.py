"""Writing an ONNX file: one file below protobuf's 2 GB, the weights in a second one beside it above."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vit_kernels._version import __version__
from vit_kernels.exporting.onnx_graph import IR_VERSION, OPSET, OnnxGraph

# Protobuf ends at 2^31 bytes; the graph itself needs well under the difference.
SINGLE_FILE_LIMIT = 2_000_000_000
_INLINE = 1024  # smaller constants stay in the graph, where shape inference can see them
_ALIGNMENT = 4096  # pages: runtimes map the weights into memory


def write_onnx(path: Path, graph: OnnxGraph, size: int, notes: Mapping[str, str]) -> None:
    """Write and check a graph. Above `SINGLE_FILE_LIMIT` the weights go to `<name>.data` beside it.

    Args:
        path: a name in an empty folder.
        graph: what to write.
        size: of all weights, bytes.
        notes: the file's metadata.

    Raises:
        OSError: it cannot be written.
    """
    import onnx
    from onnx import TensorProto, helper

    def info(shapes: Mapping[str, tuple]) -> list:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    body = helper.make_graph(graph.nodes, "vit", info(graph.inputs), info(graph.outputs))
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                              producer_name="vit_kernels", producer_version=__version__)
    helper.set_model_props(model, dict(notes))
    constants = model.graph.initializer
    if size <= SINGLE_FILE_LIMIT:
        for name, make in graph.constants.items():
            constants.add().CopyFrom(onnx.numpy_helper.from_array(np.asarray(make(), order="C"), name))
    else:
        with open(path.with_name(path.name + ".data"), "wb") as data:
            for name, make in graph.constants.items():
                array = np.asarray(make(), order="C")
                if array.nbytes < _INLINE:
                    constants.add().CopyFrom(onnx.numpy_helper.from_array(array, name))
                    continue
                data.write(bytes(-data.tell() % _ALIGNMENT))
                tensor = constants.add(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape,
                                       data_location=TensorProto.EXTERNAL)
                for key, value in (("location", path.name + ".data"), ("offset", data.tell()), ("length", array.nbytes)):
                    tensor.external_data.add(key=key, value=str(value))
                data.write(array.data)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    onnx.checker.check_model(str(path), full_check=True)
