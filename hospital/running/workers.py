"""Threads that take works from a queue; as many as are needed, none that stops the process."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hospital.errors import HospitalError
from hospital.running.connections import own_connections

Item = TypeVar("Item")

STACK_SIZE = 8 * 1024 * 1024
"""Bytes of stack of each thread, taken from the system only as they are used. With less than
4 MB a deep recursion through C ends the process (measured on 3.11 to 3.13)."""

_IDLE_S = 5.0


class Workers(Generic[Item]):
    """Run a function on items, up to *most* at a time.

    Args:
        most: The most threads.
        run: Called with an item in a thread; must not raise.
        name: What the threads are called.
    """

    def __init__(self, most: int, run: Callable[[Item], None], name: str) -> None:
        self._most = most
        self._run = run
        self._name = name
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def put(self, item: Item) -> None:
        """Let a thread run *item* as soon as there is one.

        Raises:
            HospitalError: If not even one thread can be started.
        """
        self._items.put(item)
        with self._lock:
            if self._threads >= self._most or self._idle >= self._items.qsize():
                return
            self._threads += 1
        try:
            self._start()
        except RuntimeError as error:
            with self._lock:
                self._threads -= 1
                if self._threads > 0:  # one of those will come to it
                    return
            self._items.get_nowait()
            raise HospitalError(
                "cannot start a thread:", str(error), "raise the limit of processes or memory"
            ) from error

    def drop(self) -> list[Item]:
        """Take back what has not begun, and return it."""
        dropped = []
        while True:
            try:
                dropped.append(self._items.get_nowait())
            except queue.Empty:
                return dropped

    def give_up_one(self) -> None:
        """Count one thread as lost, so that another may take its place."""
        with self._lock:
            self._threads -= 1

    def put_back_one(self) -> None:
        """Count a thread that was given up again: it has come back."""
        with self._lock:
            self._threads += 1

    def _start(self) -> None:
        before = threading.stack_size(STACK_SIZE)
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        finally:
            threading.stack_size(before)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                item = self._items.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    self._idle -= 1
                    if self._items.empty():
                        self._threads -= 1
                        return
                continue
            with self._lock:
                self._idle -= 1
            with own_connections():
                self._run(item)
            del item
