"""Kind of the disk that a folder is on, as far as the kernel's table of mounts tells.

Locks of files are unreliable or missing on many network disks, and SQLite relies on them
(https://sqlite.org/faq.html#q5). Only Linux has the table; elsewhere every disk counts as local.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ncpfs"}
    | {"lustre", "gpfs", "beegfs", "ceph", "glusterfs", "pvfs2", "orangefs", "panfs", "wekafs"}
)
# Programs that mount a network disk through FUSE: the type is `fuse.NAME`.
NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs|ceph(-fuse)?|juicefs|blobfuse2?|goofys|mount-s3|smbnetfs|davfs2?"
    r"|curlftpfs|cvmfs2?|alluxio\S*|seaweedfs|mfs|moosefs|lizardfs|hdfs|fuse_dfs)"
)


def network_disk(path: Path, table: Path = MOUNTS) -> str:
    """Return the type of the network file system that a path is on, such as `nfs4`; "" if it is on a local disk.

    table: in the form of proc_pid_mountinfo(5).
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place, found = os.path.realpath(path), ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ", 1)[0]
        if len(fields) < 5 or not kind:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        inside = place == mount or place.startswith(f"{mount.rstrip('/')}/")
        if inside and len(mount) >= len(found[0]):  # of two mounts at one place, the later one hides the other
            found = (mount, kind)
    is_network = found[1] in NETWORK or NETWORK_FUSE.fullmatch(found[1]) is not None
    return found[1] if is_network else ""
