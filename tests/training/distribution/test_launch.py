import pytest

from transfercli.errors import UsageError
from transfercli.training.distribution.launch import Launch, launch

KERAS = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:1234,10.0.0.2:1234",
    "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    "KERAS_DISTRIBUTION_PROCESS_ID": "1",
}
SLURM = {
    "SLURM_JOB_ID": "4100",
    "SLURM_STEP_NODELIST": "node[07-08,12]",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_TASKS_PER_NODE": "1(x3)",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
}


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, None),
        (KERAS, Launch("10.0.0.1:1234", 2, 1)),
        ({**KERAS, "KERAS_DISTRIBUTION_NUM_PROCESSES": "1"}, None),
        (SLURM, Launch("node07:61444", 3, 2)),
        ({**SLURM, "SLURM_STEP_NODELIST": "a-1,b-2"}, Launch("a-1:61444", 3, 2)),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "2,1", "SLURM_LOCALID": "1"}, Launch("node07:61444", 3, 2, 1)),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        # In the script of a batch job, outside of srun, one process runs.
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),
        ({**SLURM, "KERAS_DISTRIBUTION_JOB_ADDRESSES": "h:9"}, Launch("h:9", 3, 2)),
        (
            {
                "OMPI_COMM_WORLD_SIZE": "2",
                "OMPI_COMM_WORLD_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_MCA_orte_hnp_uri": "40960.0;tcp://10.96.0.1,10.1.0.1:34911",
            },
            Launch("10.96.0.1:61450", 2, 1, 1),
        ),
        ({"JOB_COMPLETION_INDEX": "1"}, None),  # an indexed Job of shards
        (
            {
                "JOB_COMPLETION_INDEX": "1",
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": "job-0.set:9000",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "4",
            },
            Launch("job-0.set:9000", 4, 1),
        ),
    ],
)
def test_launch_is_found_in_the_environment(environment, expected):
    assert launch(environment) == expected


@pytest.mark.parametrize("name", KERAS)
def test_a_missing_variable_is_named(name):
    with pytest.raises(UsageError, match=f"{name} is not set") as error:
        launch({key: value for key, value in KERAS.items() if key != name})
    assert all(key in f"{error.value.message} {error.value.hint}" for key in KERAS)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"KERAS_DISTRIBUTION_PROCESS_ID": "2"}, "is 2, but there are 2 processes"),
        ({"KERAS_DISTRIBUTION_PROCESS_ID": "-1"}, "'-1', not a whole number"),
        ({"KERAS_DISTRIBUTION_NUM_PROCESSES": "two"}, "'two', not a whole number"),
        ({"KERAS_DISTRIBUTION_NUM_PROCESSES": "3"}, "2 addresses for 3 processes"),
        ({"KERAS_DISTRIBUTION_NUM_PROCESSES": "9" * 5000}, "not a whole number"),
        ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1"}, "not HOST:PORT"),
        ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "localhost:0"}, "not HOST:PORT"),
        ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "localhost:99999"}, "not HOST:PORT"),
        ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a" * 70 + ":9999"}, "not HOST:PORT"),
        ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a..b:9999"}, "not HOST:PORT"),
    ],
)
def test_an_invalid_variable_is_an_error(change, said):
    with pytest.raises(UsageError, match=said):
        launch({**KERAS, **change})


def test_open_mpi_without_an_address_asks_for_one():
    with pytest.raises(UsageError, match="KERAS_DISTRIBUTION_JOB_ADDRESSES is not set"):
        launch({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"})
