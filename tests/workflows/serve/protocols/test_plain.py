"""Plain requests: the bytes of an image, forms, and errors in the JSON of the command line."""

import pytest

from tests.workflows.serve.conftest import GREY, MOST_IMAGES, RED

PATH = "/predict/colours"


@pytest.mark.parametrize("media", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded", None])
def test_an_image_is_answered_with_a_line_of_predict(client, media):
    answer = client.post(PATH, content=RED, headers={"content-type": media} if media else {})
    assert answer.status_code == 200
    assert list(answer.json()) == ["format", "path", "label", "probability", "top", "abstained", "strange", "unknown"]
    assert answer.json()["format"] == 1
    assert answer.json()["label"] == "red"
    assert answer.json()["probability"] > 0.9
    assert [label for label, _ in answer.json()["top"]] == ["red", "green", "blue"]


def test_the_query_chooses_the_number_of_classes_and_if_the_model_abstains(client):
    def ask(**query):
        return client.post(PATH, content=GREY, params=query).json()

    assert len(ask(top=2)["top"]) == 2
    assert len(ask(top=100)["top"]) == 3
    assert ask()["abstained"] is True
    assert ask(abstain="false")["abstained"] is False
    assert ask(name="../../etc/x\n.png")["path"] == "x.png"


@pytest.mark.parametrize("query", ["top=0", "top=x", "top=-1", "top=9999999", "abstain=maybe", "tops=1", "top=1&top=2"])
def test_a_query_that_is_not_understood_is_refused(client, query):
    answer = client.post(f"{PATH}?{query}", content=RED)
    assert answer.status_code == 400
    assert answer.json()["error"]["kind"] == "query"


def test_a_form_is_answered_with_a_list_in_its_order(client):
    files = [("a", ("C:\\photos\\red.png", RED)), ("b", ("bad.png", RED[:40])), ("c", ("grey.png", GREY))]
    answer = client.post(PATH, files=files, data={"beside": "x"})
    assert answer.status_code == 200
    content = answer.json()
    assert {key: content[key] for key in ("format", "images", "failed")} == {"format": 1, "images": 3, "failed": 1}
    assert [one["path"] for one in content["predictions"]] == ["red.png", "bad.png", "grey.png"]
    assert [one.get("label") for one in content["predictions"]] == ["red", None, "red"]
    assert "error" in content["predictions"][1]


def test_a_form_with_one_file_is_a_list_too(client):
    assert len(client.post(PATH, files={"image": ("a.png", RED)}).json()["predictions"]) == 1


def test_an_image_that_cannot_be_read_is_an_error_of_the_client(client):
    alone = client.post(PATH, content=RED[:40])
    assert alone.status_code == 422
    assert alone.json()["error"]["kind"] == "image"
    assert client.post(PATH, files=[("a", ("a.png", b"x")), ("b", ("b.png", b"y"))]).status_code == 422


@pytest.mark.parametrize(
    "content, media, status",
    [
        (b"{}", "application/json", 415),
        (b"a", "text/plain", 415),
        (b"", "image/png", 400),
        (RED, "multipart/form-data", 400),
        (RED, "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
        (
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nq\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
        ),
        (b"--x\r\n" + b"h" * 9000 + b": v\r\n\r\n", "multipart/form-data; boundary=x", 400),
        (RED, "multipart/form-data; boundary=" + "x" * 300, 400),
    ],
)
def test_a_body_that_is_no_image_and_no_form_is_refused(client, content, media, status):
    answer = client.post(PATH, content=content, headers={"content-type": media})
    assert (answer.status_code, list(answer.json())) == (status, ["format", "error"])


def test_a_form_with_too_many_files_or_fields_is_refused(client):
    files = [("f", (f"{n}.png", RED)) for n in range(MOST_IMAGES + 1)]
    assert client.post(PATH, files=files).status_code == 413
    assert client.post(PATH, files={"a": RED}, data={f"x{n}": "y" for n in range(30)}).status_code == 413


def test_an_unknown_model_is_answered_with_those_that_there_are(client):
    answer = client.post("/predict/other", content=RED)
    assert answer.status_code == 404
    assert "colours, number, tags" in answer.json()["error"]["message"]


def test_models_with_labels_or_numbers_are_answered_as_predict_does(client):
    tags = client.post("/predict/tags", content=GREY).json()
    assert [label for label, _ in tags["labels"]] == ["red", "green", "blue"]
    assert tags["unsure"] == ["red"]
    number = client.post("/predict/number", content=RED).json()
    assert number["value"] > 0.9
    assert number["label"] is None


def test_the_models_and_their_facts_are_listed(client):
    assert [model["name"] for model in client.get("/").json()["models"]] == ["colours", "tags", "number"]
    model = client.get(PATH).json()
    assert model["labels"] == ["red", "green", "blue"]
    assert model["image_size"] == [4, 4]
    assert model["answers"] == "label"
