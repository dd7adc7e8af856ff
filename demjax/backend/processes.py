"""Several processes at work on one run: how they find each other, and end where one dies.

Each sees all devices of all processes, and runs the same program on its own of them. Only the first
writes. JAX's own service notices a process that died after a minute and more, and then ends the
others without a word that a user could read; a connection that breaks is noticed at once.
"""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import jax
import numpy as np

PATIENCE = 60
"""Seconds that processes wait for each other to come."""
GRACE = 10
"""Seconds that a process has to end in order once another has died."""
SHOWN = 5.0
"""Seconds after a failure within which it shows whether it is that of another process."""
HEARD = 0.5
"""Seconds within which the others have heard that this one ends."""
SILENCE = 15
"""Seconds without an answer after which a machine counts as gone."""
WRONG, FAILED = 2, 1
_DONE, _DIED = 255, 254


@dataclass
class Together:
    """The processes of a run, as one of them sees them.

    Attributes:
        number: Which of them this is, from 0.
        count: How many there are.
        died: The first that was seen to die, if any.
        code: How the run ended here; but for 0 the others are not to go on.
        agreed: Whether all were asked to end, and this one did so in order, after the same round.
    """

    number: int
    count: int
    died: int | None = None
    code: int = FAILED
    agreed: bool = False
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _others: list[socket.socket] = field(default_factory=list)

    @property
    def writes(self) -> bool:
        """Whether this one writes the results."""
        return self.number == 0

    def sentence(self, wait: float = 0.0) -> str:
        """Which process died, if one has, or does so before long; else nothing."""
        until = time.monotonic() + wait
        while self.died is None and time.monotonic() < until:
            time.sleep(0.05)
        if self.died is None:
            return ""
        return (
            f"Process {self.died} of {self.count} ended before the run was done, so that all end; "
            "possible is to start them all again."
        )

    def _lost(self, number: int) -> None:
        with self._lock:
            if self._over.is_set() or self.died is not None:
                return
            self.died = number
        self._tell(_DIED, number)
        # Who writes has something to keep, but may wait for the dead one for ever. The others end
        # before JAX sees that the first is gone, for it would end them without a sentence.
        if not self.writes or not self._over.wait(GRACE):
            _end_now(self.sentence(), FAILED)

    def _tell(self, kind: int, number: int) -> None:
        for other in self._others:
            with suppress(OSError):
                other.sendall(struct.pack("!BI", kind, number))

    def _listen(self, other: socket.socket, number: int) -> None:
        """Wait for what a connection tells: the end of the run, or of a process."""
        try:
            told = other.recv(5, socket.MSG_WAITALL)
        except OSError:
            told = b""
        if len(told) == 5:
            kind, which = struct.unpack("!BI", told)
            if kind == _DONE:
                return
            number = which
        self._lost(number)


@contextmanager
def together(
    coordinator: str | None = None, count: int | None = None, number: int | None = None
) -> Iterator[Together]:
    """Join the other processes of a run, before anything is computed.

    Args:
        coordinator: ``host:port`` of the first of them; by default as JAX finds it out from Slurm,
            Open MPI, Kubernetes or a TPU pod, and the other two as well.
        count: How many there are.
        number: Which of them this is, from 0.

    Raises:
        ValueError: If nothing says who the others are. If they do not come within a minute, the
            process ends with a sentence and exit code 2, for JAX would end it without one.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # JAX would take SIGTERM for itself, by which schedulers end a run.
    jax.config.update("jax_enable_preemption_service", False)
    where = f"at {coordinator}" if coordinator else "of this job"
    waiting = threading.Timer(PATIENCE, _end_now, (_nobody(where, count, number), WRONG))
    waiting.daemon = True
    waiting.start()
    try:
        jax.distributed.initialize(coordinator, count, number, initialization_timeout=10 * PATIENCE)
    except (ValueError, RuntimeError) as error:
        said = next(iter(str(error).splitlines()), "")
        raise ValueError(
            f"The processes of this run cannot be joined ({said.rstrip('.')}); possible are "
            "--coordinator HOST:PORT --processes N --process-id I, or --distributed under Slurm, "
            "Open MPI or on a TPU pod."
        ) from None
    finally:
        waiting.cancel()
    seen = Together(jax.process_index(), jax.process_count())
    host = coordinator.rsplit(":", 1)[0] if coordinator else None
    with suppress(OSError):  # then JAX notices, later, what dies
        _connect(seen, host)
    try:
        yield seen
    finally:
        seen._over.set()
        # JAX would wait for the others, which shall end before this one is gone.
        if seen.code and not seen.agreed:
            seen._tell(_DIED, seen.number)
            time.sleep(HEARD)
    if seen.died is None and (seen.agreed or not seen.code):
        seen._tell(_DONE, 0)
        jax.distributed.shutdown()


def largest_of_all(number: int) -> int:
    """The largest of the numbers that all processes give, who all wait for it."""
    from jax.experimental import multihost_utils  # here, for it reads much of JAX

    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def _connect(seen: Together, host: str | None) -> None:
    """A connection of every process with the first, each with a thread that listens.

    Where the first has no address that others could know, there is none.
    """
    from jax.experimental import multihost_utils  # here, for it reads much of JAX

    server, mine = None, np.zeros(5, np.int32)
    if seen.number == 0:
        with suppress(OSError):
            own = "0.0.0.0" if host else socket.gethostbyname(socket.gethostname())
            server = socket.create_server(("", 0), backlog=seen.count)
            mine = np.array([*map(int, own.split(".")), server.getsockname()[1]], np.int32)
    *address, port = (int(n) for n in multihost_utils.broadcast_one_to_all(mine))
    if not port or (host is None and address[0] == 127):
        return
    if server is not None:
        server.settimeout(PATIENCE)
        for _ in range(seen.count - 1):
            other, _ = server.accept()
            (number,) = struct.unpack("!I", other.recv(4, socket.MSG_WAITALL))
            _follow(seen, other, number)
        server.close()
    else:
        place = (host or ".".join(map(str, address)), port)
        other = socket.create_connection(place, timeout=PATIENCE)
        other.sendall(struct.pack("!I", seen.number))
        _follow(seen, other, 0)


def _follow(seen: Together, other: socket.socket, number: int) -> None:
    other.settimeout(None)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", SILENCE), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # each system has its own of these
            other.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    seen._others.append(other)
    threading.Thread(target=seen._listen, args=(other, number), daemon=True).start()


def _nobody(where: str, count: int | None, number: int | None) -> str:
    missing = f"process 0 does not answer {where}" if number else f"not all processes came {where}"
    if count:
        missing += f", where {count} are expected"
    return (
        f"The run cannot begin: after {PATIENCE} seconds {missing}; possible is to start all of "
        "them within that time, with the same --coordinator and --processes."
    )


def _end_now(sentence: str, code: int) -> None:
    """Say why, and end whatever the other threads wait for."""
    print(f"demjax: {sentence}", file=sys.stderr, flush=True)
    os._exit(code)
