"""REST API of TensorFlow Serving: rows, columns, signatures, states and errors."""

import base64
import json

import numpy as np
import pytest

from tests.workflows.serve.conftest import GREY, MOST_IMAGES, RED
from transfercli.workflows.serve.errors import NotReady

BASE = "/v1/models/colours"


def b64(content: bytes) -> dict:
    return {"b64": base64.b64encode(content).decode()}


LISTS = np.full((4, 4, 3), (250, 5, 0)).tolist()
WANTED = [4001 / 4083, 81 / 4083, 1 / 4083]  # 16 pixels of (250, 5, 0), and 1 for each colour


def predict(client, content, path=f"{BASE}:predict"):
    return client.post(path, content=json.dumps(content))


@pytest.mark.parametrize(
    "image", [b64(RED), LISTS, {"encoded": b64(RED)}, {"image_bytes": b64(RED)}, {"images": LISTS}]
)
def test_rows_are_answered_with_rows(client, image):
    answer = predict(client, {"instances": [image, b64(GREY)]})
    assert answer.status_code == 200
    assert list(answer.json()) == ["predictions"]
    first, second = answer.json()["predictions"]
    assert first["label"] == "red"
    assert first["abstained"] is False
    assert second["abstained"] is True
    assert first["probabilities"] == pytest.approx(WANTED, abs=1e-6)
    assert first["probability"] == first["probabilities"][0]


@pytest.mark.parametrize("images", [{"images": [LISTS, LISTS]}, {"encoded": [b64(RED)] * 2}, [b64(RED)] * 2])
def test_columns_are_answered_with_columns(client, images):
    outputs = predict(client, {"inputs": images}).json()["outputs"]
    assert outputs["labels"] == ["red", "green", "blue"]
    assert outputs["label"] == ["red", "red"]
    assert np.shape(outputs["probabilities"]) == (2, 3)


@pytest.mark.parametrize("signature", ["serving_default", "serve", "serve_bytes"])
def test_signatures_of_the_saved_model_are_known(client, signature):
    answer = predict(client, {"signature_name": signature, "instances": [b64(RED)]})
    assert answer.json()["predictions"][0]["label"] == "red"


def test_the_signature_of_probabilities_gives_bare_numbers(client):
    rows = predict(client, {"signature_name": "probabilities", "instances": [b64(RED)]}).json()
    assert rows["predictions"][0] == pytest.approx(WANTED, abs=1e-6)
    columns = predict(client, {"signature_name": "probabilities", "inputs": [b64(RED)]}).json()
    assert columns["outputs"] == rows["predictions"]


def test_long_bodies_are_answered_as_short_ones_are(client):
    large = np.full((200, 200, 3), (250, 5, 0)).tolist()
    answer = predict(client, {"instances": [large, LISTS]}).json()["predictions"]
    assert answer[0]["probabilities"] == pytest.approx(answer[1]["probabilities"], abs=1e-3)


def test_numbers_and_several_labels_have_columns_of_their_own(client):
    rows = predict(client, {"instances": [b64(RED)]}, "/v1/models/number:predict").json()["predictions"]
    assert rows[0] == [pytest.approx(0.97, abs=0.01)]
    row = predict(client, {"instances": [b64(GREY)]}, "/v1/models/tags:predict").json()["predictions"][0]
    assert row["answered"] == [True, True, True]
    assert row["unsure"] == [True, False, False]


