"""What scripts of nbdsh and of Python share that watch a server with many disks. They import it."""

import json
import os
import subprocess

import nbd


def rss(pid):
    """The resident size of a process, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))


def figures(socket):
    """What the server's export of statistics, which is called stats, has to say."""
    text = subprocess.run(["nbdcopy", f"nbd+unix:///stats?socket={socket}", "-"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    return json.loads(text)


def fill(disk):
    """Writes noise until there is no room, and returns how many MiB went in; fails if all did."""
    for i in range(disk.get_size() >> 20):
        try:
            disk.pwrite(os.urandom(1 << 20), i << 20)
        except nbd.Error as error:
            assert error.errno == "ENOSPC", error
            return i
    assert False, "the whole disk fits"
