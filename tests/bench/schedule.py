"""The order of a run: everything once, then again and again, as long as there is time."""

import collections
import subprocess
import sys
import time

# What to do (`measure`, called with the number of the round), how it is called, to which part of
# the run it belongs, and in how many rounds at most.
Task = collections.namedtuple("Task", "part label rounds measure")
FAILURES = (RuntimeError, OSError, ValueError, subprocess.SubprocessError)
MARGIN = 1.2  # how much longer a round may take than the longest one so far


class Schedule:
    """Runs tasks until `seconds` have passed since `begin`, of the monotonic clock."""

    def __init__(self, results, begin, seconds):
        self.results = results
        self.begin = begin
        self.deadline = begin + seconds
        self.longest = {}  # label -> seconds of a round
        self.spent = collections.Counter()  # part -> seconds
        self.failed = set()
        self.short = set()  # labels that had fewer rounds than they should

    def run(self, tasks):
        """The first rounds come first, so that what does not fit is the repetition of something.
        What fails twice is noted, and left out from then on."""
        for number in range(max((task.rounds for task in tasks), default=0)):
            for task in tasks:
                if number < task.rounds and task.label not in self.failed:
                    self.attempt(task, number)
        self.report()

    def attempt(self, task, number):
        start = time.monotonic()
        if start + MARGIN * self.longest.get(task.label, 0) > self.deadline:
            self.short.add(task.label)
            return
        print(f"{start - self.begin:5.0f} s: round {number + 1}/{task.rounds}: {task.label}",
              flush=True)
        if not self.tried(task, number) and not self.tried(task, number):
            self.failed.add(task.label)
            self.results.note(f"failed twice: {task.label}")
        took = time.monotonic() - start
        self.longest[task.label] = max(took, self.longest.get(task.label, 0))
        self.spent[task.part] += took

    @staticmethod
    def tried(task, number):
        """Whether it went well."""
        try:
            task.measure(number)
        except FAILURES as error:
            print(f"FAILED: {task.label}: {error}", file=sys.stderr, flush=True)
            return False
        return True

    def report(self):
        never = sorted(self.short - self.longest.keys())
        if never:
            self.results.note("no time for: " + "; ".join(never))
        fewer = sorted(self.short & self.longest.keys())
        if fewer:
            self.results.note("fewer rounds for lack of time: " + "; ".join(fewer))
        self.results.run["seconds"] = {part: round(spent) for part, spent in self.spent.items()}
