"""Runs what shows how costs grow: with what is stored, with far-apart pages, with connections."""

import os

import machine
import wire
from candidates import make_candidates, missing_tool
from inprocess import Spec, run_program
from results import Key

MIB, GIB = 1 << 20, 1 << 30
STORED = (256 * MIB, GIB, 4 * GIB, 12 * GIB)
FAR = (10**4, 10**5, 10**6, 10**7)
CONNECTIONS = (1, 2, 8, 64)
QUICK = ((16 * MIB, 32 * MIB), (1000, 2000), (1, 2))
# The most memory that a far-apart page takes.
FAR_BYTES = {("ours", "sparse"): 12500, ("ours", "zstd"): 6000, ("old", "sparse"): 45000,
             ("old", "zstd"): 45000}
# The old plugin takes minutes for more.
MOST_OF_OLD = {"stored": GIB, "far": 10**5}

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


def in_process(results, programs, name, allocator, place, steps, files):
    """`place`: stored or far; `steps`: each with the bytes of memory it needs."""
    for step, needed in steps:
        if name == "old" and step > MOST_OF_OLD[place]:
            break
        args = ("--size", str(step)) if place == "stored" \
            else ("--count", str(step), "--warm", str(needed))
        group = "growth" if place == "stored" else "far"
        print(f"growth: {name} {allocator} {group} {' '.join(args)}", flush=True)
        record(results, "growth-" + place,
               run_program(programs.inprocess, programs.plugins[name], name,
                           Spec(allocator, group, args), files))


def run(results, programs, disks, quick, most, files):
    """Once, not in rounds. `disks`: each with the plugins that have it; `most`: bytes of memory
    that a step may need."""
    stored, far, connections = QUICK if quick else (STORED, FAR, CONNECTIONS)
    room = machine.available_bytes() * 8 // 10
    if most > room:
        results.note(f"growth ends at {room >> 20} MiB for lack of free memory")
        most = room
    for allocator, plugins in disks.items():
        for name in plugins:
            each = FAR_BYTES[name, allocator]
            for place, steps in (("stored", [(step, step) for step in stored]),
                                 ("far", [(step, step * each) for step in far])):
                in_process(results, programs, name, allocator, place,
                           [(step, needed) for step, needed in steps if needed <= most], files)
    for kind in ("growth-stored", "growth-far"):
        if results.lacking([kind]):
            results.leave_out(kind, f"no step of it fits into {most >> 20} MiB")
    why_not = wire.missing() or missing_tool("nbdcopy")
    if why_not:
        results.leave_out("growth-connections", why_not)
        return
    size = os.path.getsize(files)
    members = [candidate for allocator, plugins in disks.items()
               for candidate in make_candidates(plugins, (allocator,), size)
               if candidate.name in ("null", "ours")]
    for count in connections:
        print(f"growth: {count} connection(s)", flush=True)
        session = Session(results, "growth-connections", 0, count, size, 0.1 if quick else 0.4,
                          files)
        session.run(list(dict.fromkeys(members)), JOBS[:2] if quick else JOBS)
