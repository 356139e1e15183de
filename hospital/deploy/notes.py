"""What is no fault of a set, and keeps it from working all the same: told, with the cure.

Rule: nothing is refused and nothing is changed for it; who reads the notes decides.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import hospital
from hospital.deploy import folders, reach
from hospital.deploy.present import Plan
from hospital.deploy.site import Site


def notes_on(site: Site, plan: Plan) -> Iterator[str]:
    """Yield a line for each thing that somebody should do before circusd is started."""
    if site.is_checkout:
        return
    yield from folders.missing(site)
    token = site.settings.get("HOSPITAL_TOKEN_FILE", "")
    account = reach.account_of(site.user, site.group) if site.user else None
    if account is not None:
        yield from _barrier_notes(site, account, token)
    if not os.access(site.python, os.X_OK):
        yield f"{site.python} is not there, or cannot be run; name the workers' Python: --python"
    elif account is not None and not reach.may_pass(account, Path(site.python)):
        yield f"{account.name} cannot run {site.python}; run: chmod o+x {site.python}"
    if token:
        yield from _token_notes(token, account)
    for path in plan.foreign:
        yield f"circusd reads {Path(site.output, path)} too, which was not rendered"


def _barrier_notes(site: Site, account: reach.Account, token: str) -> Iterator[str]:
    """Yield what to run for each folder through which the workers cannot get at what they need."""
    needed = [Path(each) for each in (site.beats, site.state, site.python, token) if each]
    needed.append(Path(site.working_dir, "what is in it"))
    if Path(site.python) == Path(reach.this_python()):  # else nobody here knows what it imports
        needed += [Path(os.__file__), Path(hospital.__file__)]
    for path in sorted({each for end in needed for each in reach.barriers(account, end)}):
        yield f"{account.name} cannot pass through {path}; run: chmod o+x {path}"


def _token_notes(path: str, account: reach.Account | None) -> Iterator[str]:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a text
    except OSError as error:
        yield f"cannot look at the token file {path}: {(error.strerror or '').lower()}"
        return
    cure = f"chown {account.name} {path} && " if account else ""
    if account is not None and not reach.may_read(account, Path(path)):
        yield f"{account.name} cannot read the token file {path}; run: {cure}chmod 600 {path}"
    elif account is None and not os.access(path, os.R_OK):
        yield f"you cannot read the token file {path}; render, and start circusd, as its owner"
    if mode & 0o077:
        yield f"others may read the token file {path}; run: {cure}chmod 600 {path}"
