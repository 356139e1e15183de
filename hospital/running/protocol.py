"""What a ward and its parent say to each other: frames of JSON over a stream socket.

A frame is its length in four bytes, big endian, and a JSON array whose first element is a word.

Parent to ward:

===========  =====================================================================
``load``     names, sys.path, modules not to import (name → reason)
``run``      the most threads; works, each its number and the ids of its checks in order
``drop``     forget what has not started
``lose``     number of a work: begin nothing more of it
``fork``     (to a zygote, with four descriptors) fork a ward with them
``bye``      end
===========  =====================================================================

Ward to parent:

============  =====================================================================
``loading``   module, file: about to be imported
``loaded``    checks, problems, files looked at, whether it can fork
``started``   number of the work, id, phase, thread, monotonic time
``finished``  number of the work, outcome
``ended``     number of the work
``failed``    number of the work, reason: the ward could not run it
``dropped``   numbers of the works that will not run
``output``    id, text that the check printed
``tick``      nothing: it is alive
``forked``    (zygote) number of the ward, pid
``gone``      (zygote) pid, wait status
============  =====================================================================
"""

import json
import signal
import struct
from collections.abc import Iterator
from typing import Any

from hospital.errors import WardError

# Descriptors in a ward. Above 20, so that a check which closes "all" low ones does not cut its
# ward off.
CHANNEL_FD = 31
LIFELINE_FD = 32
DUMP_FD = 33
LOWEST_SPARE_FD = 40

TICK_S = 0.1
DUMP_SIGNAL: int = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
LARGEST_FRAME = 64 * 1024 * 1024
LOST_CHANNEL_EXIT = 77

_HEAD = struct.Struct(">I")
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode

Frame = list[Any]


def encode(*frame: object) -> bytes:
    """Return *frame* as bytes on the wire."""
    body = _to_json(frame).encode()
    return _HEAD.pack(len(body)) + body


class Decoder:
    """Turn bytes as they come into frames.

    >>> decoder = Decoder()
    >>> wire = encode("tick") + encode("ended", 7)
    >>> [list(decoder.feed(wire[:9])), list(decoder.feed(wire[9:]))]
    [[], [['tick'], ['ended', 7]]]
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield each frame that is complete.

        Raises:
            WardError: If the bytes are no frames; something else wrote to the channel.
        """
        self._held += data
        start = 0
        try:
            while len(self._held) - start >= _HEAD.size:
                (length,) = _HEAD.unpack_from(self._held, start)
                if length > LARGEST_FRAME:
                    raise WardError("a ward sent a frame of", f"{length} bytes")
                end = start + _HEAD.size + length
                if end > len(self._held):
                    break
                yield _parse(bytes(self._held[start + _HEAD.size : end]))
                start = end
        finally:
            del self._held[:start]


def _parse(body: bytes) -> Frame:
    try:
        frame = _from_json(body.decode())
    except (ValueError, RecursionError):
        raise WardError("a ward sent what is no JSON") from None
    if not isinstance(frame, list) or not frame or not isinstance(frame[0], str):
        raise WardError("a ward sent what is no frame")
    return frame