@pytest.mark.parametrize(
    "content, status, word",
    [
        ({}, 400, "instances"),
        ([], 400, "object"),
        ({"instances": [b64(RED)], "inputs": [b64(RED)]}, 400, "either"),
        ({"instances": b64(RED)}, 400, "list"),
        ({"instances": [{"b64": "*"}]}, 400, "base64"),
        ({"instances": [{"b64": 1}]}, 400, "base64"),
        ({"instances": ["abc"]}, 400, "b64"),
        ({"instances": [{"other": LISTS}]}, 400, "input"),
        ({"instances": [{"images": LISTS, "encoded": b64(RED)}]}, 400, "one input"),
        ({"instances": [[[1, 2, 3]]]}, 400, "height"),
        ({"instances": [np.full((4, 4, 3), 256).tolist()]}, 400, "255"),
        ({"instances": [np.full((4, 4, 3), -1).tolist()]}, 400, "255"),
        ({"instances": [np.full((4, 4, 3), 0.5).tolist()]}, 400, "whole numbers"),
        ({"instances": [np.full((4, 4, 4), 1).tolist()]}, 400, "[3]"),
        ({"instances": [[[[1, 2, 3]], [[1, 2]]]]}, 400, "image"),
        ({"instances": [None]}, 400, "image"),
        ({"instances": [[[["a", "b", "c"]]]]}, 400, "image"),
        ({"instances": [[[[True, True, True]]]]}, 400, "image"),
        ({"instances": [[[[10**30, 1, 1]]]]}, 400, "image"),
        ({"instances": [b64(RED[:50]), b64(b"x")]}, 400, "instances[0] cannot be read"),
        ({"instances": [b64(RED)], "signature_name": "other"}, 400, "serve_bytes"),
        ({"instances": [b64(RED)], "signature_name": ["serve"]}, 400, "serve_bytes"),
        ({"instances": [LISTS] * (MOST_IMAGES + 1)}, 413, "images"),
    ],
)
def test_a_request_that_is_not_understood_is_an_error_of_one_line(client, content, status, word):
    answer = predict(client, content)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert word in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"instances": [NaN]}',
        b"\xff\xfe",
        b"[" * 100000,
        b'{"a":' * 9000 + b"1" + b"}" * 9000,
        b'{"instances": [' + b"9" * 5000 + b"]}",
        b'{"instances": [' + b"9" * 500000 + b"]}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_that_is_no_json_is_refused(client, body):
    answer = client.post(f"{BASE}:predict", content=body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_no_images_are_answered_with_no_predictions(client):
    assert predict(client, {"instances": []}).json() == {"predictions": []}


def test_images_are_classified_and_regressed(client):
    example = {"examples": [{"image_bytes": b64(RED)}]}
    result = predict(client, example, f"{BASE}:classify").json()["result"]
    assert [label for label, _ in result[0]] == ["red", "green", "blue"]
    assert result[0][0][1] > 0.9
    assert predict(client, example, "/v1/models/number:regress").json()["result"] == [pytest.approx(0.97, abs=0.01)]
    assert predict(client, example, f"{BASE}:regress").status_code == 400
    assert predict(client, example, "/v1/models/number:classify").status_code == 400


def test_the_state_and_the_signatures_of_a_model_are_answered(client):
    (state,) = client.get(BASE).json()["model_version_status"]
    assert state == {
        "version": "run-1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    signatures = client.get(f"{BASE}/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == [
        "serving_default",
        "serve",
        "serve_bytes",
        "probabilities",
        "probabilities_bytes",
    ]
    assert list(signatures["probabilities"]["outputs"]) == ["probabilities"]


def test_a_version_is_the_name_of_the_run(client):
    assert predict(client, {"instances": [b64(RED)]}, f"{BASE}/versions/run-1:predict").status_code == 200
    other = predict(client, {"instances": [b64(RED)]}, f"{BASE}/versions/2:predict")
    assert other.status_code == 404
    assert "run-1" in other.json()["error"]
    assert client.get(f"{BASE}/versions/2").status_code == 404


def test_an_answer_is_of_the_kind_of_the_model_that_gave_it(client, models, monkeypatch):
    """A champion of another kind may be exchanged for the one that a request was answered by."""
    model = models["colours"]
    answer_of_before = model.answer

    async def answer(images, options):
        answers = await answer_of_before(images, options)
        monkeypatch.setattr(model, "has_numbers", True)
        return answers

    monkeypatch.setattr(model, "answer", answer)
    for signature in ("serve", "probabilities"):
        answered = predict(client, {"signature_name": signature, "instances": [b64(RED)]})
        assert "0.979" in answered.text
        monkeypatch.setattr(model, "has_numbers", False)


@pytest.mark.parametrize("method", ["predict", "classify", "regress"])
def test_a_model_that_is_being_loaded_asks_to_come_again_whatever_its_kind(client, models, monkeypatch, method):
    monkeypatch.setattr(models["number"], "has_numbers", False)  # what is said of it before it is loaded
    monkeypatch.setattr(models["number"], "failure", NotReady("it is being loaded", retry_after=2))
    content = {"instances": [b64(RED)]} if method == "predict" else {"examples": [{"image": b64(RED)}]}
    answer = predict(client, content, f"/v1/models/number:{method}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
