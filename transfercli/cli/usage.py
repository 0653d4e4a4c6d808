"""Usage errors: unknown commands and options, with what is meant by those of other programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from transfercli.cli.runner import json_line
from transfercli.io.versioned import versioned

# Command here -> its names in other programs.
COMMANDS_ELSEWHERE = {
    "finetune": "train fit tune fine-tune fine_tune",
    "evaluate": "test eval score",
    "predict": "infer inference classify detect",
    "config init": "init new create",
    "config validate": "lint validate check-config",
    "data check": "check analyze",
    "runs list": "ls list ps history",
    "runs compare": "compare diff",
    "runs why": "why explain attribute",
    "runs prune": "gc clean rm",
}
# Option -> the command that lists its values.
LISTED_BY = {
    "--example": "transfercli config init --list-examples",
    "--base": "transfercli bases list",
    "--set": "transfercli config show CONFIG",
    "--resume": "transfercli runs list",
}


def print_usage_error(error: Any, group: Any) -> int:
    """Print a usage error on stderr, with `--json` also as JSON on stdout; return exit code 2.

    group: the root of the commands, to find the one that the user typed.
    """
    message = error.format_message().replace("Value error, ", "")  # the prefix that pydantic adds
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
        return 2
    words = _command_words(group, sys.argv[1:])
    command = " ".join(("transfercli", *words))
    hint = _meaning(message, words) or _lister(message) or f"{command} --help lists what is allowed"
    if "No such command" in message and hint.startswith("did you mean"):
        message = message.partition(" Did you mean")[0]
    print(f"error: {message}\n  hint: {hint}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json_line(versioned({"error": {"code": 2, "kind": "usage", "message": message, "hint": hint}})))
    return 2


def _command_words(group: Any, arguments: Sequence[str]) -> list[str]:
    """Return the words that name a command, such as `config init`."""
    words: list[str] = []
    for argument in arguments:
        commands = getattr(group, "commands", {})
        if argument not in commands:
            break
        words.append(argument)
        group = commands[argument]
    return words


def _meaning(message: str, words: Sequence[str]) -> str:
    """Return a hint for a word of another program, or for an option without its value; "" if there is none."""
    named = re.match(r"No such (command|option):? '?([^' ]+?)'?[.'\s]*(?: Did|$| \()", message)
    if named and named[1] == "command":
        return _command_meaning(named[2], words)
    if named:
        return _option_meaning(named[2], words)
    without_value = re.match(r"Option '(--[\w-]+)'.*requires an argument", message)
    if without_value and without_value[1] in LISTED_BY:
        return f"{LISTED_BY[without_value[1]]} lists the values"
    return ""


def _lister(message: str) -> str:
    """Return the hint for a value that is not allowed, if the message has the allowed ones or their command, or ""."""
    command = re.search(r"is not one of the names that `(.+?)` prints", message)
    if command:
        return f"{command[1]} lists what is allowed"
    return "use one of the names in this message" if re.search(r"is not one of '", message) else ""


def _command_meaning(word: str, words: Sequence[str]) -> str:
    for command, names in COMMANDS_ELSEWHERE.items():
        group = command.rpartition(" ")[0]
        if word.lower() in names.split() and (not words or group == " ".join(words)):
            return f"did you mean transfercli {command}?"
    return ""


def _option_meaning(option: str, words: Sequence[str]) -> str:
    """Return the `--set` that sets the key of a config that an option of this name sets in other programs."""
    if " ".join(words) not in ("finetune", "pretrain", "retrain"):
        return ""
    from transfercli.config.error_messages import key_named

    key = key_named(option.lstrip("-").partition("=")[0].replace("-", "_"))
    return f"did you mean --set {key}=VALUE?" if key else ""
