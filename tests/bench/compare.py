"""Two runs side by side: what changed beyond noise, for work on the plugin."""

import noise
from results import median
from units import show, show_block

QUIET = 0.1  # of what should not change: the share that may do so by chance


def changes(before, after):
    """(key, member, its rounds in both, "better" or "worse" or None) of each figure that can be
    compared: both runs have enough rounds of it. The old plugin is the same in both runs, so what
    its figure of a row shifts is the machine's doing, and ours has to shift by more."""
    for key, plugins in before.figures.items():
        now = after.figures.get(key, {})
        drift = noise.shift(now["old"], plugins["old"]) if "old" in plugins and "old" in now else 0
        for member, old in plugins.items():
            new = now.get(member)
            verdict = noise.verdict(key, new, old)
            if verdict:
                counts = verdict != "within noise" and (member != "ours"
                                                        or noise.shift(new, old) > drift)
                yield key, member, old, new, verdict if counts else None


def row(key, old, new, verdict):
    base = median(old)
    factor = f"{median(new) / base:.2f}" if base else "–"
    return (key.place, key.allocator.replace("+", ","), key.workload, show_block(key.block),
            key.threads or "", key.metric, show(base, key.unit), show(median(new), key.unit),
            factor, verdict)


def summary(found, total):
    """The other candidates were not worked on: what changed of theirs is the machine."""
    ours = [verdict for _, member, _, _, verdict in found if member == "ours"]
    others = [verdict for _, member, _, _, verdict in found if member != "ours"]
    lines = [f"Of {len(ours)} figures of ours {ours.count('better')} are better and "
             f"{ours.count('worse')} are worse beyond noise."]
    if others:
        moved = len(others) - others.count(None)
        lines.append(f"Of {len(others)} figures of the other candidates, which should not change, "
                     f"{moved} did ({moved / len(others):.0%})."
                     + " The machine was not quiet: measure both again."
                     * (moved > QUIET * len(others)))
    if len(found) < total:
        lines.append(f"{total - len(found)} figures are not compared: only one run has them, or "
                     f"fewer than {noise.ENOUGH} rounds of them.")
    return lines


def text(before, after, table):
    """The comparison as Markdown; `table` makes a table of a header and rows."""
    found = list(changes(before, after))
    names = {(key, member) for results in (before, after)
             for key, plugins in results.figures.items() for member in plugins}
    lines = summary(found, len(names))
    machines = [results.run["machine"] for results in (before, after)]
    if machines[0] != machines[1]:
        differing = sorted(name for name in machines[0].keys() | machines[1].keys()
                           if machines[0].get(name) != machines[1].get(name))
        lines.append("The machines differ in: " + ", ".join(differing) + ".")
    rows = [row(key, old, new, verdict) for key, member, old, new, verdict in found
            if member == "ours" and verdict]
    header = ("place", "disk", "workload", "block or size", "threads", "figure", "before", "after",
              "after / before", "")
    return "\n".join(lines) + "\n" + ("\n" + table(header, rows) if rows else "")
