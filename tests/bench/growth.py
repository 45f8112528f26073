"""Runs what shows how costs grow: with what is stored, with far-apart pages, with connections."""

import os

import machine
import wire
from candidates import make_candidates, missing_tool
from inprocess import Spec, run_program
from results import Key
from schedule import Task

MIB, GIB = 1 << 20, 1 << 30
STORED = (256 * MIB, GIB, 4 * GIB, 12 * GIB)
FAR = (10**4, 10**5, 10**6, 10**7)
CONNECTIONS = (1, 2, 8, 64)
QUICK = ((16 * MIB, 32 * MIB), (1000, 2000), (1, 2))
# The most memory that a far-apart page takes.
FAR_BYTES = {("ours", "sparse"): 7000, ("ours", "zstd"): 3200, ("old", "sparse"): 45000,
             ("old", "zstd"): 45000}
FAR_MOST = 3 * 10**6  # of those that the memory has room for: a compressing disk takes a minute
# The old plugin takes minutes for more.
MOST_OF_OLD = {("stored", "sparse"): GIB, ("stored", "zstd"): 4 * GIB, ("far", "sparse"): 10**5,
               ("far", "zstd"): 10**5}

# Requests to an empty disk: what the server takes meanwhile is for its connections.
IDLE = wire.Job("empty-read", "randread", 4096, 1)
JOBS = (IDLE, wire.FILL, *(job for job in wire.JOBS if job.name.endswith(("read-d1", "write-d1"))))


class Session(wire.Session):
    """Measures the memory of a connection as well: its share of the server's peak."""

    def store_files(self, server):
        server.go_on()
        server.store(self.corpus)
        server.pause()

    def measure(self, server, job):
        server.forget_peak()
        before = server.resident()
        super().measure(server, job)
        if job is IDLE:
            key = Key(self.place, server.candidate.allocator, "connection", 0, self.connections,
                      "memory", "bytes")
            self.results.add(self.round_number, server.candidate.name, key,
                             max(0, server.peak() - before) / self.connections)


def record(results, place, lines):
    for line in lines:
        plugin, allocator, workload, step, threads, metric, value, unit = line.split(",")
        key = Key(place, allocator, workload, int(step), int(threads), metric, unit)
        results.add(0, plugin, key, value)


def in_process_task(results, programs, name, allocator, place, step, needed, files):
    """A step of one plugin and disk; `place`: stored or far; `needed`: bytes of memory."""
    args = ("--size", str(step)) if place == "stored" \
        else ("--count", str(step), "--warm", str(needed))
    group = "growth" if place == "stored" else "far"
    one = Spec(allocator, group, args)

    def measure(_):
        record(results, "growth-" + place,
               run_program(programs.inprocess, programs.plugins[name], name, one, files))

    return Task("growth", f"{name} {allocator} {group} {step:,}", 1, measure)


def far_steps(far, each, most):
    """Those that fit into `most` bytes; if not all do, the last is the largest that does, or
    FAR_MOST."""
    fitting = [step for step in far if step * each <= most]
    largest = min(FAR_MOST, most // each // 100_000 * 100_000)
    if len(fitting) < len(far) and largest > max(fitting, default=0):
        return [step for step in fitting if step * 5 < largest] + [largest]
    return fitting


def connection_tasks(results, disks, quick, files):
    size = os.path.getsize(files)
    members = [candidate for allocator, plugins in disks.items()
               for candidate in make_candidates(plugins, (allocator,), size)
               if candidate.name in ("null", "ours")]

    def measure(count):
        session = Session(results, "growth-connections", 0, count, size, 0.1 if quick else 0.3,
                          files)
        session.run(list(dict.fromkeys(members)), JOBS[:2] if quick else JOBS)

    return [Task("growth", f"{count} connection(s)", 1,
                 lambda _, count=count: measure(count))
            for count in (QUICK if quick else (STORED, FAR, CONNECTIONS))[2]]


def step_tasks(results, programs, disks, quick, most, files):
    """Of what is stored, and of far-apart pages. Those that need as much memory follow each other,
    so that the system still has what the one before gave back."""
    stored, far, _ = QUICK if quick else (STORED, FAR, CONNECTIONS)
    found = []  # (bytes needed, task)
    for allocator, plugins in disks.items():
        for name in plugins:
            each = FAR_BYTES[name, allocator]
            steps = [("stored", step, step) for step in stored if step <= most]
            steps += [("far", step, step * each) for step in far_steps(far, each, most)]
            found += [(needed, in_process_task(results, programs, name, allocator, place, step,
                                               needed, files))
                      for place, step, needed in steps
                      if name != "old" or step <= MOST_OF_OLD[place, allocator]]
        fitting = far_steps(far, FAR_BYTES["ours", allocator], most)
        if fitting and fitting[-1] < far[-1]:
            needed = far[-1] * FAR_BYTES["ours", allocator] >> 30
            results.note(f"{far[-1]:,} far-apart pages of {allocator} would take {needed} GiB: the "
                         f"last step is {fitting[-1]:,}")
    return [task for _, task in sorted(found, key=lambda pair: pair[0])]


def tasks(results, programs, disks, quick, most, files):
    """One round. `disks`: each with the plugins that have it; `most`: bytes of memory that a step
    may need."""
    room = machine.available_bytes() * 8 // 10
    if most > room:
        results.note(f"growth ends at {room >> 20} MiB for lack of free memory")
        most = room
    todo = step_tasks(results, programs, disks, quick, most, files)
    for kind, group in (("growth-stored", " growth "), ("growth-far", " far ")):
        if not any(group in task.label for task in todo):
            results.leave_out(kind, f"no step of it fits into {most >> 20} MiB")
    why_not = wire.missing() or missing_tool("nbdcopy")
    if why_not:
        results.leave_out("growth-connections", why_not)
        return todo
    return todo + connection_tasks(results, disks, quick, files)
