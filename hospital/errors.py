"""The errors that hospital shows to people: what happened, the value, what to do."""

from collections.abc import Iterable


class HospitalError(Exception):
    """Tell in one line what happened, with which value, and what to do.

    Args:
        what: What happened, lower case, without a full stop.
        value: The value that caused it, quoted by the caller where quoting helps.
        remedy: What the reader can do about it.

    >>> str(HospitalError("cannot listen on", "127.0.0.1:2014", "choose another port with --port"))
    'cannot listen on 127.0.0.1:2014; choose another port with --port'
    """

    def __init__(self, what: str, value: str = "", remedy: str = "") -> None:
        self.what = what
        self.value = value
        self.remedy = remedy
        sentence = f"{what} {value}" if value else what
        super().__init__(f"{sentence}; {remedy}" if remedy else sentence)


class UsageError(HospitalError):
    """A command or a function was called in a way that makes no sense."""


class SettingError(UsageError, ValueError):
    """A setting, an option or a limit holds a value that cannot be used."""


class MarkingError(UsageError, TypeError):
    """``@healthcheck`` stands on something that is no check, or has options without sense."""


class PortError(HospitalError):
    """An address cannot be listened on."""


class WardError(HospitalError):
    """A ward, or the channel to it, did something that the protocol does not allow."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the candidate nearest to *name*, or an empty string.

    >>> did_you_mean("tmeout", ["timeout", "tags"])
    "did you mean 'timeout'?"
    >>> did_you_mean("zzz", ["timeout"])
    ''
    """
    from difflib import get_close_matches

    nearest = get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f"did you mean {nearest[0]!r}?" if nearest else ""
