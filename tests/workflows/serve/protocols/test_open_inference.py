"""Open Inference Protocol v2: JSON and binary tensors, requested outputs, and Triton's own client."""

import base64
import json

import numpy as np
import pytest

from tests.workflows.serve.conftest import GREY, MOST_IMAGES, RED

BASE = "/v2/models/colours"
LEVELS = np.full((2, 4, 4, 3), (250, 5, 0), np.uint8)


def tensor(data, shape, datatype="UINT8", **more):
    return {"name": "images", "datatype": datatype, "shape": list(shape), "data": data, **more}


def infer(client, inputs, path=f"{BASE}/infer", **more):
    return client.post(path, content=json.dumps({"inputs": [inputs], **more}))


def outputs(answer):
    assert answer.status_code == 200, answer.text
    return {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer.json()["outputs"]}


@pytest.mark.parametrize("data", [LEVELS.ravel().tolist(), LEVELS.tolist()])
def test_levels_may_be_flat_or_nested(client, data):
    found = outputs(infer(client, tensor(data, LEVELS.shape), id="7"))
    assert found["probabilities"].shape == (2, 3)
    assert found["label"].tolist() == ["red", "red"]
    assert found["abstained"].tolist() == [False, False]
    assert "labels" not in found


def test_files_are_base64(client):
    data = [base64.b64encode(one).decode() for one in (RED, GREY)]
    for shape in ([2], [2, 1]):
        assert outputs(infer(client, tensor(data, shape, "BYTES")))["abstained"].tolist() == [False, True]
    assert outputs(infer(client, tensor([[one] for one in data], [2, 1], "BYTES")))["label"].tolist() == ["red", "red"]


def test_the_answer_names_the_request_the_model_and_its_version(client):
    content = infer(client, tensor(LEVELS.tolist(), LEVELS.shape), f"{BASE}/versions/run-1/infer", id="7").json()
    assert (content["id"], content["model_name"], content["model_version"]) == ("7", "colours", "run-1")
    assert infer(client, tensor(LEVELS.tolist(), LEVELS.shape), f"{BASE}/versions/9/infer").status_code == 404


def test_outputs_are_those_that_are_asked_for(client):
    wanted = [{"name": "labels"}, {"name": "probabilities", "parameters": {"classification": 2}}]
    found = outputs(infer(client, tensor(LEVELS.tolist(), LEVELS.shape), outputs=wanted))
    assert found["labels"].tolist() == ["red", "green", "blue"]
    assert found["probabilities"].shape == (2, 2)
    assert found["probabilities"][0, 0].endswith(":0:red")


def test_numbers_and_several_labels_have_outputs_of_their_own(client):
    levels = tensor(LEVELS.tolist(), LEVELS.shape)
    assert outputs(infer(client, levels, "/v2/models/number/infer"))["value"].shape == (2, 1)
    assert outputs(infer(client, levels, "/v2/models/tags/infer"))["answered"].tolist() == [[True, False, False]] * 2


def test_no_images_are_answered_with_no_rows(client):
    found = outputs(infer(client, tensor([], [0, 4, 4, 3])))
    assert found["label"].tolist() == []
    assert found["probabilities"].shape == (0, 3)


FLAT = LEVELS.ravel().tolist()


@pytest.mark.parametrize(
    "inputs, more, status, word",
    [
        (tensor(FLAT, [2, 4, 4, 3], "FP32"), {}, 400, "datatype"),
        (tensor(FLAT, [2, 4, 4, 3], ["UINT8"]), {}, 400, "datatype"),
        (tensor(FLAT, [3, 4, 4, 3]), {}, 400, "144"),
        (tensor(FLAT, [2, 48]), {}, 400, "shape"),
        (tensor(FLAT, [2, 4, 3, 4]), {}, 400, "shape"),
        (tensor(FLAT, [2, 4, 4, -3]), {}, 400, "shape"),
        (tensor(FLAT, "2"), {}, 400, "shape"),
        (tensor(FLAT, [2, 0, 4, 3]), {}, 400, "shape"),
        (tensor([], [10, 10**9, 10**9, 3]), {}, 400, "shape"),
        (tensor([], [MOST_IMAGES + 1, 4, 4, 3]), {}, 413, "images"),
        (tensor([256] * 96, [2, 4, 4, 3]), {}, 400, "255"),
        (tensor([0.5] * 96, [2, 4, 4, 3]), {}, 400, "255"),
        (tensor(["a"], [1], "BYTES"), {}, 400, "base64"),
        (tensor([7], [1], "BYTES"), {}, 400, "base64"),
        (tensor([], [1], "BYTES"), {}, 400, "elements"),
        (tensor(["aGFsbG8="], [1], "BYTES"), {}, 400, "cannot be read"),
        (tensor("abc", [3], "BYTES"), {}, 400, "list"),
        ("text", {}, 400, "inputs"),
        (tensor(FLAT, LEVELS.shape, parameters=3), {}, 400, "parameters"),
        (tensor(FLAT, LEVELS.shape, parameters={"binary_data_size": 5}), {}, 400, "binary_data_size"),
        (tensor(FLAT, LEVELS.shape), {"outputs": [{"name": "other"}]}, 400, "probabilities"),
        (tensor(FLAT, LEVELS.shape), {"outputs": "all"}, 400, "outputs"),
        (tensor(FLAT, LEVELS.shape), {"outputs": [{"name": "label"}] * 99}, 400, "outputs"),
        (
            tensor(FLAT, LEVELS.shape),
            {"outputs": [{"name": "label", "parameters": {"classification": 1}}]},
            400,
            "classification",
        ),
        (tensor(FLAT, LEVELS.shape), {"id": 7}, 400, "id"),
    ],
)
def test_a_tensor_that_is_not_understood_is_refused(client, inputs, more, status, word):
    answer = infer(client, inputs, **more)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert word in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999999", "1e3", "9" * 40])
