"""Runs real clients against fresh servers: nbdcopy, qemu-img, a filesystem by way of nbdfuse, one
that only connects; and what a server does without a client: loading an image, and saving one."""

import collections
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

import filesystem
import images
import machine
from candidates import make_candidates, missing_tool
from results import Key, rotated
from schedule import Task
from server import SHM, Server

# A client, and the image it copies ("" for one that copies none). disks: for these alone; rounds:
# how often, as a rule; connections: 0 is as many as the client likes.
Work = collections.namedtuple("Work", "client image size disks rounds connections",
                              defaults=(None, 3, 0))
CONNECTIONS = 1000  # that "connect" opens and closes
MIB = 1 << 20
ZSTD = ("zstd",)
GROWING = ("sparse", "zstd")


def works(small, large, quick):
    """`large` is for one kind of image only, since it takes long."""
    if quick:
        return [Work("nbdcopy", "noise", small), Work("nbdcopy", "headers", small, ZSTD, 1, 2),
                Work("qemu-img", "files", small), Work("ext4", "", small),
                Work("image", "noise", small, GROWING), Work("connect", "", small, ("sparse",))]
    return [Work("nbdcopy", "files", small, rounds=5),
            Work("nbdcopy", "ext4", small), Work("nbdcopy", "noise", small),
            Work("qemu-img", "files", small), Work("ext4", "", small),
            Work("connect", "", small, ("sparse",)),
            Work("image", "noise", 4 * small, GROWING),
            Work("image", "ext4", 32 * small, GROWING, rounds=1),
            # What a compressing disk takes for itself weighs most in small ones.
            *(Work("nbdcopy", "headers", size * MIB, ZSTD) for size in (32, 128)),
            Work("nbdcopy", "files", small, ZSTD, connections=8),
            Work("nbdcopy", "root", 2 * small, ZSTD),
            Work("nbdcopy", "files", large, rounds=1)]


def missing(work):
    """What is not on this machine and has to be for this work, or None."""
    if work.client == "ext4":
        return filesystem.missing()
    if work.client == "connect":
        return None if importlib.util.find_spec("nbd") else "libnbd's Python module is absent"
    client = "nbdcopy" if work.client == "image" else work.client
    return missing_tool("nbdkit", "nbdinfo", client, "mkfs.ext4")


def commands(work, path, uri):
    """What to measure, with its name: for an image, copying it into the disk, and the disk to
    nowhere."""
    if work.client == "connect":
        program = os.path.join(os.path.dirname(__file__), "connect.py")
        yield "connect", [sys.executable, program, str(CONNECTIONS), uri]
        return
    into, out = copies(work, path, uri)
    yield f"{work.client}-in {work.image}", into
    yield f"{work.client}-out {work.image}", out


def copies(work, path, uri):
    if work.client == "nbdcopy":
        copy = ["nbdcopy"] + [f"--connections={work.connections}"] * (work.connections > 0)
        return [*copy, path, uri], [*copy, uri, "null:"]
    convert = ["qemu-img", "convert", "-n", "-f", "raw"]
    return ([*convert, "-O", "raw", path, uri],
            [*convert, "--target-image-opts", uri, f"driver=null-co,size={work.size}"])


