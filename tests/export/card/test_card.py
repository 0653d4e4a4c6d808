"""A card from facts as hostile, as poor and as bad as they may be."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from transfercli.export.card.card import FEW, MARK, limits, model_card
from transfercli.export.card.facts import ArtefactFacts, CardFacts, EvaluationFacts, MachineFacts, RunFacts, validated
from transfercli.export.spec import ExportSpec

HOSTILE = ("<script>alert(1)</script>", "a | b", "[x](http://x)", "`tick`\n# head", "\x1b[2J\u202e")
RECORD: dict[str, Any] = {
    "created": "2026-01-02T03:04:05Z",
    "command": "transfercli finetune a.yaml",
    "data": {"fingerprint": "0f" * 32, "images": {"train": 100, "test": 5}},
}

ARTEFACT: dict[str, Any] = {
    "run": "insects/one",
    "format": "keras", "bytes": 1_234_567, "quantize": "none", "label_agreement": 1.0, "max_abs_diff": 1e-6,
    "accuracy_exported": 0.75,
}  # fmt: skip


def evaluation(labels: tuple[str, ...], **more: Any) -> EvaluationFacts:
    rows = [
        {"label": label, "precision": 0.5, "recall": None if n == 0 else n / 10, "f1": 0.5, "support": 5 * (n > 0)}
        for n, label in enumerate(labels)
    ]
    metrics = {"accuracy": 0.75, "macro_f1": 0.625, "roc_auc": None}
    told = {"examples": 20, "metrics": metrics, "intervals": {"accuracy": [0.5, 0.875]}, "per_class": rows}
    honest = {"honest": metrics, "honest_intervals": told["intervals"], "honest_examples": 20}
    told |= honest | more
    return validated(EvaluationFacts, told, Path("metrics.json"))


def facts(labels: tuple[str, ...] = ("ant", "bee", "cat"), **more: Any) -> CardFacts:
    known: dict[str, Any] = {
        "experiment": "insects",
        "run_id": "one",
        "spec": ExportSpec(labels, (24, 32), "crop", 1.25, 0.875),
        "base": "resnet50",
        "source": "keras.applications",
        "licence": "ImageNet weights of He et al. (MIT)",
        "licence_id": "mit",
        "first_weights": "imagenet weights of Keras",
        "strategy": "linear_probe",
        "shown": ["accuracy", "macro_f1"],
        "record": validated(RunFacts, RECORD, Path("run.json")),
        "config_yaml": "name: insects",
        "counts": {label: {"train": 40 + 10 * n, "test": 5} for n, label in enumerate(labels)},
        "evaluations": {"test": evaluation(labels)},
        "lineage": [{"run": "insects/one", "status": "completed", "workflow": "finetune", "base": "resnet50"}],
        "artefacts": [validated(ArtefactFacts, ARTEFACT, Path("export.json"))],
    }
    return CardFacts(**(known | more))


def test_the_metadata_is_what_the_hub_reads() -> None:
    card = ModelCard(model_card(facts()))
    told = card.data.to_dict()
    assert (told["library_name"], told["pipeline_tag"], told["license"]) == ("keras", "image-classification", "mit")
    assert told["metrics"] == ["accuracy", "f1"]
    assert {"image-classification", "resnet50", "transfercli"} <= set(told["tags"])
    results = {one.metric_name: (one.metric_type, one.metric_value) for one in card.data.eval_results}
    assert results == {"accuracy": ("accuracy", 0.75), "macro_f1": ("f1", 0.625)}
    assert {one.dataset_split for one in card.data.eval_results} == {"test"}
    assert card.text.startswith(f"{MARK}\n\n# insects\n")
    assert "right on **75.0%** of 20 images of test\n(95% interval 50.0% to 87.5%)" in card.text


def test_the_input_is_told_in_lines_that_can_be_used() -> None:
    text = model_card(facts())
    assert "size = (32, 24)" in text
    assert "ImageOps.fit(image, size" in text
    assert "24 x 32 pixels (height x width)" in text
    assert "Abstain below a confidence of **0.8750**" in text
    assert "Abstain below" not in model_card(facts(spec=ExportSpec(("a", "b"), (24, 32), confidence=None)))


def test_limits_say_which_artefacts_recognise_unlike_images() -> None:
    unknown = {"score": "neighbour", "threshold": 2.5}
    spec = ExportSpec(("a", "b", "c"), (24, 32), unknown=unknown)
    own, other = ARTEFACT | {"format": "onnx", "unknown": unknown}, ARTEFACT | {"format": "keras"}
    artefacts = [validated(ArtefactFacts, each, Path("export.json")) for each in (own, other)]
    told = " ".join(limits(facts(spec=spec, artefacts=artefacts, unknown_auroc=0.812)))
    assert "`unknown` is above 2.5. On classes that were left out of the fit, its AUROC was 0.812." in told
    assert "have no output `unknown`: keras." in told


def test_limits_name_small_absent_and_weak_classes_and_slices() -> None:
    slices = [
        {"slice": "camera", "value": name, "examples": 9, "intervals": ends, "metrics": {"accuracy": 0.3}}
        for name, ends in (("old", {"accuracy": [0.1, 0.7]}), ("new", {"accuracy": [0.1, 0.8]}), ("none", {}))
    ]
    strange = {"strange": 0.5, "threshold": 1.0}
    told = list(limits(facts(evaluations={"test": evaluation(("a", "b"), slices=slices, out_of_distribution=strange)})))
    assert told[0] == f"These classes have fewer than {FEW} training images each: ant (40)."
    assert told[1] == "These classes were not evaluated, as test has no image of them: a."
    assert told[2] == "The classes of the lowest recall on test: b (10.0%)."
    assert told[3] == "It is worse on a part of test, camera old: accuracy 0.3000."
    assert told[4].startswith("50.0% of the images of test are out of distribution")
    assert len(told) == 5
    both = facts(evaluations={"validation": evaluation(("a", "b")), "test": evaluation(("c", "d"))})
    assert not any("validation" in one for one in limits(both))
    alone = facts(evaluations={"validation": evaluation(("a", "b"))})
    assert "The classes of the lowest recall on validation: b (10.0%)." in limits(alone)
    blind = facts(spec=ExportSpec(("a", "b"), (24, 32), confidence=None), evaluations={}, counts={})
    told = list(limits(blind))
    assert told[0].startswith("It was exported without an evaluation")
    assert "with abstention it answers nothing" in told[1]


def test_limits_say_what_other_readers_of_the_images_do_differently() -> None:
    told = RECORD | {"data": RECORD["data"] | {"notes": {"profile": 7}}}
    noted = facts(record=validated(RunFacts, told, Path("run.json")))
    assert any(one.startswith("7 of its images had a colour profile other than sRGB.") for one in limits(noted))
    stretched = facts(spec=ExportSpec(("a", "b"), (24, 32), levels="stretch"))
    assert any("`serve_bytes` refuses PNG files of 16 bits" in one for one in limits(stretched))


def test_limits_hide_no_class_behind_others_as_weak_and_end() -> None:
    def found(recalls: list[float]) -> list[str]:
        rows = [
            {"label": f"c{n}", "precision": None, "recall": recall, "f1": None, "support": 5}
            for n, recall in enumerate(recalls)
        ]
        told = {"test": evaluation((), per_class=rows)}
        return list(limits(facts(evaluations=told, counts={row["label"]: {"train": 3} for row in rows})))

    assert found([0, 0, 0, 0, 0.5])[1].endswith("on test: c0 (0.0%), c1 (0.0%), c2 (0.0%), c3 (0.0%).")
    assert found([0.5, 0.6, 1, 1])[1] == "The classes of the lowest recall on test: c0 (50.0%), c1 (60.0%)."
    assert len(found([1, 1, 1])) == 1
    assert [line.count("(") for line in found([0.0] * 30)] == [20, 20]
    assert all(line.endswith(" and 10 more.") for line in found([0.0] * 30))


def test_images_that_the_run_learnt_from_are_told_and_kept_from_the_hub() -> None:
    known = {"known": {"train": 20}, "honest": {"accuracy": None}, "honest_examples": 0}
    card = model_card(facts(evaluations={"test": evaluation(("a", "b"), **known)}))
    told = "- The run or an ancestor trained on 20 of the 20 images of test: its metrics there are too optimistic.\n"
    assert told in card
    assert "its accuracy on new images is not known" in card
    assert ModelCard(card).data.eval_results is None


def test_the_honest_metrics_come_first_and_are_those_of_the_hub() -> None:
    honest = {"honest": {"accuracy": 0.25}, "honest_intervals": {"accuracy": [0.1, 0.5]}, "honest_examples": 8}
    card = model_card(facts(evaluations={"test": evaluation(("a", "b"), known={"train": 12}, **honest)}))
    assert "It is right on **25.0%** of 8 images of test that neither it nor an ancestor learnt from" in card
    assert "| accuracy | 0.2500 | 0.1000 to 0.5000 |" in card
    (result,) = ModelCard(card).data.eval_results
    assert (result.metric_name, result.metric_value) == ("accuracy", 0.25)


def test_an_evaluation_by_an_earlier_version_is_said_to_know_no_ancestors() -> None:
    card = model_card(facts(evaluations={"test": evaluation(("a", "b"), honest={})}))
    assert (
        "- The evaluation on test did not look for images that an ancestor learnt from: evaluate the run again.\n"
        in card
    )


def test_what_a_stranger_s_record_says_stays_text() -> None:
    data = {"fingerprint": "`\n# head\n<b>", "images": {"train": 1}}
    record = validated(RunFacts, RECORD | {"created": "\n# head", "data": data}, Path("run.json"))
    text = model_card(facts(record=record, evaluations={"<b>\n# head": evaluation(("a", "b"))}))
    assert not any(line.startswith("# head") for line in text.splitlines())
    assert "Fingerprint `' # head <b>` (of" in text
    assert "not evaluated, as \\<b\\> \\# head has no image of them" in text


@pytest.mark.parametrize("labels", [HOSTILE, ("a", "b")])
def test_names_from_elsewhere_stay_text(labels: tuple[str, ...]) -> None:
    text = model_card(facts(labels))
    body = re.sub("```.*?```", "", text, flags=re.DOTALL)
    assert "<script" not in body.replace("\\<script", "")
    assert "](" not in body.replace("\\](", "")
    assert not any(line.startswith("# head") for line in text.splitlines())
    assert "\x1b" not in text
    assert "\u202e" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.endswith("| 5 |")]
    assert len(rows) == len(labels)
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


def test_a_record_of_little_gives_a_card_of_little() -> None:
    text = model_card(facts(evaluations={}, artefacts=[]))
    assert "not evaluated when it was exported" in text
    assert "There is no artefact in the folder of this file." in text
    assert "**Cost**: not recorded, for 105 images." in text
    assert "There is no evaluation of this model." in text
    assert ModelCard(text).data.eval_results is None
    assert not {"None", "nan"} & set(text.split())


def test_hardware_is_told_in_words() -> None:
    machine = MachineFacts("Linux", "x86_64", 8, ["NVIDIA H100"])
    record = replace(facts().record, machine=machine, seconds={"train": 1.25})
    text = model_card(facts(record=record))
    assert "train 1.2 s, for 105 images, on 8 cores of a x86\\_64 processor (Linux), NVIDIA H100." in text
    assert str(replace(machine, devices=[])).endswith("no accelerator")


def test_the_command_cannot_leave_its_block() -> None:
    record = replace(facts().record, command="transfercli\n```\n# head")
    assert "    transfercli ``` # head\n" in model_card(replace(facts(), record=record))
