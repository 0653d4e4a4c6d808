"""The files of docs/guides/launching: their syntax, their commands, and runs with stubs for the cluster's programs."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_docs import unknown

PLACE = Path(__file__).parents[1] / "docs" / "guides" / "launching"
SHELL = sorted([*PLACE.glob("*.sbatch"), *PLACE.glob("*.sh")])
MANIFESTS = sorted(PLACE.glob("*.yaml"))
# Prints its words, and exits with the code that the file of the same name says, once.
PROGRAM = """#!/bin/bash
echo "$(basename "$0") $*"
[ -z "${TRANSFERCLI_CACHE:-}" ] || echo row >>"$TRANSFERCLI_CACHE/rows"
code=$(cat "$CODES/$1" 2>/dev/null || echo 0)
rm -f "$CODES/$1"
exit "$code"
"""

# Says when it is there, and ends with 143 after SIGTERM, as the program does.
STOPPED = """#!/usr/bin/env python3
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("stopped", flush=True), sys.exit(143)))
print("computing", file=sys.stderr, flush=True)
signal.pause()
"""


def commands_of(text: str) -> list[list[str]]:
    """Return the words of every `transfercli COMMAND …` in a script or a manifest."""
    joined = text.replace("\\\n", " ")
    shown = re.findall(r"(?:^\s*(?:srun )?|&&\s+)transfercli ([a-z][^\n>|&;]*)", joined, re.MULTILINE)
    return [shlex.split(command) for command in shown]


def in_manifest(document: Any) -> list[list[str]]:
    if isinstance(document, list):
        return [words for part in document for words in in_manifest(part)]
    if not isinstance(document, dict):
        return []
    command = [*document.get("command", []), *document.get("args", [])] if "image" in document else []
    own = [command[1:]] if command[:1] == ["transfercli"] else [w for text in command for w in commands_of(text)]
    return own + [words for part in document.values() for words in in_manifest(part)]


@pytest.mark.parametrize("file", SHELL, ids=lambda file: file.name)
def test_scripts_are_shell_and_their_commands_exist(file: Path) -> None:
    subprocess.run(["bash", "-n", file], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", file], check=True)
    examples = re.findall(r"^#   .*\.(?:sbatch|sh) (?:\d+ )?(.*)$", file.read_text(), re.MULTILINE)
    given = [shlex.split(example) for example in examples]
    whole = [words if words[0] in {"data", "evaluate", "predict"} else ["finetune", *words] for words in given]
    assert whole
    for words in [*commands_of(file.read_text()), *whole]:
        assert unknown([word for word in words if not word.startswith("$")]) == [], words


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifests_are_valid_and_their_commands_exist(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    jobs = [document] if document["kind"] == "Job" else [job["template"] for job in document["spec"]["replicatedJobs"]]
    found = in_manifest(document)
    assert found
    for words in found:
        assert unknown(list(words)) == [], words
    for job in jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]
        }
        assert job["spec"]["completions"] == job["spec"]["parallelism"]
        assert job["spec"]["completionMode"] == "Indexed"
    validate = pytest.importorskip("kubernetes_validate")
    for job in jobs:
        whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": job["spec"]}
        validate.validate(whole, validate.latest_version(), strict=True)


def test_the_processes_of_the_job_set_find_each_other() -> None:
    from transfercli.training.distribution.launch import launch

    document = yaml.safe_load((PLACE / "train-jobset.yaml").read_text())
    (workers,) = document["spec"]["replicatedJobs"]
    (container,) = workers["template"]["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]} | {"JOB_COMPLETION_INDEX": "3"}
    found = launch(environment)
    assert found is not None
    assert (found.count, found.rank) == (workers["template"]["spec"]["completions"], 3)
    name = document["metadata"]["name"]
    assert found.address.startswith(f"{name}-{workers['name']}-0-0.{name}:")


class Stubs:
    """A working folder with stubs of `transfercli`, `srun` and `scontrol`, which write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tools, self.codes = folder, folder / "bin", folder / "codes"
        for path in (self.tools, self.codes, folder / "tmp"):
            path.mkdir()
        self._write("transfercli", PROGRAM)
        self._write("srun", '#!/bin/bash\nexec "$@"\n')
        self._write("scontrol", '#!/bin/bash\necho "$*" >>requeued\n')

    def _write(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        environment = {"PATH": f"{self.tools}:/usr/bin:/bin", "CODES": str(self.codes), "USER": "u"}
        return environment | {"TMPDIR": str(self.folder / "tmp"), "SLURM_JOB_ID": "7", **variables}

    def run(self, file: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command, environment = ["bash", str(PLACE / file), *words], self._environment(variables)
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def started(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        environment = self._environment(variables)
        return subprocess.Popen(command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True)

    @property
    def requeued(self) -> str:
        return (self.folder / "requeued").read_text() if (self.folder / "requeued").exists() else ""


@pytest.fixture
def stubs(tmp_path: Path) -> Stubs:
    return Stubs(tmp_path)


@pytest.mark.parametrize("code, again", [(0, ""), (75, "requeue 7\n"), (143, "requeue 7\n"), (3, ""), (5, "")])
def test_a_training_is_queued_again_if_that_goes_on(code: int, again: str, stubs: Stubs) -> None:
    (stubs.codes / "finetune").write_text(str(code))
    (stubs.folder / "tmp" / "transfercli-u").mkdir()
    done = stubs.run("train.sbatch", "flowers.yaml", "--set", "seed=1")
    assert (done.returncode, stubs.requeued) == (code, again)
    assert done.stdout == "transfercli finetune flowers.yaml --set seed=1 --run-id slurm-7 --wait 600\n"


def test_a_training_merges_the_caches_of_complete_shards_first_and_gives_up_in_the_end(stubs: Stubs) -> None:
    for name in ("00001", "00002", "00003.part"):
        (stubs.folder / "caches" / name).mkdir(parents=True)
    (stubs.folder / "tmp" / "transfercli-u").mkdir()
    (stubs.codes / "finetune").write_text("75")
    done = stubs.run("train.sbatch", "flowers.yaml", SLURM_RESTART_COUNT="50")
    assert done.stdout.startswith("transfercli cache merge caches/00001/ caches/00002/\ntransfercli finetune")
    assert (done.returncode, stubs.requeued) == (75, "")
    for code, again in ((8, ""), (143, "requeue 7\n")):
        (stubs.codes / "cache").write_text(str(code))
        done = stubs.run("train.sbatch", "flowers.yaml")
        assert (done.returncode, stubs.requeued) == (code, again)
        assert "finetune" not in done.stdout


def test_a_shard_keeps_its_output_and_its_cache_once_it_is_complete(stubs: Stubs) -> None:
    place = {"SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "4"}
    (stubs.codes / "data").write_text("143")
    done = stubs.run("shards.sbatch", "data", "features", "flowers.yaml", **place)
    assert (done.returncode, stubs.requeued) == (143, "requeue 9_2\n")
    assert not (stubs.folder / "shards-9" / "00002.out").exists()
    done = stubs.run("shards.sbatch", "data", "features", "flowers.yaml", **place)
    assert done.returncode == 0, done.stderr
    assert (stubs.folder / "shards-9" / "00002.out").read_text() == (
        "transfercli data features flowers.yaml --shard 2/4\n"
    )
    # The second start went on with what the first one had made.
    assert (stubs.folder / "caches" / "00002" / "rows").read_text() == "row\nrow\n"
    assert [path.name for path in (stubs.folder / "caches").iterdir()] == ["00002"]
    assert list((stubs.folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("task", [{"MIN": "3", "MAX": "3", "COUNT": "1"}, {"MIN": "0", "MAX": "3", "COUNT": "4"}])
def test_one_shard_is_submitted_again_with_the_number_of_all(task: dict[str, str], stubs: Stubs) -> None:
    place = {f"SLURM_ARRAY_TASK_{name}": value for name, value in task.items()}
    place |= {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    refused = stubs.run("shards.sbatch", "data", "features", "flowers.yaml", **place)
    assert refused.returncode == 2
    assert "--array=1-N" in refused.stderr
    done = stubs.run("shards.sbatch", "data", "features", "flowers.yaml", **place, SHARDS="8", RESULTS="shards-9")
    assert done.returncode == 0, done.stderr
    assert (stubs.folder / "shards-9" / "00003.out").read_text().endswith("--shard 3/8\n")


def test_one_host_gives_each_shard_a_device_and_ends_with_the_worst_code(stubs: Stubs) -> None:
    stubs._write("transfercli", '#!/bin/bash\necho "$CUDA_VISIBLE_DEVICES $*"\n[ "${@: -1}" != 2/3 ] || exit 4\n')
    done = stubs.run("one-host.sh", "3", "predict", "flowers", "photos")
    assert done.returncode == 4
    for name in ("1.out", "2.part", "3.out"):
        number = int(name[0])
        text = (stubs.folder / "shards" / name).read_text()
        assert text == f"{number - 1} predict flowers photos --shard {number}/3\n"
    assert sorted(path.name for path in (stubs.folder / "shards").iterdir()) == ["1.out", "2.part", "3.out"]


def test_one_host_hands_a_signal_on_to_its_shards(stubs: Stubs) -> None:
    stubs._write("transfercli", STOPPED)
    with stubs.started("bash", str(PLACE / "one-host.sh"), "2", "predict", "flowers", "photos") as process:
        for _ in range(2):
            assert process.stderr is not None
            assert process.stderr.readline() == "computing\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    assert sorted(path.name for path in (stubs.folder / "shards").iterdir()) == ["1.part", "2.part"]
    assert (stubs.folder / "shards" / "1.part").read_text() == "stopped\n"


def test_a_pod_hands_a_signal_on_to_its_shard_and_keeps_whole_answers_only(stubs: Stubs) -> None:
    document = yaml.safe_load((PLACE / "shards-job.yaml").read_text())
    (container,) = document["spec"]["template"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    stubs._write("transfercli", STOPPED)
    with stubs.started(*command, JOB_COMPLETION_INDEX="3") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "computing\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    assert [path.name for path in (stubs.folder / "answers").iterdir()] == ["3.part"]
    stubs._write("transfercli", PROGRAM)
    with stubs.started(*command, JOB_COMPLETION_INDEX="3") as process:
        assert process.wait(timeout=20) == 0
    assert (stubs.folder / "answers" / "3.jsonl").read_text() == (
        "transfercli predict flowers@champion photos --shard 4/8\n"
    )
    (stubs.codes / "predict").write_text("4")
    with stubs.started(*command, JOB_COMPLETION_INDEX="4") as process:
        assert process.wait(timeout=20) == 4
    assert not (stubs.folder / "answers" / "4.jsonl").exists()


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifests_give_up_on_errors_that_stay(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    jobs = [document] if document["kind"] == "Job" else [job["template"] for job in document["spec"]["replicatedJobs"]]
    for job in jobs:
        rules = job["spec"]["podFailurePolicy"]["rules"]
        (final,) = [rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob"]
        assert {2, 3, 4, 5, 6, 7} <= set(final)
        assert not {75, 137, 143} & set(final)
    if document["kind"] == "JobSet":
        rule = {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
        assert document["spec"]["failurePolicy"]["rules"] == [rule]
