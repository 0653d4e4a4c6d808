"""Connection of JAX's processes, so that the end of one of them is ours to handle.

JAX 0.10 offers no public way to do that, so this module alone uses some of its internals.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
from functools import partial
from typing import Any

from transfercli.errors import PeerLostError
from transfercli.text import first_line
from transfercli.training.distribution.meeting import RESTART_HINT, Meeting, is_loopback
from transfercli.training.distribution.watch import GRACE_SECONDS, Watch

# JAX's own signs of life end a process without a word, so they come after ours: seconds beyond `peer_timeout`.
LATER_SECONDS = 3600
_ADDRESS = "transfercli/address"  # of the first process, in JAX's key-value store
_kept: list[Any] = []  # what must live as long as the process


def join(watch: Watch) -> None:
    """Connect JAX to the processes of the watch's meeting. Raises `PeerLostError` if JAX cannot."""
    import jax

    meeting, place = watch.meeting, watch.meeting.place
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)
    _hold_aborts(watch)
    try:
        jax.distributed.initialize(
            meeting.service,
            place.count,
            place.rank,
            local_device_ids=None if place.local is None else [place.local],
            cluster_detection_method="deactivate",
            coordinator_bind_address=meeting.listening,
            initialization_timeout=LATER_SECONDS,
            heartbeat_timeout_seconds=round(watch.timeout) + LATER_SECONDS,
            shutdown_timeout_seconds=round(watch.timeout),
        )
    except RuntimeError as error:  # XlaRuntimeError
        raise PeerLostError(
            f"process {place.rank} of {place.count} cannot join the others at {meeting.service}: {first_line(error)}",
            RESTART_HINT,
        ) from error
    _use_address(meeting)


def end_without_farewell(code: int) -> None:
    """Let this process end with an exit code as soon as it has printed its message.

    JAX would say farewell to all other processes, and abort if one is gone.
    """

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    atexit.register(end)


def _use_address(meeting: Meeting) -> None:
    """Let collective operations on processors use the address at which the others reach this process.

    By default they use that of the host's own name, which on Debian is 127.0.1.1.
    """
    from jax._src import distributed, xla_bridge
    from jax._src.lib import _jax

    client, address = distributed.global_state.client, meeting.address
    if meeting.place.rank == 0:
        client.key_value_set(_ADDRESS, address)
    elif is_loopback(address):  # on the host of the first process, which hosts beyond may reach, too
        address = client.blocking_key_value_get(_ADDRESS, LATER_SECONDS * 1000)
    collectives = _jax.make_gloo_tcp_collectives(distributed_client=client, hostname=address)
    make = partial(xla_bridge.make_cpu_client, collectives=collectives)
    xla_bridge.register_backend_factory("cpu", make, priority=0, fail_quietly=False)


def _hold_aborts(watch: Watch) -> None:
    """Keep a thread that calls `abort` from ending the process until the watch has had time to end it.

    JAX's threads abort when they lose the first process, and communication libraries may when they lose any.
    """

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def hold(number: int) -> None:
        if watch.outlasts(watch.timeout + GRACE_SECONDS):
            return  # nobody else is gone: `abort` goes on, and ends the process by the signal
        while True:
            signal.pause()

    _kept.append(hold)
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    set_handler(signal.SIGABRT, ctypes.cast(hold, ctypes.c_void_p))
