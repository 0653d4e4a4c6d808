"""`python -m tests.reliability.kills WHAT [COUNT]`: the figures of benchmarks/RESULTS.md, as JSON.

random COUNT: kills at random moments. full COUNT: a disk that is full from a random moment on, which is the one that
TMPDIR is on, so that should be a small one. calls [STEP]: a kill before every call that reaches the disk, and within
every write; or at every STEPth of them.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.trials import calls_of, check_full_disk, check_kills_at_calls, check_random_kills, write_world
from tests.reliability.zygote import Zygote

EXPERIMENT = "one"


def main() -> None:
    from transfercli.data.samples.writing import write_sample

    what, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        write_sample("digits", folder / "digits")
        write_world(folder, folder / "digits")
        started = time.monotonic()
        with Zygote(folder) as zygote:
            if what == "calls":
                calls = list(enumerate((kind for kind, _ in calls_of(zygote, EXPERIMENT)), start=1))[::count]
                count = len(calls) + sum(kind == "write" for _, kind in calls)
                found = check_kills_at_calls(zygote, EXPERIMENT, calls)
            else:
                check = {"random": check_random_kills, "full": check_full_disk}[what]
                found = check(zygote, EXPERIMENT, count, random.Random(0))
        told = {"trials": count, "seconds": round(time.monotonic() - started), "complaints": found}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
