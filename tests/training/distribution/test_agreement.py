"""Agreement of two processes, played one after the other on a key-value store in memory."""

from itertools import count

import numpy as np
import pytest

from transfercli.errors import BusyError, ConfigError, Interrupted, PeerLostError, SplitsChangedError
from transfercli.training.distribution import agreement, caches
from transfercli.training.distribution.processes import Processes


class Store(dict):
    """The part of JAX's coordination service that is used."""

    def key_value_set_bytes(self, key, value):
        assert key not in self
        self[key] = value

    def blocking_key_value_get_bytes(self, key, milliseconds):
        if key not in self:
            raise RuntimeError(f"DEADLINE_EXCEEDED: no {key} in {milliseconds} ms")
        return self[key]

    def key_value_dir_get_bytes(self, prefix):
        return [(key, value) for key, value in self.items() if key.startswith(prefix)]

    def key_value_delete(self, prefix):
        for key in [key for key in self if key.startswith(prefix)]:
            del self[key]


class Stuck(Exception):
    """Raised by a wait that would go on."""


def stuck():
    raise Stuck


@pytest.fixture
def become(monkeypatch):
    """Return a function that goes on as the process of a rank, among two."""
    store, counters = Store(), {rank: count() for rank in range(2)}

    def become(rank):
        for module in (agreement, caches):
            monkeypatch.setattr(module, "processes", lambda: Processes(rank, 2, 2))
        monkeypatch.setattr(agreement, "_number", counters[rank])
        monkeypatch.setattr(agreement, "_store", lambda: store)
        return store

    return become


def test_alone_nothing_is_sent():
    assert agreement.from_chief(lambda: (1, 2)) == (1, 2)
    assert agreement.all_of("a") == ["a"]
    assert agreement.any_of(np.array([True, False])).tolist() == [True, False]


def test_the_first_process_decides(become):
    become(0)
    assert [agreement.from_chief(lambda: {"rate": 0.1}), agreement.from_chief(lambda: 3)] == [{"rate": 0.1}, 3]
    become(1)
    assert [agreement.from_chief(stuck), agreement.from_chief(stuck)] == [{"rate": 0.1}, 3]


def test_a_wait_can_be_stopped(become):
    become(1)
    with pytest.raises(Stuck):
        agreement.from_chief(dict, stuck)


ERRORS = [
    ConfigError("bad", "mend it"),
    BusyError("busy"),
    SplitsChangedError("other splits"),
    PeerLostError("process 1 is lost"),
    Interrupted(15, "stopped", "go"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_ends_the_wait_of_the_others(become, error):
    become(0)
    with pytest.raises(type(error)), agreement.failing_together():
        raise error
    become(1)
    with pytest.raises(type(error)) as raised, agreement.failing_together():
        agreement.from_chief(dict, stuck)
    assert (raised.value.message, raised.value.hint) == (error.message, error.hint)
    assert getattr(raised.value, "signum", None) == getattr(error, "signum", None)


def test_a_large_file_is_sent_in_parts(become, monkeypatch):
    monkeypatch.setattr(agreement, "CHUNK", 3)
    content = bytes(range(10))
    store = become(0)
    with pytest.raises(Stuck):  # until the other process has read it
        agreement.bytes_from_chief(content, stuck)
    assert len(store) == 6  # four parts, the size, and that the first process is there
    become(1)
    assert agreement.bytes_from_chief(None, stuck) == content


def test_any_of_joins_what_processes_lack(become):
    store = become(0)
    with pytest.raises(Stuck):
        agreement.any_of(np.array([True, False, False]), stuck)
    become(1)
    assert agreement.any_of(np.array([False, False, True]), stuck).tolist() == [True, False, True]
    assert len(store) == 2


def test_one_of_the_processes_with_the_same_cache_writes_it(become, tmp_path, monkeypatch):
    for folders, expected in (((tmp_path, tmp_path), False), ((tmp_path / "a", tmp_path / "b"), True)):
        monkeypatch.setattr(caches, "_keeps", {})
        monkeypatch.setattr(caches, "from_chief", lambda *_: "job")
        (folders[0]).mkdir(exist_ok=True)
        (folders[0] / ".process-job-0").touch()
        monkeypatch.setattr(caches, "meet", lambda *_: None)
        become(1)
        assert caches.keeps(folders[1]) is expected
        (folders[0] / ".process-job-0").unlink()
        assert [path.name for path in folders[1].iterdir() if path.name.startswith(".")] == []
