"""Have a signal end circusd whenever it comes.

Circus 0.19 does one thing at a time: a SIGTERM that comes while it starts, or while the old
workers of a reload drain, is refused like any other command, and nobody asks again. A service
manager would wait for its time to stop, and kill.

Rule: what is asked again is what the signal asked for; a circusd that stops is left alone.
"""

from typing import Any

_AGAIN_S = 0.25
_MARK = "hospital_asks_again"


def ask_until_it_stops(arbiter: Any) -> None:
    """Have *arbiter* take a signal to quit once it has time; called again, it changes nothing.

    Args:
        arbiter: The Circus arbiter.
    """
    handler = getattr(getattr(arbiter, "ctrl", None), "sys_hdl", None)
    if handler is None or getattr(handler, _MARK, False):
        return
    quit_once = handler.quit
    loop = arbiter.loop

    def ask_again() -> None:
        if not arbiter._stopping and arbiter.running:  # noqa: SLF001 - Circus has no other way to tell
            quit_once()
            loop.call_later(_AGAIN_S, ask_again)

    def ask() -> None:
        quit_once()
        loop.add_callback_from_signal(loop.call_later, _AGAIN_S, ask_again)

    handler.quit = ask
    setattr(handler, _MARK, True)
