"""The OpenVINO format."""

from __future__ import annotations

import numpy as np


def test_openvino_takes_bytes_of_any_batch_and_names_its_tensors(exported, examples, reference):
    import openvino

    core = openvino.Core()
    model = core.read_model(exported.out / "openvino" / "model.xml")
    assert [port.any_name for port in (*model.inputs, *model.outputs)] == ["images", "probabilities"]
    assert model.input().element_type == openvino.Type.u8
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (1, 7):
        found = compiled(examples.images[:count])[0]
        np.testing.assert_allclose(found, reference.probabilities[:count], atol=1e-5)
