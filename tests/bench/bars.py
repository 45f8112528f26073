"""The figures that the project wants to reach, and whether this run reached them."""

import collections

from results import median, ratio
from units import show

MIB = 1 << 20
Bar = collections.namedtuple("Bar", "text target old ours ratio met")


class Bars:
    """Makes the rows of a table of targets out of what was measured. A target whose figures are
    missing makes a row that says so: met is None."""

    def __init__(self, results):
        self.results = results
        self.rows = []

    def _find(self, figure, place="inprocess"):
        return self.results.find(place, *figure)

    def _add(self, text, target, unit, old, ours, ratio_value, met):
        self.rows.append(Bar(text, target, show(old, unit), show(ours, unit),
                             "–" if ratio_value is None else f"{ratio_value:.2f}", met))

    def times_old(self, text, goal, figure, unit, ours=None, place="inprocess"):
        """Ours is at least `goal` times the old plugin's, or at most, if less is better.
        `figure`: allocator, workload, block, threads, metric; `ours` if ours has another one."""
        old_rounds = self._find(figure, place).get("old")
        our_rounds = self._find(ours or figure, place).get("ours")
        value = ratio(our_rounds, old_rounds)
        less = goal < 1 and unit in ("s", "us")
        met = None if value is None else (value <= goal if less else value >= goal)
        sign = "≤" if less else "≥"
        self._add(text, f"{sign} {goal:.3g} × old", unit, median(old_rounds), median(our_rounds),
                  value, met)

    def absolute(self, text, sign, goal, figure, unit, old=None):
        """Ours is at least or at most `goal`. `old` if the old plugin has another figure."""
        old_rounds = self._find(old or figure).get("old")
        our_rounds = self._find(figure).get("ours")
        ours = median(our_rounds)
        met = None if ours is None else (ours >= goal if sign == "≥" else ours <= goal)
        self._add(text, f"{sign} {show(goal, unit)}", unit, median(old_rounds), ours,
                  ratio(our_rounds, old_rounds), met)

    def within(self, text, goal, figure, base, what):
        """Of one plugin: a figure is at least `goal` times another one."""
        values = {}
        for plugin in ("old", "ours"):
            values[plugin] = ratio(self._find(figure).get(plugin), self._find(base).get(plugin))
        ours = values["ours"]
        self._add(text, f"≥ {goal:.3g} × {what}", "ratio", values["old"], ours, None,
                  None if ours is None else ours >= goal)

    def resident_after_trim(self, text, stored, trimmed):
        """At most 2 % of what was resident before, and 8 MiB."""
        after = {}
        for plugin in ("old", "ours"):
            after[plugin] = median(self._find(trimmed).get(plugin))
        before = median(self._find(stored).get("ours"))
        known = before is not None and after["ours"] is not None
        goal = 0.02 * before + 8 * MIB if known else 0
        target = f"≤ 2 % + 8 MiB = {show(goal, 'bytes')}" if known else "≤ 2 % + 8 MiB"
        self._add(text, target, "bytes", after["old"], after["ours"], None,
                  after["ours"] <= goal if known else None)

    def of_null(self, text, sign, goal, allocator, workload, block, metric, place="wire",
                connections=(1, 2, 8)):
        """Over the wire, of what the null plugin does, with every number of connections."""
        values = {"old": [], "ours": []}
        for count in connections:
            null = self.results.find(place, "", workload, block, count, metric).get("null")
            found = self.results.find(place, allocator, workload, block, count, metric)
            for plugin, list_of_ratios in values.items():
                value = ratio(found.get(plugin), null)
                if value is not None:
                    list_of_ratios.append(value)
        ours = values["ours"]
        met = None
        if len(ours) == len(connections):
            met = all(v >= goal if sign == "≥" else v <= goal for v in ours)
        texts = {plugin: " / ".join(f"{v:.2f}" for v in found) or "–"
                 for plugin, found in values.items()}
        self.rows.append(Bar(text, f"{sign} {goal:.2f} × null", texts["old"], texts["ours"], "–",
                             met))


