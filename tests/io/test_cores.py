"""Usable processor cores."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from transfercli.io.cores import usable_cores

LIMITED = """
import os
from transfercli.io.cores import usable_cores
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(usable_cores())
"""


def test_there_is_at_least_one_core_and_at_most_all_of_the_machine() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not bind processes to cores")
def test_cores_that_this_process_may_not_use_are_not_counted() -> None:
    assert subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True).stdout == "1\n"
