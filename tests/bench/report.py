"""What was measured, as Markdown tables."""

import bars
import bars_zstd
from results import median, ratio
from units import show, show_block

FACTS = (("cpu", "{}"), ("cpus", "{} CPUs"), ("memory_gib", "{} GiB"), ("kernel", "Linux {}"),
         ("huge_pages", "huge pages: {}"), ("nbdkit", "nbdkit {}"), ("zstd", "zstd {}"))
VERDICTS = {True: "met", False: "**not met**", None: "not measured"}


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def bars_section(title, rows):
    rows = [r for r in rows if r.met is not None or r.ours != "–"]
    if not rows:
        return ""
    met = sum(r.met is True for r in rows)
    header = ("workload", "target", "old", "ours", "ratio", "")
    return (f"## {title}\n\n{met} of {len(rows)} met.\n\n"
            + table(header, [(*r[:5], VERDICTS[r.met]) for r in rows]) + "\n")


def show_ratio(value):
    return "–" if value is None else f"{value:.2f}"


def inprocess_section(results):
    text = ""
    keys = [k for k in results.figures if k.place == "inprocess"]
    for allocator in dict.fromkeys(k.allocator for k in keys):
        rows = []
        for key in (k for k in keys if k.allocator == allocator):
            plugins = results.figures[key]
            old, ours = plugins.get("old"), plugins.get("ours")
            rows.append((key.workload, show_block(key.block), key.threads or "", key.metric,
                         show(median(old), key.unit), show(median(ours), key.unit),
                         show_ratio(ratio(ours, old))))
        text += f"### {allocator.replace('+', ',')}\n\n" + table(
            ("workload", "block", "threads", "figure", "old", "ours", "ours / old"), rows) + "\n"
    return "## In-process, all figures\n\n" + text if text else ""


def wire_rows(results, place, allocator):
    for key, plugins in results.figures.items():
        if key.place != place or key.allocator != allocator:
            continue
        if key.metric == "speed" and key.block == 4096:
            continue  # says the same as iops
        others = results.find(place, "", *key[2:6])
        null, old, ours = others.get("null"), plugins.get("old"), plugins.get("ours")
        yield (key.workload, show_block(key.block), key.threads, key.metric,
               *(show(median(r), key.unit) for r in (null, others.get("file"), old, ours)),
               show_ratio(ratio(old, null)), show_ratio(ratio(ours, null)),
               show_ratio(ratio(ours, old)))


def wire_section(results):
    text = ""
    header = ("workload", "block", "connections", "figure", "null", "file on tmpfs", "old", "ours",
              "old / null", "ours / null", "ours / old")
    for place in ("wire", "wire-files"):
        for allocator in dict.fromkeys(k.allocator for k in results.figures
                                       if k.place == place and k.allocator):
            text += f"### {allocator}\n\n"
            text += table(header, wire_rows(results, place, allocator)) + "\n"
    return "## Over the wire, all figures\n\n" + text if text else ""


def zram_section(results):
    """The kernel's compressed RAM disk works for its own machine only, and needs no wire."""
    rows = []
    for key, plugins in results.figures.items():
        if "zram" not in plugins or key.metric not in ("iops", "ratio", "p99"):
            continue
        ours = results.find(key.place, "zstd", *key[2:6]).get("ours")
        rows.append((key.workload, show_block(key.block), key.threads, key.metric,
                     show(median(ours), key.unit), show(median(plugins["zram"]), key.unit)))
    header = ("workload", "block", "connections", "figure", "ours, over the wire",
              "zram with lz4, local")
    return "## The kernel's compressed RAM disk\n\n" + table(header, rows) + "\n" if rows else ""


def targets(results):
    wire = "over the wire (1 / 2 / 8 connections)"
    return (bars_section("Targets, in-process", bars.inprocess_bars(results))
            + bars_section(f"Targets, {wire}", bars.wire_bars(results))
            + bars_section("Targets of the zstd disk, in-process",
                           bars_zstd.inprocess_bars(results))
            + bars_section(f"Targets of the zstd disk, {wire}", bars_zstd.wire_bars(results)))


def describe(run):
    """The day and the machine in one line, as far as the file of the run knows."""
    return run["date"] + "; " + ", ".join(shown.format(run["machine"][name])
                                          for name, shown in FACTS if name in run["machine"])


def text(results):
    notes = "".join(f"- Note: {note}.\n" for note in results.notes)
    judged = targets(results) if results.run["judged"] else ""
    return (f"# Benchmarks\n\n{describe(results.run)}; {results.rounds()} round(s), medians; "
            "ratios are medians of the rounds' ratios. `old` is the distribution's memory plugin. "
            "First fills find memory that the machine has touched just before, so that a "
            f"hypervisor's share in the first touch is not measured.\n\n{notes}\n{judged}"
            + inprocess_section(results) + wire_section(results) + zram_section(results))
