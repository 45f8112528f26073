"""The plots of a run: what to look at first."""

import itertools
import os

import svg
from results import median, ratio
from units import show, show_block, show_count

BIG, SMALL = 262144, 4096


def inprocess(results, path, subtitle):
    wanted = []
    for allocator in ("sparse", "malloc", "zstd"):
        for workload, block, threads, metric in (
                ("fill", BIG, 1, "speed"), ("fill", SMALL, 1, "speed"),
                ("overwrite", BIG, 1, "speed"), ("read", BIG, 1, "speed"),
                ("random-read", SMALL, 1, "rate"), ("random-read", SMALL, 2, "rate"),
                ("random-write", SMALL, 1, "rate"), ("random-write", SMALL, 2, "rate"),
                ("random-mix", SMALL, 1, "rate"), ("random-mix", SMALL, 2, "rate"),
                ("far", SMALL, 1, "rate"), ("files-fill", BIG, 1, "speed"),
                ("files-read", BIG, 1, "speed"), ("files-random-read", SMALL, 2, "rate"),
                ("files-random-write", SMALL, 2, "rate"), ("files-random-mix", SMALL, 2, "rate")):
            if allocator == "malloc" and workload == "fill":
                continue  # its memory is there from the start
            wanted.append((allocator, workload, block, threads, metric))
    groups = []
    for figure in wanted:
        plugins = results.find("inprocess", *figure)
        value = ratio(plugins.get("ours"), plugins.get("old"))
        if value is None:
            continue
        allocator, workload, block, threads, metric = figure
        unit = "MB/s" if metric == "speed" else "ops/s"
        note = f"{value:.2f}× ({show(median(plugins['old']), unit)} → " \
               f"{show(median(plugins['ours']), unit)})"
        label = f"{allocator}: {workload} {show_block(block)}, {show_count(threads, 'thread')}"
        groups.append((label, [(value, note)]))
    return svg.bar_chart(path, "In-process, ours relative to the old plugin (log scale)",
                         subtitle, ("ours",), groups, logarithmic=True)


def wire(results, place, allocator, path, subtitle):
    groups = []
    for key, plugins in results.figures.items():
        if (key.place, key.allocator, key.metric) != (place, allocator, "iops"):
            continue
        others = results.find(place, "", *key[2:6])
        null = others.get("null")
        members = (plugins.get("ours"), plugins.get("old"), others.get("file"))
        values = [ratio(member, null) for member in members]
        label = f"{key.workload} {show_block(key.block)}, {key.threads} conn."
        groups.append((label, [(v, show(median(m), key.unit)) for v, m in zip(values, members)]))
    return svg.bar_chart(path, f"{allocator} over the wire, requests a second relative to null",
                         subtitle, ("ours", "old", "file on tmpfs"), groups)


def latency(results, path, subtitle):
    """The slowest in a hundred requests of 4 KiB: one under way, sixteen, by one and by eight."""
    groups = []
    for place, allocator in (("wire", "sparse"), ("wire-files", "zstd")):
        for what, depth, connections in itertools.product(("read", "write"), (1, 16), (1, 8)):
            figure = (f"random-{what}-d{depth}", SMALL, connections, "p99")
            plugins = results.find(place, allocator, *figure)
            null = results.find(place, "", *figure).get("null")
            members = [median(m) for m in (plugins.get("ours"), plugins.get("old"), null)]
            if any(m is not None for m in members):
                label = f"{allocator}: {what}, {depth} at a time, {show_count(connections, 'conn')}."
                groups.append((label, [(m, show(m, "us")) for m in members]))
    return svg.bar_chart(path, "Latency of random 4 KiB over the wire: 99 % are faster (log scale)",
                         subtitle, ("ours", "old", "null"), groups, logarithmic=True, unit="us")


def memory_after_trim(results, path, subtitle):
    """What is resident after everything has been trimmed, of what was before."""
    groups = []
    for allocator, full, trimmed, block, threads in (
            ("sparse", "fill", "trim", BIG, 1), ("sparse", "fill", "trim", SMALL, 1),
            ("sparse", "fill", "trim", BIG, 2), ("zstd", "files-fill", "files-trim", BIG, 1),
            ("zstd", "files-fill", "files-trim", SMALL, 1)):
        before = results.find("inprocess", allocator, full, block, threads, "resident")
        after = results.find("inprocess", allocator, trimmed, block, threads, "resident")
        if not before or not after:
            continue
        left = [(ratio(after.get(p), before.get(p)), show(median(after.get(p)), "bytes"))
                for p in ("ours", "old")]
        label = f"{allocator}: {show_block(block)}, {show_count(threads, 'thread')}"
        groups.append((label, left))
    return svg.bar_chart(path, "Memory after everything was trimmed, of what it was before",
                         subtitle, ("ours", "old"), groups)


def compression(results, path, subtitle):
    """How much of real files a byte of memory holds, over the life of a disk."""
    groups = []
    for label, workload, block in (
            ("right after the fill", "churn-filled", BIG),
            ("after a rest", "churn-filled-idle", BIG),
            ("after two passes of random writes", "churn-rewritten", SMALL),
            ("after another rest", "churn-rewritten-idle", SMALL)):
        plugins = results.find("inprocess", "zstd", workload, block, 1, "ratio")
        values = [median(plugins.get(p)) for p in ("ours", "old")]
        if any(v is not None for v in values):
            groups.append((label, [(v, "" if v is None else f"{v:.2f} : 1") for v in values]))
    return svg.bar_chart(path, "zstd: bytes of real files for each byte of memory, all counted",
                         subtitle, ("ours", "old"), groups)


def section(results, out, subtitle):
    """Draws what there are figures for; the Markdown that shows it."""
    names = []

    def draw(name, plot, *args):
        if plot(results, *args, os.path.join(out, name), subtitle):
            names.append(name)

    draw("inprocess.svg", inprocess)
    draw("memory.svg", memory_after_trim)
    draw("compression.svg", compression)
    draw("latency.svg", latency)
    for place, allocator in (("wire", "sparse"), ("wire", "malloc"), ("wire-files", "zstd")):
        draw(f"wire-{allocator}.svg", wire, place, allocator)
    return "".join(f"![{name}]({name})\n\n" for name in names)
