"""The kind of the disk that a folder is on, by a table of mounts as the kernel writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.io.mounts import network_disk

TABLE = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/local rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/two\040words rw - cifs //server/share rw
33 22 0:42 / /data rw - ext4 /dev/sdc1 rw
34 33 0:43 / /data rw - lustre mgs@tcp:/fs rw
35 22 0:44 / /bucket rw - fuse.s3fs s3fs rw
36 22 0:45 / /fuse rw - fuse.portal portal rw
37 22 0:46 / /tmp rw - tmpfs tmpfs rw
a line that is none
"""


@pytest.mark.parametrize(
    "path, kind",
    [
        ("/", ""),
        ("/home", "nfs4"),
        ("/home/ann/cache/not/there", "nfs4"),
        ("/homes/ann", ""),
        ("/home/local/cache", ""),
        ("/mnt/two words/x", "cifs"),
        ("/data/x", "lustre"),
        ("/bucket/x", "fuse.s3fs"),
        ("/fuse/x", ""),
        ("/tmp/x", ""),
    ],
)
def test_the_mount_with_the_longest_path_decides(path: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(TABLE)
    assert network_disk(Path(path), tmp_path / "mountinfo") == kind


def test_a_link_is_followed_to_its_disk(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    table.write_text(f"1 0 0:1 / {(tmp_path / 'there').resolve()} rw - nfs server:/x rw\n")
    assert network_disk(tmp_path / "link" / "cache", table) == "nfs"


def test_without_a_table_every_disk_is_local(tmp_path: Path) -> None:
    assert network_disk(tmp_path, tmp_path / "none") == ""
