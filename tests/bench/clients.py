"""Runs real clients against fresh servers: nbdcopy, qemu-img, a filesystem by way of nbdfuse."""

import collections
import subprocess
import tempfile
import time

import filesystem
import images
import machine
from candidates import make_candidates, missing_tool
from results import Key, rotated
from server import Server

# A client, and the image it copies ("" for a filesystem, which brings its own files).
Work = collections.namedtuple("Work", "client image size")


def works(small, large, quick):
    """`large` is for one kind of image only, since it takes long."""
    if quick:
        return [Work("nbdcopy", "noise", small), Work("qemu-img", "files", small),
                Work("ext4", "", small)]
    return [*(Work("nbdcopy", kind, small) for kind in ("files", "ext4", "noise")),
            Work("nbdcopy", "files", large),
            Work("qemu-img", "files", small),
            Work("ext4", "", small)]


def missing(work):
    """What is not on this machine and has to be for this work, or None."""
    if work.client == "ext4":
        return filesystem.missing()
    return missing_tool("nbdkit", "nbdinfo", work.client, "mkfs.ext4")


def copies(work, path, uri):
    """The commands that copy the image into the disk, and the disk to nowhere."""
    if work.client == "nbdcopy":
        return ["nbdcopy", path, uri], ["nbdcopy", uri, "null:"]
    convert = ["qemu-img", "convert", "-n", "-f", "raw"]
    return ([*convert, "-O", "raw", path, uri],
            [*convert, "--target-image-opts", uri, f"driver=null-co,size={work.size}"])


class Session:
    """One work in one round: the candidates in turn, each with a server of its own."""

    def __init__(self, results, round_number, work, folder):
        self.results = results
        self.round_number = round_number
        self.work = work
        self.source = images.image_of(folder, work.image, work.size) if work.image \
            else images.tar_of(folder, work.size)

    def run(self, members):
        images.read_ahead(self.source)
        for candidate in rotated(members, self.round_number):
            if self.work.image or candidate.name not in ("null", "copy"):  # which keep nothing
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    self.measure(candidate, folder)

    def measure(self, candidate, folder):
        room = self.work.size + self.work.size // 16
        warm = machine.WarmMemory(0 if candidate.name in ("null", "copy") else room,
                                  candidate.huge_pages)
        if candidate.allocator == "malloc":
            warm.close()  # it takes its memory when it starts
        server = Server(folder, candidate, self.work.size)
        try:
            if self.work.image:
                warm.close()
                into, out = copies(self.work, self.source, server.uri)
                self.timed(server, f"{self.work.client}-in {self.work.image}", into)
                self.timed(server, f"{self.work.client}-out {self.work.image}", out)
            else:
                with filesystem.Mounted(folder, server.uri, self.work.size) as mounted:
                    warm.close()
                    for name, command in mounted.commands(self.source):
                        self.timed(server, name, command)
        finally:
            server.stop()

    def timed(self, server, workload, command):
        server.forget_peak()
        cpu, begin = server.cpu_seconds(), time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        wall, cpu = time.monotonic() - begin, server.cpu_seconds() - cpu
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        for metric, value, unit in (("wall", wall, "s"), ("server-cpu", cpu, "s"),
                                    ("peak", server.peak(), "bytes"),
                                    ("resident", server.resident(), "bytes")):
            key = Key("clients", server.candidate.allocator, workload, self.work.size, 0, metric,
                      unit)
            self.results.add(self.round_number, server.candidate.name, key, value)


def run(results, programs, rounds, todo, folder):
    for round_number in range(rounds):
        for work in todo:
            why_not = missing(work)
            if why_not:
                results.leave_out(work.client, why_not)
                continue
            # The image, what the disk takes, and what the client does.
            if machine.available_bytes() < 3 * work.size + (1 << 28):
                results.leave_out(work.client,
                                  f"little free memory for {work.size >> 20} MiB")
                continue
            members = []
            for allocator, plugins in programs.disks.items():
                members += make_candidates(plugins, (allocator,), work.size, programs.null_copy)
            print(f"clients round {round_number + 1}/{rounds}: {work.client} {work.image} "
                  f"{work.size >> 20}M", flush=True)
            Session(results, round_number, work, folder).run(list(dict.fromkeys(members)))
