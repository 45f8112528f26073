"""The kernel's own compressed RAM disk, as one more candidate of the benchmarks over the wire."""

import os
import subprocess

NODE = "/dev/zram0"
SETTINGS = "/sys/block/zram0/"


def read_setting(name):
    with open(SETTINGS + name, encoding="ascii") as setting:
        return setting.read().strip()


def write_setting(name, value):
    with open(SETTINGS + name, "w", encoding="ascii") as setting:
        setting.write(str(value))


def missing():
    """Why it cannot be measured, or None."""
    if not os.path.exists(NODE):
        return "there is no " + NODE
    if os.geteuid() != 0 or not os.access(SETTINGS + "disksize", os.W_OK):
        return NODE + " cannot be set up by this user"
    if read_setting("disksize") != "0":
        return NODE + " is in use"
    if "lz4" not in read_setting("comp_algorithm"):
        return NODE + " has no lz4"
    return None


class Zram:
    """Looks like a server to a session."""

    def __init__(self, candidate, size):
        self.candidate = candidate
        write_setting("comp_algorithm", "lz4")
        write_setting("disksize", size)

    def fio_target(self):
        return ["--ioengine=libaio", "--direct=1", "--filename=" + NODE]

    def store(self, path):
        subprocess.run(["dd", "if=" + path, "of=" + NODE, "bs=256K", "oflag=direct",
                        "status=none"], check=True, timeout=300)

    def resident(self):
        return int(read_setting("mm_stat").split()[2])

    def cpu_seconds(self):
        """Its work is done by its clients, so there is nothing to tell."""
        return 0.0

    def pause(self):
        pass

    def go_on(self):
        pass

    def stop(self):
        write_setting("reset", 1)
