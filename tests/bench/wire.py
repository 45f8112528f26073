"""Runs the benchmarks over the wire: fio's nbd engine against nbdkit on a Unix socket."""

import collections
import json
import os
import shutil
import subprocess
import tempfile

import machine
import zram
from candidates import make_candidates, missing_tool
from results import Key, rotated
from schedule import Task
from server import Candidate, Server

# A workload over the wire: fio's rw=, the bytes of a request, how many are under way.
Job = collections.namedtuple("Job", "name rw block depth")
FILL = Job("fill", "write", 262144, 4)
JOBS = (
    Job("overwrite", "write", 262144, 4),
    Job("read", "read", 262144, 4),
    Job("random-read-d1", "randread", 4096, 1),
    Job("random-write-d1", "randwrite", 4096, 1),
    Job("random-read-d16", "randread", 4096, 16),
    Job("random-write-d16", "randwrite", 4096, 16),
)
QUICK_JOBS = JOBS[0:1] + JOBS[2:3]
CONNECTIONS = 2
PERCENTILES = (("p50", "50.000000"), ("p99", "99.000000"), ("p99.9", "99.900000"))


def missing():
    """What is not on this machine and has to be, or None."""
    absent = missing_tool("nbdkit", "fio", "nbdinfo")
    if absent:
        return absent
    engines = subprocess.run(["fio", "--enghelp"], capture_output=True, text=True, check=False)
    return None if "nbd" in engines.stdout.split() else "fio has no nbd engine"


class Session:
    """One round with one number of connections: fresh servers of all candidates, then job by job,
    the candidates in turn."""

    def __init__(self, results, place, round_number, connections, size, seconds, corpus):
        self.results = results
        self.place = place
        self.round_number = round_number
        self.connections = connections
        self.size = size
        self.seconds = seconds
        self.corpus = corpus
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.servers = []
        self.warm = {}

    def run(self, members, jobs):
        try:
            for candidate in rotated(members, self.round_number):
                self.start(candidate)
            for candidate in filter(self.needs_memory, members):
                self.warm[candidate] = machine.WarmMemory(self.room(), candidate.huge_pages)
            for job in jobs:
                for server in self.servers:
                    self.measure(server, job)
                    if job is FILL and self.corpus and server.candidate.name != "null":
                        self.store_files(server)
        finally:
            for server in self.servers:
                server.stop()
            for warm in self.warm.values():
                warm.close()
            shutil.rmtree(self.folder)

    def room(self):
        """What a first fill may need, in whole huge pages."""
        return (self.size + self.size // 16) >> 21 << 21

    @staticmethod
    def needs_memory(candidate):
        """In its first fill: null needs none, and malloc takes it at the start."""
        return candidate.name != "null" and candidate.allocator != "malloc"

    def start(self, candidate):
        if candidate.name == "zram":
            self.servers.append(zram.Zram(candidate, self.size))
            return
        self.servers.append(Server(self.folder, candidate, self.size))
        self.servers[-1].pause()

    def store_files(self, server):
        """Real files on the disk, for a disk that compresses to read."""
        if not shutil.which("nbdcopy"):
            self.results.note("nbdcopy is absent: the compressed disks hold fio's data, not files")
            return
        server.go_on()
        server.store(self.corpus)
        key = Key(self.place, server.candidate.allocator, "stored-files", 0, self.connections,
                  "ratio", "ratio")
        self.results.add(self.round_number, server.candidate.name, key,
                         self.size / max(server.resident(), 1))
        server.pause()

    def measure(self, server, job):
        if job is FILL and server.candidate in self.warm:
            self.warm[server.candidate].release()
        server.go_on()
        before = server.cpu_seconds()
        figures = self.fio(server, job)
        used = server.cpu_seconds() - before

        def add(metric, value, unit):
            key = Key(self.place, server.candidate.allocator, job.name, job.block,
                      self.connections, metric, unit)
            self.results.add(self.round_number, server.candidate.name, key, value)

        add("iops", figures["iops"], "ops/s")
        add("speed", figures["bw_bytes"] / 1e6, "MB/s")
        for name, field in PERCENTILES:
            add(name, figures["lat_ns"]["percentile"][field] / 1000, "us")
        if used > 0:
            add("cpu", used / figures["total_ios"] * 1e6, "us/request")
        add("resident", server.resident(), "bytes")
        server.pause()

    def fio(self, server, job):
        """Runs one job; returns what fio says about all its connections together."""
        command = self.fio_command(server, job)
        # fio leaves a file of its state where it is started.
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                              cwd=self.folder)
        start = done.stdout.find("{")
        if done.returncode != 0 or start < 0:
            raise RuntimeError(f"fio failed: {' '.join(command)}\n{done.stdout}{done.stderr}")
        jobs = json.loads(done.stdout[start:])["jobs"]
        if len(jobs) != 1 or jobs[0]["error"] or not jobs[0]["mixed"]["total_ios"]:
            raise RuntimeError("no result from: " + " ".join(command))
        return jobs[0]["mixed"]

    def fio_command(self, server, job):
        command = ["fio", "--name=bench", *server.fio_target(), "--rw=" + job.rw,
                   f"--bs={job.block}", f"--iodepth={job.depth}",
                   f"--numjobs={self.connections}", "--thread", "--group_reporting",
                   # From handing a request over to its completion; clat leaves out the sending.
                   "--lat_percentiles=1", "--clat_percentiles=0", "--percentile_list=50:99:99.9",
                   "--unified_rw_reporting=mixed", "--output-format=json"]
        if job.rw.startswith("rand"):
            command.append(f"--size={self.size}")
        else:  # each connection has a part of its own
            part = self.size // self.connections
            command += [f"--size={part}", f"--offset_increment={part}"]
        if job is not FILL:
            command += ["--time_based", f"--runtime={int(self.seconds * 1000)}ms"]
        if self.corpus:
            # What fio writes is new each time and half of it noise: it has no real files to offer.
            command += ["--refill_buffers", "--buffer_compress_percentage=57",
                        "--buffer_compress_chunk=4k"]
        return command


def tasks(results, plugins, allocators, rounds, quick, corpus):
    """`corpus`: for disks that compress, the file they hold; None for the others. Figures of the
    two go to different places, since fio has other work in each."""
    size, seconds, jobs = (64 << 20, 0.1, QUICK_JOBS) if quick else (512 << 20, 0.4, JOBS)
    if not corpus and machine.available_bytes() < 12 * size:
        size //= 4
        results.note(f"little free memory: disks of {size >> 20} MiB over the wire")
    place = "wire"
    if corpus:
        size = os.path.getsize(corpus)
        place = "wire-files"
    members = make_candidates(plugins, allocators, size)
    if corpus and not quick:
        why_not = zram.missing()
        if why_not:
            results.note("the kernel's compressed RAM disk is left out: " + why_not)
        else:
            members.append(Candidate("zram", "", ()))

    def measure(round_number):
        Session(results, place, round_number, CONNECTIONS, size, seconds, corpus).run(
            members, (FILL, *jobs))

    return [Task("wire", "fio, " + " and ".join(allocators), rounds, measure)]
