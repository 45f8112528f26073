"""Two runs side by side: what changed beyond noise, for work on the plugin."""

import noise
from results import median
from units import show, show_block

LEAST = 0.02  # a change below this is of no interest, even where the rounds hardly differ


def shift(before, after):
    """By how much the median changed, up or down: 0.5 if it is half or double."""
    low, high = sorted((median(before), median(after)))
    return (high - low) / high if high else 0


def changes(before, after):
    """(key, member, its rounds in both, "better" or "worse" or None) of each figure that can be
    compared: both runs have enough rounds of it. The old plugin is the same in both runs, so what
    its figure of a row shifts is the machine's doing, and ours has to shift by more."""
    for key, plugins in before.figures.items():
        now = after.figures.get(key, {})
        least = LEAST
        if "old" in plugins and "old" in now:
            least = max(least, shift(plugins["old"], now["old"]))
        for member, old in plugins.items():
            verdict = noise.verdict(key, now.get(member), old)
            if verdict:
                moved = shift(old, now[member]) > (least if member == "ours" else LEAST)
                yield (key, member, old, now[member],
                       verdict if moved and verdict != "within noise" else None)


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
                     f"{moved} did ({moved / len(others):.0%}).")
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