class Session:
    """One work in one round: the candidates in turn, each with a server of its own."""

    def __init__(self, results, round_number, work, source):
        self.results = results
        self.round_number = round_number
        self.work = work
        self.source = source

    def run(self, members):
        if self.source:
            images.read_ahead(self.source)
        for candidate in rotated(members, self.round_number):
            # A filesystem needs a disk that keeps something.
            if self.work.client != "ext4" or candidate.name not in ("null", "copy"):
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    self.measure(candidate, folder)

    def measure_image(self, candidate, folder):
        """Loads an image and saves one, in memory (if there is a tmpfs), with what nbdcopy takes for
        the same between them."""
        image = self.work.image
        saved = os.path.join(SHM if os.path.isdir(SHM) else folder,
                             os.path.basename(folder) + ".saved")
        def start(parameter):
            machine.WarmMemory(images.most_data(image, self.work.size),
                               candidate.huge_pages).close()
            more = candidate._replace(arguments=[*candidate.arguments, parameter])
            return time.monotonic(), Server(folder, more, self.work.size)
        begin, server = start("load=" + self.source)
        self.add(server, f"image-load {image}", time.monotonic() - begin, server.cpu_seconds())
        server.stop()
        _, server = start("save=" + saved)
        try:
            self.timed(server, f"image-copy-in {image}", ["nbdcopy", self.source, server.uri])
            self.timed(server, f"image-copy-out {image}",
                       ["nbdcopy", "--flush", server.uri, saved])
            os.unlink(saved)
            begin = time.monotonic()
            server.stop()
            self.add(server, f"image-save {image}", time.monotonic() - begin)
            if not os.path.exists(saved):
                raise RuntimeError("nothing was saved")
        finally:
            server.stop()
            if os.path.exists(saved):
                os.unlink(saved)

    def measure(self, candidate, folder):
        if self.work.client == "image":
            self.measure_image(candidate, folder)
            return
        room = self.work.size + self.work.size // 16
        warm = machine.WarmMemory(0 if candidate.name in ("null", "copy") else room,
                                  candidate.huge_pages)
        if candidate.allocator == "malloc":
            warm.close()  # it takes its memory when it starts
        server = Server(folder, candidate, self.work.size)
        try:
            if self.work.client != "ext4":
                warm.close()
                for name, command in commands(self.work, self.source, server.uri):
                    self.timed(server, name, command)
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
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        wall, cpu = time.monotonic() - begin, server.cpu_seconds() - cpu
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        self.add(server, workload, wall, cpu)
        figures = [("peak", server.peak(), "bytes"), ("resident", server.resident(), "bytes")]
        if server.candidate.allocator == "zstd" and "-in " in workload:
            figures.append(("ratio", self.work.size / server.resident(), "ratio"))
        self.add_figures(server, workload, figures)

    def add(self, server, workload, wall, cpu=None):
        """Seconds; those of the CPU are the server's, and None if it has ended."""
        known = [("wall", wall, "s"), ("server-cpu", cpu, "s")]
        self.add_figures(server, workload, [figure for figure in known if figure[1] is not None])

    def add_figures(self, server, workload, figures):
        for metric, value, unit in figures:
            key = Key("clients", server.candidate.allocator, workload, self.work.size,
                      self.work.connections, metric, unit)
            self.results.add(self.round_number, server.candidate.name, key, value)


def source_of(folder, work):
    """The file that a client reads, made before anything is measured; None if it reads none."""
    if work.client == "ext4":
        return images.tar_of(folder, work.size)
    return images.image_of(folder, work.image, work.size) if work.image else None


def members_of(programs, work):
    members = []
    for allocator, plugins in programs.disks.items():
        if not work.disks or allocator in work.disks:
            members += make_candidates(plugins, (allocator,), work.size, programs.null_copy)
    if work.client == "image":  # the others have no parameters for it
        return [member for member in members if member.name == "ours"]
    if work.disks and work.image:  # what the others do with an image is measured elsewhere
        members = [member for member in members if member.allocator]
    return list(dict.fromkeys(members))


def task(results, programs, rounds, work, folder):
    """`rounds`: if not None, in place of what the work says."""
    members = members_of(programs, work)
    source = source_of(folder, work)

    def measure(round_number):
        Session(results, round_number, work, source).run(members)

    label = " ".join(filter(None, (work.client, work.image, f"{work.size >> 20}M",
                                   work.connections and f"{work.connections} connections",
                                   ",".join(work.disks or ()))))
    return Task("clients", label, rounds or work.rounds, measure)


def tasks(results, programs, rounds, todo, folder):
    """Leaves out what this machine cannot do."""
    found = []
    for work in todo:
        why_not = missing(work)
        # The image, what the disk takes, and what the client does.
        held = images.most_data(work.image, work.size)
        if not why_not and machine.available_bytes() < 3 * held + (1 << 28):
            why_not = f"little free memory for {work.size >> 20} MiB"
        if why_not:
            results.leave_out(work.client, why_not)
        elif members_of(programs, work):
            found.append(task(results, programs, rounds, work, folder))
    return found
