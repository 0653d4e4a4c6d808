"""Usage errors name what is meant."""

from __future__ import annotations

import json
import sys

import pytest

from transfercli.cli.app import main


@pytest.mark.parametrize(
    "words, hint",
    [
        ("train x.yaml", "did you mean transfercli finetune?"),
        ("fine-tune x.yaml", "did you mean transfercli finetune?"),
        ("test x", "did you mean transfercli evaluate?"),
        ("infer x", "did you mean transfercli predict?"),
        ("config lint", "did you mean transfercli config validate?"),
        ("runs ls", "did you mean transfercli runs list?"),
        ("nonsense", "transfercli --help lists what is allowed"),
        ("config nonsense", "transfercli config --help lists what is allowed"),
        ("finetune x.yaml --epochs 5", "did you mean --set training.epochs=VALUE?"),
        ("finetune x.yaml --lr=0.1", "did you mean --set training.optimizer.learning_rate=VALUE?"),
        ("pretrain x.yaml --batch-size 5", "did you mean --set data.batch_size=VALUE?"),
        ("finetune x.yaml --nonsense 5", "transfercli finetune --help lists what is allowed"),
        ("evaluate x --epochs 5", "transfercli evaluate --help lists what is allowed"),
        ("config init --example", "transfercli config init --list-examples lists the values"),
        ("bases list resnet51", "transfercli bases list lists what is allowed"),
        ("bases list --family x", "use one of the names in this message"),
        ("predict", "transfercli predict --help lists what is allowed"),
    ],
)
def test_a_word_of_another_program_is_understood(words: str, hint: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["transfercli", *words.split(), *["--json"] * (not words.endswith("--example"))])
    with pytest.raises(SystemExit) as stop:
        main()
    told = capsys.readouterr()
    assert stop.value.code == 2
    assert told.err.splitlines()[-1] == f"  hint: {hint}"
    assert not told.out or json.loads(told.out)["error"]["hint"] == hint
