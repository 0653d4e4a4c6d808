"""The LiteRT format."""

from __future__ import annotations

import numpy as np

from transfercli.export.spec import WriteJob
from transfercli.export.writing import write
from transfercli.reporting import Reporter


def test_int8_of_litert_takes_bytes_with_builtin_operators_and_an_exact_softmax(predictor, spec, reference, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    write("litert", WriteJob(predictor, spec, path, "int8", reference.images), Reporter())
    interpreter = Interpreter(str(path))
    entry = interpreter.get_input_details()[0]
    assert entry["dtype"] == np.uint8
    names = [operation["op_name"] for operation in interpreter._get_ops_details()]
    assert names.index("QUANTIZE") < names.index("CONV_2D") < names.index("DEQUANTIZE") < names.index("SOFTMAX")
    assert not [name for name in names if name.startswith("Flex") or name == "CUSTOM"]
