"""Champions by decision."""

from transfercli.runs import champions
from transfercli.runs.decisions import Decision


def crown(experiment, run_id, how="promoted"):
    champions.promote_run(experiment, Decision(how, "it was better", run_id, run_id))
