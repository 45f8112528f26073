"""Measured figures of all rounds, their medians and their ratios; the file of a run."""

import collections
import json
import math
import os
import statistics

# What was measured. `threads` are threads in-process and connections over the wire.
Key = collections.namedtuple("Key", "place allocator workload block threads metric unit")


class Results:
    def __init__(self, run, notes=()):
        self.run = run  # date and machine
        self.notes = list(notes)  # what a reader of the figures has to know
        self.figures = {}  # Key -> plugin -> round -> value
        self.left_out = set()  # kinds of rows that this machine cannot measure

    def add(self, round_number, plugin, key, value):
        value = round(float(value), 6)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{plugin}: {key}: not a figure: {value}")
        self.figures.setdefault(key, {}).setdefault(plugin, {})[round_number] = value

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            print("note: " + text, flush=True)

    def leave_out(self, kind, reason):
        """Notes that no row of this kind is measured: how its place or its workload begins."""
        self.left_out.add(kind)
        self.note(f"{reason}: no rows of {kind}")

    def lacking(self, kinds):
        """Those of the kinds that have no row although the machine can measure them."""
        return [kind for kind in kinds if kind not in self.left_out
                and not any(key.place.startswith(kind) or key.workload.startswith(kind)
                            for key in self.figures)]

    def find(self, place, allocator, workload, block, threads, metric):
        """The rounds of every plugin for one figure; empty when it was not measured."""
        for key, plugins in self.figures.items():
            if key[:6] == (place, allocator, workload, block, threads, metric):
                return plugins
        return {}

    def rounds(self):
        return max((r + 1 for plugins in self.figures.values() for rounds in plugins.values()
                    for r in rounds), default=0)

    def save(self, path):
        """Writes JSON with a line for each figure: what was measured, and each plugin's rounds."""
        head = json.dumps({**self.run, "notes": self.notes, "columns": [*Key._fields, "rounds"]},
                          indent=1, ensure_ascii=False)
        lines = [json.dumps([*key, {plugin: [rounds.get(r) for r in range(max(rounds) + 1)]
                                    for plugin, rounds in plugins.items()}])
                 for key, plugins in self.figures.items()]
        with open(path, "w", encoding="utf-8") as file:
            file.write(head[:-2] + ',\n "figures": [\n' + ",\n".join(lines) + "\n]}\n")


def load(path):
    """What save() has written to this file, or to results.json in this folder. More columns may
    follow those of save()."""
    if os.path.isdir(path):
        path = os.path.join(path, "results.json")
    with open(path, encoding="utf-8") as file:
        run = json.load(file)
    figures = run.pop("figures")
    run.pop("columns")
    results = Results(run, run.pop("notes"))
    for *key, plugins in (row[:len(Key._fields) + 1] for row in figures):
        for plugin, values in plugins.items():
            for number, value in enumerate(values):
                if value is not None:
                    results.add(number, plugin, Key(*key), value)
    return results


def median(rounds):
    """Of one plugin's {round: value}; None when there is none."""
    return statistics.median(rounds.values()) if rounds else None


def ratio(rounds, base):
    """Median of the rounds' ratios: the two of a round were measured close to each other, so the
    machine's slow drift does not enter. None when they have no round in common."""
    ratios = [rounds[r] / base[r] for r in rounds or {} if r in (base or {}) and base[r] > 0]
    return statistics.median(ratios) if ratios else None


def rotated(members, round_number):
    """The members in the order of a round: each begins one further on, so that nobody always comes
    first, and nobody always after the same neighbour."""
    begin = round_number % len(members)
    turned = members[begin:] + members[:begin]
    return turned[::-1] if round_number % 2 else turned
