"""How a command stops: at a safe point, in time though there is none, and at once where it is asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from transfercli.cli.signals import StopRequest
from transfercli.errors import Interrupted, PeerLostError

# A command that never reaches a safe point: it waits for a pipe that nobody writes to.
DEAF = """
import os, sys
from transfercli.cli import signals
from transfercli.cli.runner import run_command
from transfercli.errors import Interrupted

signals.GRACE_SECONDS = float(sys.argv[1])

def work(console):
    console.describe_forced_stop(lambda signum: Interrupted(signum, "stopped; night is kept", "go on"))
    os.write(1, b"ready\\n")
    os.read(os.pipe()[0], 1)

run_command(work, print, as_json=True, quiet=False, verbose=False)
"""


def started(grace: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DEAF, str(grace)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_without_a_safe_point_ends_in_time_and_says_how_to_go_on(number: signal.Signals) -> None:
    with started(0.1) as process:
        process.send_signal(number)
        out, told = process.communicate()
    assert process.returncode == 128 + number
    assert told.decode().strip().splitlines()[-2:] == ["stopped; night is kept", "  resume: go on"]
    error = json.loads(out)["error"]
    assert (error["code"], error["hint"]) == (128 + number, "go on")


def test_a_second_signal_ends_it_at_once() -> None:
    with started(1000.0) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGTERM)
        while b"a second signal stops at once" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        told = process.stderr.read().decode()
    assert process.returncode == 143
    assert "stopped at once" in told


# A command in a collective operation, which waits for a process that is gone, while a thread learns of it.
WAITING = """
import os, threading
from transfercli.cli.runner import run_command
from transfercli.errors import PeerLostError

def work(console):
    lost = PeerLostError("process 1 of 2 is lost; night is kept", "start it again")
    threading.Thread(target=console.end, args=(lost,)).start()
    os.read(os.pipe()[0], 1)

run_command(work, print, as_json=True, quiet=False, verbose=False)
"""


def test_another_thread_ends_a_command_that_waits_for_a_lost_process() -> None:
    ended = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=False)

    assert ended.returncode == 75
    assert ended.stderr.splitlines() == ["stopped: process 1 of 2 is lost; night is kept", "  resume: start it again"]
    error = json.loads(ended.stdout)["error"]
    assert (error["code"], error["kind"], error["hint"]) == (75, "peer", "start it again")


def test_a_request_of_another_thread_ends_the_work_at_its_next_safe_point() -> None:
    stop = StopRequest()
    stop.request(lost := PeerLostError("process 1 of 2 is lost"))
    stop.request(PeerLostError("process 2 of 2 is lost"))

    with pytest.raises(PeerLostError) as raised:
        stop.check()

    assert raised.value is lost


def test_a_signal_is_noted_at_once_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    handles = len(os.listdir("/proc/self/fd"))
    stop = StopRequest()
    with stop.handling_signals():
        stop.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as stopped:
            stop.check()
    assert stopped.value.signum == signal.SIGTERM
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert len(os.listdir("/proc/self/fd")) == handles
