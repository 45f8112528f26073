#!/usr/bin/env python3
"""Says which tests a stage's output reports as failed, and why, in few lines.

Usage: python3 tests/failures.py STAGE LOG

LOG is everything that the stage printed, with ctest's --output-on-failure. Of a program that runs many
tests, the test that failed or did not end is named, and its first complaint is shown; of any other, the
last lines. Where no test failed, something else did, a compiler for example: then the lines with errors
and the last lines are shown. Always prints at most MOST_LINES, names first.
"""
import re
import sys

MOST_LINES = 25
MOST_NAMES = 8
MOST_DETAILS = 10  # lines for one test
MOST_COLUMNS = 200

# A line of ctest's that ends the output of the test before.
BETWEEN = re.compile(r" *Start +\d+: |\d+% tests passed|(skipped|failed): |\d+ tests ran, of ")
RESULT = re.compile(r" *\d+/\d+ Test +#\d+: (\S+) [ .]*(?:(.*)\*\*\*(\w+(?: Run)?))?")
# What a test that runs by itself says of itself.
BEGIN = re.compile(r"\[ RUN      \] (\S+)")
END = re.compile(r"\[(       OK|  SKIPPED|  FAILED ) \] \S+.* \(\d+ ms\)$")
COMPLAINT = re.compile(r": Failure$|ERROR: |WARNING: ThreadSanitizer|runtime error: |terminate called")


def first_complaint(lines):
    for i, line in enumerate(lines):
        if COMPLAINT.search(line):
            return lines[i:i + MOST_DETAILS]
    return lines[-MOST_DETAILS:]


def failures_of(name, reason, lines):
    """The (name, details) of what failed in one test of ctest's, given ctest's reason and its output."""
    found = []
    test, since = None, 0
    for i, line in enumerate(lines):
        if begin := BEGIN.match(line):
            test, since = begin[1], i + 1
        elif end := END.match(line):
            if end[1] == "  FAILED ":
                found.append((f"{name}: {test}", first_complaint(lines[since:i])))
            test, since = None, i + 1
    if test:
        found.append((f"{name}: {test} did not end ({reason})", first_complaint(lines[since:])))
    return found or [(f"{name} ({reason})", lines[-MOST_DETAILS:])]


def failures(log):
    found = []
    failed, reason, lines = None, "", []

    def close():
        if failed:
            found.extend(failures_of(failed, reason, [line for line in lines if line.strip()]))

    for line in log:
        result = RESULT.match(line)
        if result or BETWEEN.match(line):
            close()
            failed, lines = None, []
            if result and result[3] not in (None, "Skipped"):
                failed, reason = result[1], result[2].strip() or result[3]
        else:
            lines.append(line)
    close()
    return found


def other_errors(log):
    errors = [line for line in log if re.search(r"\b(error|FAILED|Traceback)\b", line)]
    last = [line for line in log[-MOST_DETAILS:] if line not in errors[:MOST_DETAILS]]
    return errors[:MOST_DETAILS] + last


def report(stage, log):
    found = failures(log)
    if not found:
        return [f"== {stage} FAILED, though none of its tests did"] + other_errors(log)
    lines = [f"== {stage} FAILED, {len(found)} tests:"] + [f"  {name}" for name, _ in found[:MOST_NAMES]]
    if len(found) > MOST_NAMES:
        lines.append(f"  and {len(found) - MOST_NAMES} more")
    room = MOST_LINES - len(lines)
    shown = found[:max(1, room // 5)]
    each = min(MOST_DETAILS, room // len(shown) - 1)
    for name, details in shown:
        lines += [f"-- {name}"] + details[:each]
    return lines


def main():
    with open(sys.argv[2], encoding="utf-8", errors="replace") as file:
        log = file.read().splitlines()
    for line in report(sys.argv[1], log):
        print(line[:MOST_COLUMNS])


main()