def sequential_bars(bars):
    big, small = 262144, 4096
    bars.times_old("sparse: first fill 256K, 1 thread", 6, ("sparse", "fill", big, 1, "speed"),
                   "MB/s")
    bars.times_old("sparse: first fill 4K, 1 thread", 4, ("sparse", "fill", small, 1, "speed"),
                   "MB/s")
    for allocator in ("sparse", "malloc"):
        for workload, plain in (("overwrite", "memcpy-in"), ("read", "memcpy-out")):
            figure = (allocator, workload, big, 1, "speed")
            text = f"{allocator}: {workload} 256K, 1 thread"
            bars.times_old(text, 1, figure, "MB/s")
            bars.within(text, 0.9, figure, (allocator, plain, big, 1, "speed"), "memcpy")


def random_bars(bars):
    kinds = ("random-read", "random-write", "random-mix")
    for kind in kinds:
        bars.times_old(f"sparse: {kind} 4K, 1 thread", 1.2, ("sparse", kind, 4096, 1, "rate"),
                       "ops/s")
    for allocator in ("sparse", "malloc"):
        for kind in kinds:
            for block in (4096, 32768, 262144):
                bars.within(f"{allocator}: {kind} {block // 1024}K, 2 threads", 1.8,
                            (allocator, kind, block, 2, "rate"),
                            (allocator, kind, block, 1, "rate"), "1 thread")
    hot = ("sparse", "hot-page", 4096)
    bars.within("sparse: one hot 4K page, 16 threads", 0.8, (*hot, 16, "rate"),
                (*hot, 2, "rate"), "2 threads")


def space_bars(bars):
    far = ("sparse", "far", 4096, 1)
    bars.absolute("sparse: 100,000 far-apart 4K writes", "≥", 300e3, (*far, "rate"), "ops/s")
    bars.absolute("sparse: the same, memory for each", "≤", 12500, (*far, "bytes-each"), "bytes")
    # 5 % for the noise of a single measurement.
    bars.within("sparse: the next 900,000", 0.95, ("sparse", "far-more", 4096, 1, "rate"),
                (*far, "rate"), "the first 100,000")
    trim = ("sparse", "trim", 262144, 1)
    bars.resident_after_trim("sparse: resident after trimming 2 GiB",
                             ("sparse", "fill", 262144, 1, "resident"), (*trim, "resident"))
    bars.absolute("sparse: trimming 2 GiB", "≥", 20e3, (*trim, "speed"), "MB/s")
    bars.absolute("sparse: half trimmed, (resident − 16 MiB) / stored", "≤", 1.10,
                  ("sparse", "trim-half", 65536, 1, "excess"), "ratio")
    bars.absolute("sparse: trimmed and refilled ten times, (resident − 16 MiB) / stored, worst",
                  "≤", 1.15, ("sparse", "refill", 65536, 1, "excess"), "ratio")
    bars.absolute("sparse: block status of a 4 GiB hole", "≤", 5,
                  ("sparse", "hole-extents", 4294963200, 1, "time"), "us")
    bars.times_old("malloc: start of 8 GiB", 0.125, ("malloc", "startup", 0, 1, "seconds"), "s")


def wire_bars(results):
    bars = Bars(results)
    bars.of_null("sparse: fill 256K", "≥", 0.80, "sparse", "fill", 262144, "iops")
    for allocator in ("sparse", "malloc"):
        for workload in ("overwrite", "read"):
            bars.of_null(f"{allocator}: {workload} 256K", "≥", 0.95, allocator, workload, 262144,
                         "iops")
        for kind in ("random-read", "random-write", "random-mix"):
            for depth in (1, 16):
                bars.of_null(f"{allocator}: {kind} 4K, depth {depth}", "≥", 0.95, allocator,
                             f"{kind}-d{depth}", 4096, "iops")
        for kind in ("random-read", "random-write", "random-mix"):
            for depth in (1, 16):
                bars.of_null(f"{allocator}: {kind} 4K, depth {depth}: p99", "≤", 1.20, allocator,
                             f"{kind}-d{depth}", 4096, "p99")
    bars.of_null("malloc: fill 256K", "≥", 0.95, "malloc", "fill", 262144, "iops")
    return bars.rows


def inprocess_bars(results):
    bars = Bars(results)
    sequential_bars(bars)
    random_bars(bars)
    space_bars(bars)
    return bars.rows
