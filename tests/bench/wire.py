"""Runs the benchmarks over the wire: fio's nbd engine against nbdkit on a Unix socket."""

import collections
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import machine
import zram
from results import Key

SHM = "/dev/shm"  # where a tmpfs is

# A workload over the wire: fio's rw=, the bytes of a request, how many are under way.
Job = collections.namedtuple("Job", "name rw block depth")
FILL = Job("fill", "write", 262144, 4)
JOBS = (
    Job("overwrite", "write", 262144, 4),
    Job("read", "read", 262144, 4),
    Job("random-read-d1", "randread", 4096, 1),
    Job("random-write-d1", "randwrite", 4096, 1),
    Job("random-mix-d1", "randrw", 4096, 1),
    Job("random-read-d16", "randread", 4096, 16),
    Job("random-write-d16", "randwrite", 4096, 16),
    Job("random-mix-d16", "randrw", 4096, 16),
)
QUICK_JOBS = JOBS[0:1] + JOBS[2:3] + JOBS[7:8]
PERCENTILES = (("p50", "50.000000"), ("p99", "99.000000"), ("p99.9", "99.900000"))

# A server to compare: the name in the results, the allocator ("" where there is none) and what
# follows `nbdkit`.
Candidate = collections.namedtuple("Candidate", "name allocator arguments")


def missing():
    """What is not on this machine and has to be, or None."""
    for tool in ("nbdkit", "fio", "nbdinfo"):
        if not shutil.which(tool):
            return tool + " is not installed"
    engines = subprocess.run(["fio", "--enghelp"], capture_output=True, text=True, check=False)
    return None if "nbd" in engines.stdout.split() else "fio has no nbd engine"


class Server:
    """An nbdkit in the foreground, as a child of this process."""

    def __init__(self, folder, candidate):
        self.candidate = candidate
        # The path of a socket is limited to 107 bytes, so it is not below the output folder.
        self.socket = os.path.join(folder, f"{candidate.name}-{candidate.allocator}.sock")
        self.process = subprocess.Popen(
            ["nbdkit", "-f", "-U", self.socket, *candidate.arguments], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("no server: nbdkit " + " ".join(candidate.arguments))
            time.sleep(0.01)
        # The socket is there before the server is ready: malloc still takes its memory then.
        subprocess.run(["nbdinfo", "--size", self.uri], check=True, timeout=120,
                       stdout=subprocess.DEVNULL)
        self.pause()

    @property
    def uri(self):
        return "nbd+unix:///?socket=" + self.socket

    def fio_target(self):
        return ["--ioengine=nbd", "--uri=" + self.uri]

    def store(self, path):
        subprocess.run(["nbdcopy", path, self.uri], check=True, timeout=300)

    # Those who wait are stopped: work that one server does in the background is not to be found in
    # the figures of another.
    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.go_on()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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
        disk_folder = SHM if os.path.isdir(SHM) else self.folder
        self.disk_file = os.path.join(disk_folder, os.path.basename(self.folder) + ".disk")
        self.servers = []
        self.warm = None

    def run(self, members, jobs):
        try:
            for candidate in members[::-1] if self.round_number % 2 else members:
                self.start(candidate)
            self.warm = machine.WarmMemory(self.room() * sum(self.needs_memory(c) for c in members))
            for job in jobs:
                for server in self.servers:
                    self.measure(server, job)
                    if job is FILL and self.corpus and server.candidate.name != "null":
                        self.store_files(server)
        finally:
            for server in self.servers:
                server.stop()
            if self.warm:
                self.warm.close()
            if os.path.exists(self.disk_file):
                os.unlink(self.disk_file)
            shutil.rmtree(self.folder)

    def room(self):
        """What one first fill may need, in whole huge pages."""
        return (self.size + self.size // 16) >> 21 << 21

    @staticmethod
    def needs_memory(candidate):
        """In its first fill: neither null nor who takes it at the start."""
        return candidate.name != "null" and not candidate.allocator.startswith("malloc")

    def start(self, candidate):
        if candidate.name == "zram":
            self.servers.append(zram.Zram(candidate, self.size))
            return
        if candidate.name == "file":
            with open(self.disk_file, "wb") as new:
                new.truncate(self.size)
        arguments = [a.replace("{file}", self.disk_file) for a in candidate.arguments]
        self.servers.append(Server(self.folder, candidate._replace(arguments=arguments)))

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
        if job is FILL and self.needs_memory(server.candidate):
            self.warm.release(self.room())
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
        if job.rw == "randrw":
            command.append("--rwmixread=70")
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


def make_candidates(plugins, allocators, size, with_zram):
    """`plugins`: name -> path. With them the ceiling (null) and what a user would take instead."""
    members = [Candidate("null", "", ["null", f"size={size}"])]
    for allocator in allocators:
        for name, path in plugins.items():
            arguments = [path, f"size={size}", "allocator=" + allocator]
            members.append(Candidate(name, allocator, arguments))
    members.append(Candidate("file", "", ["file", "{file}"]))
    if with_zram:
        members.append(Candidate("zram", "", []))
    return members


def run(results, plugins, allocators, rounds, quick, corpus):
    """`corpus`: for disks that compress, the file they hold; None for the others. Figures of the
    two go to different places, since fio has other work in each."""
    if quick:
        size, seconds, connections, jobs = 64 << 20, 0.2, (2,), (FILL, *QUICK_JOBS)
    else:
        size, seconds, connections, jobs = 1 << 30, 0.4, (1, 2, 8), (FILL, *JOBS)
    if not corpus and machine.available_bytes() < 12 * size:
        size //= 4
        results.note(f"little free memory: disks of {size >> 20} MiB over the wire")
    place = "wire"
    if corpus:
        size = os.path.getsize(corpus)
        place = "wire-files"
    why_not = zram.missing() if corpus else None
    with_zram = corpus and not quick and not why_not
    if why_not:
        results.note("the kernel's compressed RAM disk is left out: " + why_not)
    for round_number in range(rounds):
        for count in connections:
            print(f"wire round {round_number + 1}/{rounds}: {', '.join(allocators)}, "
                  f"{count} connection(s)", flush=True)
            session = Session(results, place, round_number, count, size, seconds, corpus)
            session.run(make_candidates(plugins, allocators, size, with_zram), jobs)
