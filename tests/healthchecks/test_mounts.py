"""Which mounts count, told by tables as machines have them."""

from collections.abc import Callable

import pytest

from hospital.healthchecks.mounts import Mount, local_mounts, root_is_remote

SHM = "/dev/shm"  # noqa: S108 - a path in a table
FILESYSTEMS = """\
nodev\tsysfs
nodev\ttmpfs
nodev\tproc
nodev\tcgroup2
nodev\tdevtmpfs
nodev\toverlay
nodev\tautofs
nodev\tnfs4
nodev\tcifs
nodev\tfuse
nodev\tzfs
\text4
\txfs
\tbtrfs
\tvfat
\tfuseblk
\tsquashfs
\tiso9660
\tgfs2
"""

VM = """\
22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
23 27 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
24 27 0:6 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=4011000k
25 24 0:25 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw
26 27 0:26 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=809000k
28 26 0:27 / /run/lock rw,nosuid shared:6 - tmpfs tmpfs rw,size=5120k
29 26 0:50 / /run/user/1000 rw,nosuid shared:60 - tmpfs tmpfs rw,size=809000k
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 27 8:15 / /boot/efi rw shared:30 - vfat /dev/sda15 rw
31 27 8:17 / /var rw,relatime shared:31 - xfs /dev/sdb1 rw
32 31 8:17 /lib/docker /var/lib/docker rw,relatime shared:31 - xfs /dev/sdb1 rw
33 27 7:0 / /snap/core/1 ro,nodev shared:33 - squashfs /dev/loop0 ro
34 27 11:0 / /media/cdrom ro shared:34 - iso9660 /dev/sr0 ro
35 27 0:60 / /home rw shared:35 - nfs4 nas:/home rw,vers=4.2
36 27 0:61 / /mnt/win rw shared:36 - cifs //nas/win rw
37 27 0:62 / /mnt/ssh rw shared:37 - fuse.sshfs me@nas:/ rw
38 27 0:63 / /mnt/auto rw shared:38 - autofs systemd-1 rw
39 38 8:33 / /mnt/auto rw shared:39 - ext4 /dev/sdc1 rw
40 35 8:49 / /home/cache rw shared:40 - ext4 /dev/sdd1 rw
41 27 8:65 / /mnt/usb\\040stick rw shared:41 - fuseblk /dev/sde1 rw
42 27 8:81 / /srv/cluster rw shared:42 - gfs2 /dev/sdf1 rw
43 27 0:70 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/a
44 27 8:97 / /usr/share/image ro shared:44 - ext4 /dev/sdg1 ro
"""

CONTAINER = """\
500 400 0:100 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b
501 500 0:101 / /proc rw - proc proc rw
502 500 0:102 / /dev rw - tmpfs tmpfs rw,size=65536k
503 502 0:103 / /dev/shm rw - tmpfs shm rw,size=65536k
504 500 8:1 /var/lib/docker/containers/1/hosts /etc/hosts rw - ext4 /dev/sda1 rw
505 500 8:1 /var/lib/docker/containers/1/hostname /etc/hostname rw - ext4 /dev/sda1 rw
506 500 8:1 /var/lib/docker/volumes/shop/_data /srv/shop/data rw - ext4 /dev/sda1 rw
"""

STACKED = """\
27 1 8:1 / / rw - ext4 /dev/sda1 rw
30 27 8:2 / /data rw - ext4 /dev/sda2 rw
31 30 0:60 / /data rw - nfs4 nas:/data rw
32 27 8:3 / /a/b rw - ext4 /dev/sda3 rw
33 27 0:61 / /a rw - nfs4 nas:/a rw
34 27 8:4 / /over rw - ext4 /dev/sda4 rw
35 34 8:5 / /over rw - ext4 /dev/sda5 rw
36 27 8:6 / /ab rw - ext4 /dev/sda6 rw
"""

BTRFS = """\
27 1 0:30 /@ / rw - btrfs /dev/sda2 rw,subvol=/@
28 27 0:30 /@home /home rw - btrfs /dev/sda2 rw,subvol=/@home
29 27 0:40 / /tank rw - zfs tank rw,xattr
30 29 0:41 / /tank/db rw - zfs tank/db rw,xattr
"""


def folder(path: str) -> bool:
    """Say that all but the files of the container are folders."""
    return path not in {"/etc/hosts", "/etc/hostname"}


def paths(table: str, is_folder: Callable[[str], bool] = folder) -> list[str]:
    return [mount.path for mount in local_mounts(table, FILESYSTEMS, is_folder)]


def test_a_virtual_machine() -> None:
    """Its own disks once each, and the memory mounts whose fullness stops services."""
    expected = ["/", "/boot/efi", SHM, "/mnt/usb stick", "/run", "/usr/share/image", "/var"]

    assert expected == paths(VM)


def test_what_is_remote_is_not_even_asked_whether_it_is_a_folder() -> None:
    """A stat on a dead network mount never returns; nor does one through it."""
    asked: list[str] = []

    def remember(path: str) -> bool:
        asked.append(path)
        return True

    paths(VM, remember)
    paths(STACKED, remember)

    assert not [path for path in asked if path.startswith(("/home", "/mnt/a", "/mnt/s", "/mnt/w"))]
    assert not {"/data", "/a", "/a/b", "/srv/cluster"} & set(asked)


def test_a_container() -> None:
    """Its overlay root and its volumes, and not the single files that its engine mounts."""
    assert ["/", SHM, "/srv/shop/data"] == paths(CONTAINER)


def test_hidden_mounts_are_left_out() -> None:
    """What was mounted over cannot be seen by its path: the path leads to something else."""
    assert ["/", "/ab", "/over"] == paths(STACKED)


def test_subvolumes_are_one_file_system_and_datasets_are_several() -> None:
    """Subvolumes of btrfs share one space; each dataset of ZFS may have a quota of its own."""
    assert ["/", "/tank", "/tank/db"] == paths(BTRFS)


def test_read_only_file_systems_are_told_apart() -> None:
    """By the file system, not by the mount: a sandbox sees all mounts read-only."""
    table = (
        "27 1 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n28 27 8:2 / /usr rw - ext4 /dev/sda2 ro\n"
    )

    assert [Mount("/"), Mount("/usr", is_writable=False)] == local_mounts(
        table, FILESYSTEMS, folder
    )


def test_nothing_local_is_nothing() -> None:
    """A diskless machine has no mount to look at."""
    table = "27 1 0:60 / / rw - nfs4 nas:/root rw\n28 27 8:2 / /data rw - ext4 /dev/sda2 rw\n"

    assert [] == paths(table)
    assert root_is_remote(table)
    assert not root_is_remote(VM)
    assert [] == paths("")
    assert not root_is_remote("")


@pytest.mark.parametrize("path", ["/a\x85b", "/a\u2028b", "/a\x0cb", "/\udcff"])
def test_odd_characters_in_a_path_do_no_harm(path: str) -> None:
    """The kernel escapes blanks and line feeds only."""
    table = f"27 1 8:1 / {path} rw - ext4 /dev/sda1 rw\n"

    assert [path] == paths(table)
