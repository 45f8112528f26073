"""What was measured, as Markdown tables."""

import noise
from results import median, ratio
from units import show, show_block

FACTS = (("cpu", "{}"), ("cpus", "{} CPUs"), ("memory_gib", "{} GiB"), ("kernel", "Linux {}"),
         ("huge_pages", "huge pages: {}"), ("nbdkit", "nbdkit {}"), ("zstd", "zstd {}"))
# Of what is measured against servers: the place, its title, what its block and threads are, and the
# candidate without a disk that the others are compared with.
SERVERS = (("wire", "Over the wire", ("block", "connections"), "null"),
           ("wire-files", "Over the wire, real files", ("block", "connections"), "null"),
           ("clients", "Real clients", ("size", ""), "copy"))
# Of what grows: the place, its title, the field of a key that grows, and how to show it.
GROWTH = (("growth-stored", "Cost of a page against what is stored", "block", show_block),
          ("growth-far", "Cost of a page against the number of far-apart pages", "block",
           "{:,}".format),
          ("growth-connections", "Cost of a request against connections", "threads", str))
COSTS = ("cost", "memory", "cpu")
OTHERS = ("null", "copy", "file")  # candidates that have no allocators

EXPLANATION = """\
Medians of the rounds; a ratio is the median of the rounds' ratios. `old` is the distribution's
memory plugin, `null` nbdkit's plugin that does nothing, `copy` one that copies each request and
keeps nothing, `file` nbdkit's file plugin on tmpfs. `better` and `worse` are said of ours beside
old where the quartiles of the rounds do not overlap and the medians differ by 2 % at least;
otherwise the two are within noise. With three rounds at least one row in ten differs so by chance;
`--rounds 5` makes that rare.
`cold` names those whose first round differs from the others. Before each candidate takes memory,
as much has been touched and freed, so that a hypervisor's share in the first touch is not
measured. Server CPU is user and system time of the server's process. `limit` is what the machine
can do without a disk: memcpy of the same bytes, to memory that is touched first for a fill, or zstd
alone at its default level on the same pages, without a dictionary."""


def table(header, rows):
    """Without the columns in which there is nothing."""
    rows = [[str(cell) for cell in row] for row in rows]
    kept = [n for n in range(len(header)) if any(row[n] not in ("", "–") for row in rows)]
    lines = ["| " + " | ".join(header[n] for n in kept) + " |", "|" + "---|" * len(kept)]
    lines += ["| " + " | ".join(row[n] for n in kept) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def show_ratio(value):
    return "–" if value is None else f"{value:.2f}"


def inprocess_section(results):
    text = ""
    keys = [k for k in results.figures if k.place == "inprocess"]
    header = ("workload", "block", "threads", "figure", "limit", "old", "ours", "ours / limit",
              "ours / old", "beyond noise")
    for allocator in dict.fromkeys(k.allocator for k in keys):
        rows = []
        for key in (k for k in keys if k.allocator == allocator):
            plugins = results.figures[key]
            limit, old, ours = map(plugins.get, ("limit", "old", "ours"))
            rows.append((key.workload, show_block(key.block), key.threads or "", key.metric,
                         *(show(median(rounds), key.unit) for rounds in (limit, old, ours)),
                         show_ratio(ratio(ours, limit)), show_ratio(ratio(ours, old)),
                         noise.remarks(key, plugins)))
        text += f"### {allocator.replace('+', ',')}\n\n" + table(header, rows) + "\n"
    return "## In-process\n\n" + text if text else ""


def server_rows(results, place, allocator, base):
    for key, plugins in results.figures.items():
        if key.place != place or key.allocator != allocator:
            continue
        if key.metric == "speed" and key.block == 4096:
            continue  # says the same as iops
        others = results.find(place, "", *key[2:6])
        old, ours = plugins.get("old"), plugins.get("ours")
        yield (key.workload, show_block(key.block), key.threads or "", key.metric,
               *(show(median(others.get(name)), key.unit) for name in OTHERS),
               show(median(old), key.unit), show(median(ours), key.unit),
               show_ratio(ratio(old, others.get(base))), show_ratio(ratio(ours, others.get(base))),
               show_ratio(ratio(ours, old)), noise.remarks(key, {**others, **plugins}))


def server_sections(results):
    text = ""
    for place, title, (block, threads), base in SERVERS:
        header = ("workload", block, threads, "figure", *OTHERS, "old", "ours", f"old / {base}",
                  f"ours / {base}", "ours / old", "beyond noise")
        allocators = dict.fromkeys(k.allocator for k in results.figures
                                   if k.place == place and k.allocator)
        for number, allocator in enumerate(allocators):
            text += f"## {title}\n\n" if number == 0 else ""
            text += f"### {allocator}\n\n"
            text += table(header, server_rows(results, place, allocator, base)) + "\n"
    return text


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


def growth_rows(results, place, field, steps):
    rows = {}
    for key, plugins in results.figures.items():
        if key.place == place and key.metric in COSTS:
            for member, rounds in plugins.items():
                name = (key.allocator or "–", member, key.workload, key.metric, key.unit)
                rows.setdefault(name, {})[getattr(key, field)] = median(rounds)
    for (*name, unit), values in rows.items():
        first, last = values[min(values)], values[max(values)]
        yield (*name, *(show(values.get(step), unit) for step in steps),
               f"{last / first:.2f}" if first and len(values) > 1 else "–")


def growth_sections(results):
    """A row for each cost, flat where the last figure is as the first."""
    text = ""
    for place, title, field, shown in GROWTH:
        steps = sorted({getattr(key, field) for key in results.figures if key.place == place})
        if steps:
            header = ("disk", "plugin", "workload", "figure", *map(shown, steps), "last / first")
            text += f"## {title}\n\n{table(header, growth_rows(results, place, field, steps))}\n"
    return text


def describe(run):
    """The day and the machine in one line, as far as the file of the run knows."""
    return run["date"] + "; " + ", ".join(shown.format(run["machine"][name])
                                          for name, shown in FACTS if name in run["machine"])


def text(results):
    notes = "".join(f"- Note: {note}.\n" for note in results.notes)
    return (f"# Benchmarks\n\n{describe(results.run)}; {results.rounds()} round(s).\n\n"
            f"{EXPLANATION}\n\n{notes}\n" + server_sections(results) + inprocess_section(results)
            + growth_sections(results) + zram_section(results))
