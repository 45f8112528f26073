"""Measured figures of all rounds, their medians and their ratios."""

import collections
import csv
import math
import statistics

# What was measured. `threads` are threads in-process and connections over the wire.
Key = collections.namedtuple("Key", "place allocator workload block threads metric unit")
COLUMNS = ("round", "place", "plugin", "allocator", "workload", "block", "threads", "metric",
           "value", "unit")


class Results:
    def __init__(self):
        self.figures = {}  # Key -> plugin -> round -> value
        self.rows = []
        self.notes = []  # what a reader of the figures has to know

    def add(self, round_number, plugin, key, value):
        value = float(value)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{plugin}: {key}: not a figure: {value}")
        self.figures.setdefault(key, {}).setdefault(plugin, {})[round_number] = value
        self.rows.append((round_number, key.place, plugin, key.allocator, key.workload, key.block,
                          key.threads, key.metric, f"{value:.6g}", key.unit))

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            print("note: " + text, flush=True)

    def find(self, place, allocator, workload, block, threads, metric):
        """The rounds of every plugin for one figure; empty when it was not measured."""
        for key, plugins in self.figures.items():
            if key[:6] == (place, allocator, workload, block, threads, metric):
                return plugins
        return {}

    def write_csv(self, path):
        with open(path, "w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(self.rows)


def median(rounds):
    """Of one plugin's {round: value}; None when there is none."""
    return statistics.median(rounds.values()) if rounds else None


def ratio(rounds, base):
    """Median of the rounds' ratios: the two of a round were measured close to each other, so the
    machine's slow drift does not enter. None when they have no round in common."""
    ratios = [rounds[r] / base[r] for r in rounds or {} if r in (base or {}) and base[r] > 0]
    return statistics.median(ratios) if ratios else None
