"""The plot of a run: throughput and latency over the wire, disk by disk."""

from results import median
from units import show, show_block
from wire import CONNECTIONS

DISKS = (("wire", "sparse"), ("wire", "malloc"), ("wire-files", "zstd"))
WORKLOADS = (("fill", 262144), ("read", 262144), ("random-read-d1", 4096),
             ("random-write-d1", 4096), ("random-read-d16", 4096), ("random-write-d16", 4096))
PANELS = (("iops", "ops/s", "requests"), ("p99", "us", "99 % of requests take less"))
MEMBERS = (("null", "|", "#222222"), ("file", "D", "#8a8a8a"), ("old", "s", "#c8553d"),
           ("ours", "o", "#0b62a4"))


def row_label(workload, block):
    name, _, depth = workload.partition("-d")
    return f"{name} {show_block(block)}" + (f", depth {depth}" if depth else "")


def rows_of(results, place, disk):
    """(label, {metric: {member: figure}}) of each workload that was measured with the disk."""
    for workload, block in WORKLOADS:
        figures = {}
        for metric, _, _ in PANELS:
            key = (workload, block, CONNECTIONS, metric)
            rounds = {**results.find(place, "", *key), **results.find(place, disk, *key)}
            figures[metric] = {member: median(values) for member, values in rounds.items()}
        if "ours" in figures["iops"]:
            yield row_label(workload, block), figures


def draw_panel(axes, rows, metric, unit):
    for member, marker, color in MEMBERS:
        places = [(figures[metric][member], at) for at, (_, figures) in enumerate(rows)
                  if member in figures[metric]]
        if places:
            axes.plot(*zip(*places), marker, color=color, label=member, markeredgewidth=2)
    axes.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)),
             yticklabels=[label for label, _ in rows])
    axes.minorticks_off()
    axes.xaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.xaxis.set_major_formatter(lambda value, _: show(value, unit))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def draw(results, path, subtitle):
    """Writes the plot to `path`; returns why not, or None. matplotlib need not be installed."""
    disks = {disk: list(rows_of(results, place, disk)) for place, disk in DISKS}
    disks = {disk: rows for disk, rows in disks.items() if rows}
    if not disks:
        return f"nothing was measured over the wire with {CONNECTIONS} connections"
    try:
        # pylint: disable=import-outside-toplevel
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError as error:
        return f"{error} (Debian: python3-matplotlib)"
    # The same figures always give the same file, with text as text.
    rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    heights = [len(rows) for rows in disks.values()]
    figure = Figure(figsize=(10, 1.6 + 0.3 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(disks), len(PANELS), sharex="col", sharey="row", squeeze=False,
                           gridspec_kw={"height_ratios": heights})
    for (disk, rows), line in zip(disks.items(), grid):
        for axes, (metric, unit, _) in zip(line, PANELS):
            draw_panel(axes, rows, metric, unit)
        line[0].set_ylabel(disk, fontweight="bold")
    for axes, (_, _, title) in zip(grid[-1], PANELS):
        axes.set_xlabel(title)
    grid[0][0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=len(MEMBERS), frameon=False)
    figure.suptitle(f"Over the wire, {CONNECTIONS} connections (log scale)\n{subtitle}")
    figure.savefig(path, metadata={"Date": None})
    return None
