"""Runs the in-process benchmarks: which ones there are, and the candidates in turn."""

import collections
import functools
import subprocess
import sys

import machine
import server
from results import Key, rotated
from schedule import Task

GIB = 1 << 30
UNTIERED = "zstd,cache=0"  # without its tier of uncompressed pages: the codec's own speed

# One process for each candidate. once: in the first round only, since it takes long; only: the one
# candidate that can do it at all; memory: what has to be free.
Spec = collections.namedtuple("Spec", "allocator group args once only memory",
                              defaults=((), False, None, 4 * GIB))

# What a process measures, by group.
WORKLOADS = {
    "stream": ("fill", "overwrite", "read", "trim"),
    "random": ("random-read", "random-write", "random-mix", "hot-page", "random"),
    "far": ("far",),
    "trim-half": ("trim-half",),
    "refill": ("refill",),
    "holes": ("hole-extents", "hole-trim", "hole-read"),
    "startup": ("startup",),
    "growth": ("fill", "random-read", "random-write"),
    "files-stream": ("files-fill", "files-read", "files-overwrite", "files-trim"),
    "files-random": ("files-random-read", "files-random-write", "files-random-mix", "files-random"),
    "files-churn": ("churn-filled", "churn-filled-idle", "read-cold", "read-hot", "churn-rewrite",
                    "churn-rewritten", "churn-rewritten-idle", "churn-trim"),
    "files-burst": ("burst", "journal"),
    "incompressible": ("incompressible",),
}


def spec(allocator, group, *args, **kwargs):
    return Spec(allocator, group, args, **kwargs)


def quick_specs():
    """Each kind of work once, in seconds."""
    small = ("--seconds", "0.02", "--passes", "1")
    specs = [
        spec("sparse", "stream", "--size", "64M", "--blocks", "256K", "--threads", "1",
             "--reference", *small),
        spec("sparse", "random", "--size", "64M", "--blocks", "4K", "--reference", *small),
        spec("sparse", "trim-half", "--size", "64M"),
        spec("sparse", "refill", "--size", "128M"),
        spec("sparse", "holes", *small),
        spec("malloc", "stream", "--size", "64M", "--blocks", "4K", "--threads", "2", *small),
        spec("malloc", "startup", "--size", "64M"),
    ]
    return [s._replace(memory=GIB) for s in specs]


def quick_zstd_specs():
    small = ("--seconds", "0.02", "--idle", "0.1", "--size", "8M")
    specs = [
        spec("zstd", "files-stream", "--blocks", "256K", "--threads", "1", "--reference", *small),
        spec("zstd", "files-random", "--reference", *small),
        spec("zstd", "files-churn", *small),
        spec("zstd", "files-burst", "--part", "2M", *small),
        spec("zstd", "incompressible", *small),
    ]
    return [s._replace(memory=GIB) for s in specs]


def stream(allocator, size, block, threads, *args):
    return spec(allocator, "stream", "--size", size, "--blocks", block, "--threads", threads,
                *args)


def full_specs():
    few = ("--passes", "3")
    random = ("--size", "512M", "--blocks", "4K,256K", "--reference", "--seconds", "0.2")
    return [
        # Large enough for the first fill and for trimming to take a while.
        stream("sparse", "1G", "256K", "1", "--reference", *few),
        stream("sparse", "512M", "4K", "1", "--reference", *few),
        stream("sparse", "512M", "256K", "2", "--reference", *few),
        stream("sparse", "512M", "4K", "2", "--reference", *few),
        stream("malloc", "512M", "256K", "1", "--reference", *few),
        stream("malloc", "512M", "256K", "2", "--reference", *few),
        stream("malloc", "512M", "4K", "1", "--reference", *few),
        spec("sparse", "random", *random),
        spec("malloc", "random", *random),
        spec("sparse", "trim-half", "--size", "1G"),
        spec("sparse", "refill", "--size", "4G"),
        spec("sparse", "holes"),
        spec("malloc", "startup", "--size", "8G", once=True, memory=9 * GIB),
    ]


def full_zstd_specs(tier_mib, idle, files, tiered):
    """`tier_mib`: the default size of the tier of uncompressed pages, in MiB; `tiered`: whether
    there is one that can be turned off."""
    size = ("--size", f"{files}M")
    specs = [
        spec("sparse", "files-stream", *size, "--blocks", "256K", "--threads", "1"),
        spec("sparse", "incompressible", *size),
        spec("zstd", "incompressible", *size),
        spec("zstd", "files-burst", *size, "--part", f"{tier_mib // 2}M", "--idle", "0.5"),
        spec("zstd", "files-random", *size, "--part", f"{2 * tier_mib}M", "--threads", "1"),
        spec("zstd", "files-churn", *size, "--idle", str(idle), "--threads", "1", once=True),
    ]
    for allocator, only in (("zstd", None), (UNTIERED, "ours"))[:1 + tiered]:
        rows = (("256K", "1"), ("256K", "2"), ("4K", "1"))
        for block, threads in rows if allocator == "zstd" else rows[:1]:
            specs.append(spec(allocator, "files-stream", *size, "--blocks", block, "--threads",
                              threads, "--reference", only=only))
        specs.append(spec(allocator, "files-random", *size, "--reference", only=only))
    return specs


def run_program(program, plugin, name, one, corpus, timeout=300):
    """The lines of results of one process."""
    command = [program, "--plugin", plugin, "--name", name, "--allocator", one.allocator,
               "--group", one.group, "--corpus", corpus, *one.args]
    if not server.asks_for_huge_pages(name):
        command.append("--small-pages")
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    lines = done.stdout.splitlines()
    measured = {name.removesuffix("-part") for line in lines for name in line.split(",")[2:3]}
    missing = set(WORKLOADS[one.group]) - measured
    if done.returncode != 0 or missing:
        sys.stderr.write(done.stdout + done.stderr)
        raise RuntimeError(f"exit status {done.returncode}, without {sorted(missing)}: "
                           + " ".join(command))
    return lines


def record(results, round_number, lines):
    for line in lines:
        plugin, allocator, workload, block, threads, metric, value, unit = line.split(",")
        key = Key("inprocess", allocator, workload, int(block), int(threads), metric, unit)
        results.add(round_number, plugin, key, value)


def arguments(one, name):
    """The limits are the machine's, and are measured beside ours alone. The old plugin has no
    threads of its own, so a rest changes nothing of it, whatever its length."""
    if name == "ours":
        return one.args
    args = [arg for arg in one.args if arg != "--reference"]
    if name == "old" and "--idle" in args:
        args[args.index("--idle") + 1] = "0.1"
    return args


def run_one(results, program, plugins, one, round_number, *, corpus):
    for name, path in rotated(list(plugins.items()), round_number):
        if one.only not in (None, name):
            continue
        record(results, round_number,
               run_program(program, path, name, one._replace(args=arguments(one, name)), corpus))


def tasks(results, program, plugins, specs, rounds, corpus):
    """One for each of the specs."""
    todo = []
    for one in specs:
        label = " ".join((one.allocator, one.group, *one.args))
        if machine.available_bytes() < one.memory:
            results.leave_out("inprocess", "little free memory for " + label)
        elif not one.only or one.only in plugins:
            todo.append(Task("inprocess", label, 1 if one.once else rounds, functools.partial(
                run_one, results, program, plugins, one, corpus=corpus)))
    return todo
