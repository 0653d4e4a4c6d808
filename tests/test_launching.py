"""The files of docs/guides/launching: their syntax, their commands, and runs with stubs for the cluster's programs."""

from __future__ import annotations

import re
import shlex
import shutil
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

    def run(self, file: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.tools}:/usr/bin:/bin", "CODES": str(self.codes), "USER": "u"}
        environment |= {"TMPDIR": str(self.folder / "tmp"), "SLURM_JOB_ID": "7", **variables}
        command = ["bash", str(PLACE / file), *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

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
    (stubs.codes / "cache").write_text("8")
    assert stubs.run("train.sbatch", "flowers.yaml").returncode == 8


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


def test_one_host_gives_each_shard_a_device_and_ends_with_the_worst_code(stubs: Stubs) -> None:
    stubs._write("transfercli", '#!/bin/bash\necho "$CUDA_VISIBLE_DEVICES $*"\n[ "${@: -1}" != 2/3 ] || exit 4\n')
    done = stubs.run("one-host.sh", "3", "predict", "flowers", "photos")
    assert done.returncode == 4
    assert [(stubs.folder / "shards" / f"{number}.out").read_text() for number in (1, 2, 3)] == [
        f"{number - 1} predict flowers photos --shard {number}/3\n" for number in (1, 2, 3)
    ]
