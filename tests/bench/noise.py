"""What of a difference is noise: the quartiles of the rounds decide."""

import statistics

from results import median

ENOUGH = 3  # rounds; with fewer there are no quartiles to speak of
LEAST = 0.02  # a difference below this is of no interest, even where the rounds hardly differ
COLD = 0.1  # of the other rounds' median: what the first round has to be off


def quartiles(rounds):
    """The first and the third of {round: value}; None if there are too few rounds."""
    if len(rounds or {}) < ENOUGH:
        return None
    first, _, third = statistics.quantiles(rounds.values(), n=4, method="inclusive")
    return first, third


def shift(rounds, base):
    """By how much the medians differ, up or down: 0.5 if one is half of the other."""
    low, high = sorted((median(rounds), median(base)))
    return (high - low) / high if high else 0


def more_is_better(key):
    return key.unit in ("ops/s", "MB/s") or key.metric == "ratio"


def verdict(key, rounds, base):
    """How `rounds` compare with those of `base`; "" if nothing can be said."""
    mine, other = quartiles(rounds), quartiles(base)
    if not mine or not other:
        return ""
    overlap = mine[0] <= other[1] and other[0] <= mine[1]
    if overlap or shift(rounds, base) < LEAST:
        return "within noise"
    return "better" if (mine[0] > other[1]) == more_is_better(key) else "worse"


def is_cold(rounds):
    """Whether the first round differs from the others, which differ less among themselves."""
    if len(rounds or {}) < ENOUGH or 0 not in rounds:
        return False
    others = [value for number, value in rounds.items() if number > 0]
    middle = statistics.median(others)
    off = abs(rounds[0] - middle)
    return off > COLD * middle and off > 2 * (max(others) - min(others))


def remarks(key, plugins):
    """What a row says of ours beside the old plugin, and whose first round was cold."""
    cold = [name for name, rounds in plugins.items() if is_cold(rounds)]
    ours, old = plugins.get("ours"), plugins.get("old")
    words = [verdict(key, ours, old)]
    if ours and old and len(ours) < ENOUGH:
        words.append(f"{len(ours)} round" + "s" * (len(ours) > 1))
    if cold:
        words.append("cold: " + " ".join(cold))
    return ", ".join(filter(None, words))
