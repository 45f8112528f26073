"""An ext4 filesystem on a disk of a server, by way of nbdfuse and a loop device."""

import os
import shutil
import subprocess
import time

from candidates import missing_tool

TOOLS = ("nbdkit", "nbdinfo", "nbdfuse", "losetup", "mkfs.ext4", "mount", "umount", "tar", "fstrim")


def missing():
    """Why it cannot be measured, or None."""
    if missing_tool(*TOOLS):
        return missing_tool(*TOOLS)
    if os.geteuid() != 0:
        return "this user may not mount"
    for node in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(node):
            return "there is no " + node
    return None


def quiet(*command):
    return subprocess.run(command, check=True, timeout=600, capture_output=True,
                          text=True).stdout.strip()


def unmount(node):
    """The system lets go of a loop device, and with it of the file, a moment after its end."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return quiet("umount", node)
        except subprocess.CalledProcessError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Mounted:
    """The filesystem, mounted as long as the context lasts."""

    def __init__(self, folder, uri, size):
        self.node = os.path.join(folder, "disk")
        self.mount = os.path.join(folder, "mounted")
        self.uri = uri
        self.size = size
        self.loop = None
        self.undo = []  # what takes apart what is there, in reverse order

    def __enter__(self):
        try:
            self.attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def attach(self):
        with open(self.node, "wb"):
            os.mkdir(self.mount)
        fuse = subprocess.Popen(["nbdfuse", self.node, self.uri], stdin=subprocess.DEVNULL)
        self.undo.append(lambda: (unmount(self.node), fuse.wait(60)))
        deadline = time.monotonic() + 60
        while os.stat(self.node).st_size != self.size:
            if fuse.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("nbdfuse does not mount " + self.uri)
            time.sleep(0.01)
        self.loop = quiet("losetup", "--find", "--show", self.node)
        self.undo.append(lambda: quiet("losetup", "-d", self.loop))
        quiet("mkfs.ext4", "-q", self.loop)
        quiet("mount", self.loop, self.mount)
        self.undo.append(lambda: unmount(self.mount))

    def __exit__(self, *_):
        failed = None
        while self.undo:
            try:
                self.undo.pop()()
            except (OSError, subprocess.SubprocessError) as error:
                failed = failed or error
        if failed:
            raise failed

    def commands(self, tar):
        """What is measured, each on what the one before has left."""
        yield "ext4-untar", ["sh", "-c", 'tar -xf "$1" -C "$2" && sync -f "$2"', "sh", tar,
                             self.mount]
        self.forget()
        yield "ext4-find", ["find", self.mount, "-size", "+1k"]
        for name in sorted(os.listdir(self.mount))[::2]:
            if name != "lost+found":
                shutil.rmtree(os.path.join(self.mount, name))
        quiet("sync", "-f", self.mount)
        yield "ext4-fstrim", ["fstrim", self.mount]

    def forget(self):
        """Mounts anew, with nothing in the caches of the filesystem and of nbdfuse's file."""
        unmount(self.mount)
        node = os.open(self.node, os.O_RDONLY)
        os.posix_fadvise(node, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(node)
        quiet("mount", self.loop, self.mount)
