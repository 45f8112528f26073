"""The targets of the zstd disk; see bars.py."""

from bars import Bars

SMALL, BIG = 4096, 262144


def pair(allocator, workload, block, threads, metric):
    """The figure of the old plugin's zstd disk, and that of ours with the given options."""
    return ("zstd", workload, block, threads, metric), (allocator, workload, block, threads, metric)


def untiered(results):
    """The disk without its tier of uncompressed pages, if that was measured."""
    name = "zstd+cache=0"
    return name if any(key.allocator == name for key in results.figures) else "zstd"


def speed_bars(bars):
    codec = untiered(bars.results)

    def rate(text, goal, allocator, workload, threads):
        old, ours = pair(allocator, workload, SMALL, threads, "rate")
        bars.times_old(text, goal, old, "ops/s", ours)

    def speed(text, goal, allocator, workload, block, threads):
        old, ours = pair(allocator, workload, block, threads, "speed")
        bars.times_old(text, goal, old, "MB/s", ours)

    rate("4K random write, cache=0, 1 thread", 8, codec, "files-random-write", 1)
    rate("4K random write, cache=0, 2 threads", 14, codec, "files-random-write", 2)
    bars.times_old("4K random write, twice the tier, 1 thread", 15,
                   ("zstd", "files-random-write-part", SMALL, 1, "rate"), "ops/s")
    rate("4K random read, 1 thread", 4, "zstd", "files-random-read", 1)
    rate("4K random read, 2 threads", 8, "zstd", "files-random-read", 2)
    bars.times_old("4K read of cold pages, first touch", 0.7,
                   ("zstd", "read-cold", SMALL, 1, "rate"), "ops/s")
    bars.times_old("4K read of cold pages, when hot", 4, ("zstd", "read-hot", SMALL, 1, "rate"),
                   "ops/s")
    rate("4K mix, 1 thread", 6, "zstd", "files-random-mix", 1)
    rate("4K mix, 2 threads", 12, "zstd", "files-random-mix", 2)
    # Many times the tier, so it does not matter that there is one.
    speed("sequential 4K write", 3.5, "zstd", "files-fill", SMALL, 1)
    speed("fill 256K, 1 thread", 1.2, "zstd", "files-fill", BIG, 1)
    speed("fill 256K, 2 threads", 1.6, "zstd", "files-fill", BIG, 2)
    speed("read 256K, 1 thread", 0.9, "zstd", "files-read", BIG, 1)
    speed("read 256K, 2 threads", 1.8, "zstd", "files-read", BIG, 2)
    bars.within("burst within the tier", 0.5, ("zstd", "burst", BIG, 1, "speed"),
                ("sparse", "files-fill", BIG, 1, "speed"), "a sparse disk's fill")
    bars.within("incompressible fill", 0.5, ("zstd", "incompressible", BIG, 1, "speed"),
                ("sparse", "incompressible", BIG, 1, "speed"), "a sparse disk's")


def space_bars(bars):
    bars.absolute("ratio after the fill", "≥", 2.15, ("zstd", "files-fill", BIG, 1, "ratio"),
                  "ratio")
    bars.absolute("ratio after a rest", "≥", 2.40, ("zstd", "churn-filled-idle", BIG, 1, "ratio"),
                  "ratio")
    bars.absolute("ratio after two passes of random 4K writes", "≥", 2.05,
                  ("zstd", "churn-rewritten", SMALL, 1, "ratio"), "ratio")
    bars.absolute("the same after a rest", "≥", 2.15,
                  ("zstd", "churn-rewritten-idle", SMALL, 1, "ratio"), "ratio")
    bars.resident_after_trim("resident after trimming all",
                             ("zstd", "files-overwrite", BIG, 1, "resident"),
                             ("zstd", "files-trim", BIG, 1, "resident"))
    far = ("zstd", "far", SMALL, 1)
    bars.absolute("far-apart 4K writes", "≥", 150e3, (*far, "rate"), "ops/s")
    bars.absolute("the same, memory for each", "≤", 6000, (*far, "bytes-each"), "bytes")
    bars.absolute("incompressible: resident / data", "≤", 1.03,
                  ("zstd", "incompressible", BIG, 1, "excess"), "ratio")


def inprocess_bars(results):
    bars = Bars(results)
    speed_bars(bars)
    space_bars(bars)
    return bars.rows


def wire_bars(results):
    bars = Bars(results)
    for kind, goal in (("random-read", 0.90), ("random-write", 0.60), ("random-mix", 0.70)):
        for depth in (1, 16):
            bars.of_null(f"{kind} 4K, depth {depth}", "≥", goal, "zstd", f"{kind}-d{depth}",
                         SMALL, "iops", place="wire-files")
    bars.of_null("read 256K", "≥", 0.75, "zstd", "read", BIG, "iops", place="wire-files")
    return bars.rows
