"""What another user would get at, told by modes and owners."""

import os
from pathlib import Path

import pytest

from hospital.deploy.reach import Account, account_of, barriers, may_read

STRANGER = Account(name="stranger", uid=os.getuid() + 54_321, groups=frozenset({os.getgid() + 1}))


def test_a_folder_on_the_way_is_told(tmp_path: Path) -> None:
    """Each one through which the user cannot pass; not what lies in the open."""
    tmp_path.chmod(0o755)
    closed = tmp_path / "a" / "closed"
    (closed / "b").mkdir(parents=True)
    closed.chmod(0o700)

    told = [
        each for each in barriers(STRANGER, closed / "b" / "c") if each.is_relative_to(tmp_path)
    ]

    assert [closed] == told
    closed.chmod(0o711)
    assert closed not in barriers(STRANGER, closed / "b" / "c")


@pytest.mark.parametrize("is_relative", [False, True])
def test_links_are_followed_on_the_way(tmp_path: Path, *, is_relative: bool) -> None:
    """A Python of a virtual environment is a link to one that may lie in a closed folder."""
    closed, (link, round_and_round) = tmp_path / "closed", (tmp_path / "link", tmp_path / "round")
    closed.mkdir(mode=0o700)
    (closed / "python").touch()
    target = closed / "python"
    link.symlink_to(os.path.relpath(target, tmp_path) if is_relative else target)
    round_and_round.symlink_to(round_and_round)

    assert closed in barriers(STRANGER, link)
    assert closed not in barriers(STRANGER, round_and_round)


@pytest.mark.parametrize(
    ("mode", "owner", "same_group", "others"),
    [(0o600, True, False, False), (0o640, True, True, False), (0o604, True, False, True)],
)
def test_who_may_read_follows_the_mode(
    tmp_path: Path, mode: int, *, owner: bool, same_group: bool, others: bool
) -> None:
    """The owner's bits count for the owner alone, then those of the group, then the others'."""
    path = tmp_path / "token"
    path.touch()
    path.chmod(mode)
    status = path.stat()

    group = frozenset({status.st_gid})
    assert owner == may_read(Account("o", status.st_uid, group), path)
    assert same_group == may_read(Account("g", status.st_uid + 1, group), path)
    assert others == may_read(Account("x", status.st_uid + 1, frozenset()), path)
    assert may_read(Account("root", 0, frozenset()), path)


def test_an_account_has_all_its_groups() -> None:
    """Circusd gives a worker the further groups of its user too."""
    import grp
    import pwd

    entry = pwd.getpwuid(os.getuid())

    account = account_of(entry.pw_name, grp.getgrgid(entry.pw_gid).gr_name)

    assert entry.pw_uid == account.uid
    assert account.groups >= {entry.pw_gid}
    assert account.groups == frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
