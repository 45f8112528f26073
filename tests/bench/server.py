"""A server to measure: what it is, its life, and what it takes."""

import collections
import os
import signal
import subprocess
import time

SHM = "/dev/shm"  # where a tmpfs is
CPUCLOCK_SCHED = 2  # of the kernel's clocks of a process: user and system time, in nanoseconds


def asks_for_huge_pages(name):
    """Whether the candidate of this name does so."""
    return name == "ours"


class Candidate(collections.namedtuple("Candidate", "name allocator arguments")):
    """The name in the results, the allocator ("" where there is none) and what follows `nbdkit`. A
    candidate that keeps its disk in a file has "{file}" among its arguments."""

    @property
    def huge_pages(self):
        return asks_for_huge_pages(self.name)


class Server:
    """An nbdkit in the foreground, as a child of this process."""

    def __init__(self, folder, candidate, size):
        self.candidate = candidate
        # The path of a socket is limited to 107 bytes, so it is not below the output folder.
        self.socket = os.path.join(folder, f"{candidate.name}-{candidate.allocator}.sock")
        self.disk_file = None
        if "{file}" in candidate.arguments:
            self.make_disk_file(folder, size)
        arguments = [a.replace("{file}", self.disk_file or "") for a in candidate.arguments]
        self.process = subprocess.Popen(["nbdkit", "-f", "-U", self.socket, *arguments],
                                        stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("no server: nbdkit " + " ".join(arguments))
            time.sleep(0.01)
        self.wait_for_answer(arguments)

    def wait_for_answer(self, arguments):
        """The socket is there before the server is ready: malloc still takes its memory then."""
        try:
            subprocess.run(["nbdinfo", "--size", self.uri], check=True, timeout=120,
                           stdout=subprocess.DEVNULL)
        except subprocess.SubprocessError as error:
            status = self.process.poll()
            self.stop()
            state = "still running" if status is None else f"exit status {status}"
            raise RuntimeError(f"no answer ({state}): nbdkit " + " ".join(arguments)) from error

    def make_disk_file(self, folder, size):
        self.disk_file = os.path.join(SHM if os.path.isdir(SHM) else folder,
                                      os.path.basename(folder) + ".disk")
        with open(self.disk_file, "wb") as new:
            new.truncate(size)

    @property
    def uri(self):
        return "nbd+unix:///?socket=" + self.socket

    def fio_target(self):
        return ["--ioengine=nbd", "--uri=" + self.uri]

    def store(self, path):
        subprocess.run(["nbdcopy", path, self.uri], check=True, timeout=300)

    # A server that waits is stopped: its work in the background must not enter the figures of
    # another one.
    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def cpu_seconds(self):
        """User and system time. /proc has it as well, but in steps of 10 ms."""
        return time.clock_gettime(~self.process.pid << 3 | CPUCLOCK_SCHED)

    def _status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no " + field)

    def _file_bytes(self):
        return os.stat(self.disk_file).st_blocks * 512 if self.disk_file else 0

    def resident(self):
        """The memory of the process and of the file on tmpfs."""
        return self._status("VmRSS") + self._file_bytes()

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as refs:
            refs.write("5")

    def peak(self):
        """The most that was resident since forget_peak()."""
        return self._status("VmHWM") + self._file_bytes()

    def stop(self):
        if self.process.poll() is None:
            self.go_on()
            self.process.terminate()
        try:
            self.process.wait(120)  # it may save an image
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.disk_file and os.path.exists(self.disk_file):
            os.unlink(self.disk_file)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