def test_a_wrong_length_of_the_json_is_refused(client, length):
    answer = client.post(f"{BASE}/infer", content=b"{}", headers={"Inference-Header-Content-Length": length})
    assert answer.status_code == 400


@pytest.mark.parametrize("binary", [b"", b"\x05\0\0\0abc", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\0"])
def test_bytes_that_do_not_fit_their_lengths_are_refused(client, binary):
    parameters = {"binary_data_size": len(binary)}
    head = json.dumps({"inputs": [{"name": "e", "datatype": "BYTES", "shape": [1], "parameters": parameters}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    assert client.post(f"{BASE}/infer", content=head + binary, headers=headers).status_code == 400


def test_the_server_and_its_models_describe_themselves(client):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data", "classification"]
    assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
    assert client.get(f"{BASE}/ready").status_code == client.get(f"{BASE}/versions/run-1/ready").status_code == 200
    assert client.get("/v2/models/other/ready").status_code == 404
    described = client.get(BASE).json()
    assert described["versions"] == ["run-1"]
    assert {one["name"]: one["shape"] for one in described["outputs"]}["probabilities"] == [-1, 3]


@pytest.fixture(scope="module")
def triton(server):
    library = pytest.importorskip("tritonclient.http")
    with library.InferenceServerClient(f"127.0.0.1:{server.port}") as opened:
        yield library, opened


class TestTritonsClient:
    """Requests of tritonclient, which sends and takes tensors as bytes unless it is asked for JSON."""

    def test_it_finds_the_server_ready(self, triton):
        _, client = triton
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("colours")
        assert not client.is_model_ready("other")
        assert client.get_model_metadata("colours", "run-1")["name"] == "colours"

    @pytest.mark.parametrize("binary", [True, False])
    def test_levels_are_answered(self, triton, binary):
        library, client = triton
        images = library.InferInput("images", LEVELS.shape, "UINT8")
        images.set_data_from_numpy(LEVELS, binary_data=binary)
        asked = [
            library.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "label", "labels")
        ]
        for outputs in (None, asked):
            result = client.infer("colours", [images], request_id="9", outputs=outputs)
            assert result.as_numpy("probabilities").dtype == np.float32
            assert result.as_numpy("probabilities").sum(axis=1) == pytest.approx([1, 1])
            assert result.get_response()["id"] == "9"
        assert result.as_numpy("labels").tolist() == (
            [b"red", b"green", b"blue"] if binary else ["red", "green", "blue"]
        )

    def test_files_are_answered(self, triton):
        library, client = triton
        files = library.InferInput("encoded", [2], "BYTES")
        files.set_data_from_numpy(np.array([RED, GREY], dtype=np.object_))
        result = client.infer("colours", [files])
        assert result.as_numpy("abstained").tolist() == [False, True]
        assert result.as_numpy("label").tolist() == [b"red", b"red"]

    def test_classes_are_counted_by_the_server(self, triton):
        library, client = triton
        images = library.InferInput("images", LEVELS.shape, "UINT8")
        images.set_data_from_numpy(LEVELS)
        asked = library.InferRequestedOutput("probabilities", class_count=1)
        result = client.infer("colours", [images], outputs=[asked])
        assert [one[0].split(b":")[1:] for one in result.as_numpy("probabilities")] == [[b"0", b"red"]] * 2

    def test_an_error_is_one_of_the_library(self, triton):
        library, client = triton
        images = library.InferInput("images", [1, 2], "FP32")
        images.set_data_from_numpy(np.zeros((1, 2), np.float32))
        with pytest.raises(library.InferenceServerException, match="datatype must be UINT8"):
            client.infer("colours", [images])
