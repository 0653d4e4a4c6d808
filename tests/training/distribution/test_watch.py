"""Watch over the other processes: what ends a process, with which message, and what does not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.training.distribution.peers import LONG, Peer, met
from transfercli.errors import DataError, Interrupted, PeerLostError, TransferError
from transfercli.training.distribution import watch as watch_module
from transfercli.training.distribution.meeting import Meeting
from transfercli.training.distribution.watch import Watch, explained_errors, watching


@contextmanager
def watches(count: int = 2, timeout: float = LONG, signum: int = 0) -> Iterator[list[Watch]]:
    """Yield a watch of each of `count` processes, whose reporters are `Peer`s; the last one got the signal."""
    reporters = [Peer() for _ in range(count - 1)] + [Peer(signum)]
    with met(count) as meetings:
        each = [Watch(*pair, same) for pair in zip(meetings, [timeout] * count, reporters, strict=True)]
        yield each
        for watch in reversed(each):  # the first process waits a moment for the others
            watch.leave(PeerLostError("the test is over"))


def same(error: TransferError) -> TransferError:
    return error


def stopped(watch: Watch) -> TransferError:
    """Return the error by which the work of a watch's process is stopped."""
    assert isinstance(watch.reporter, Peer)
    return watch.reporter.stopped.result(LONG)


@pytest.mark.parametrize("lost, survivor", [(0, 1), (1, 0)])
def test_a_process_whose_connection_ends_is_lost(lost: int, survivor: int):
    with watches() as both:
        for link in both[lost].meeting.links.values():
            link.socket.shutdown(2)

        error = stopped(both[survivor])

    assert isinstance(error, PeerLostError)
    assert error.message == f"process {lost} of 2 (127.0.0.1) is lost: its connection ended"


@pytest.mark.parametrize("frozen, survivor", [(0, 1), (1, 0)])
def test_a_process_without_a_sign_of_life_is_lost_after_the_timeout(frozen: int, survivor: int):
    reporter = Peer()
    with met(2) as both:
        watch = Watch(both[survivor], 0.5, reporter, same)

        error = reporter.stopped.result(LONG)
        watch.leave(error)

    assert isinstance(error, PeerLostError)
    assert error.message == f"process {frozen} of 2 (127.0.0.1) is lost: no sign of life for 0.5 s"


def test_the_first_process_tells_the_others_who_is_lost():
    with watches(3) as each:
        each[1].meeting.links[0].socket.shutdown(2)

        assert stopped(each[2]).message.startswith("process 1 of 3 is lost")


def test_signs_of_life_keep_a_training_alive_longer_than_the_timeout():
    with watches(timeout=0.5) as both:
        assert all(watch.outlasts(1.0) for watch in both)


def test_a_signal_to_one_process_stops_them_all():
    with watches(3, signum=signal.SIGINT) as each:
        errors = [stopped(watch) for watch in each[:2]]

    assert [error.signum for error in errors if isinstance(error, Interrupted)] == [signal.SIGINT, signal.SIGINT]


def test_a_process_that_fails_stops_the_others_with_its_exit_code():
    with watches(3) as each:
        each[1].leave(DataError("images are missing"))

        errors = [stopped(each[0]), stopped(each[2])]

    assert isinstance(errors[0], PeerLostError)
    assert errors[0].message == "process 1 of 3 (127.0.0.1) ended with exit code 4; its messages say why"
    assert errors[1].message == "process 1 of 3 ended with exit code 4; its messages say why"


def test_a_process_that_was_stopped_stops_the_others_by_the_same_signal():
    with watches() as both:
        both[0].leave(Interrupted(signal.SIGTERM))

        error = stopped(both[1])

    assert isinstance(error, Interrupted)
    assert error.signum == signal.SIGTERM


def test_a_process_that_reaches_no_safe_point_is_ended_with_the_described_error(monkeypatch):
    monkeypatch.setattr(watch_module, "GRACE_SECONDS", 0.0)
    reporter = Peer()
    with met(2) as both:
        Watch(both[0], LONG, reporter, lambda error: PeerLostError(f"{error}; the run is kept"))
        both[1].links[0].close()

        error = reporter.ended.result(LONG)

    assert str(error) == "process 1 of 2 (127.0.0.1) is lost: its connection ended; the run is kept"


def test_processes_wait_for_each_other_at_the_end():
    with watches(3) as each, ThreadPoolExecutor(3) as pool:
        ends = [pool.submit(watch.finish, lambda: None) for watch in each]
        for end in ends:
            end.result(LONG)

        assert all(watch.reason is None for watch in each)


def test_a_process_that_dies_before_the_others_have_done_their_work_is_lost():
    with watches() as both, ThreadPoolExecutor(1) as pool:
        end = pool.submit(both[0].finish, lambda: None)
        both[1].meeting.links[0].socket.shutdown(2)

        with pytest.raises(PeerLostError, match="its connection ended"):
            end.result(LONG)


def test_bytes_that_are_no_message_end_the_connection():
    with watches() as both:
        both[1].meeting.links[0].socket.send(b"\x00" * 24)

        assert "its connection ended" in stopped(both[0]).message


def test_an_error_that_follows_from_the_end_of_another_process_is_explained():
    def train(meeting: Meeting) -> None:
        with watching(meeting, LONG, Peer(), same), explained_errors():
            raise RuntimeError("Gloo all-reduce failed: Connection closed by peer")

    with met(2) as (one, other):
        other.links[0].close()
        with pytest.raises(PeerLostError, match="its connection ended") as raised:
            train(one)

    assert isinstance(raised.value.__cause__, RuntimeError)


def test_an_error_of_this_process_stays_what_it_is():
    with watches() as both:
        broken = ZeroDivisionError("of this process")

        assert both[0].explained(broken) is broken
        assert both[0].explained(error := DataError("no images")) is error


def test_without_other_processes_errors_pass():
    with pytest.raises(ZeroDivisionError), explained_errors():
        raise ZeroDivisionError
