"""The rows of the project's README, made of a run: what matters to a user, in five lines."""

import noise
from results import median
from units import show

MIB = 1 << 20
# What a row is about, and its figures: each the fields of a key before its unit.
SMALL = 256 * MIB


def copied(allocator, metric):
    return ("clients", allocator, "nbdcopy-in files", SMALL, 0, metric)


def in_process(workload, block, metric):
    return ("inprocess", "zstd", workload, block, 1, metric)


ROWS = (
    ("nbdcopy of 256 MiB of files into a zstd disk: time, CPU time of the server",
     (copied("zstd", "wall"), copied("zstd", "server-cpu"))),
    ("the same into a sparse disk",
     (copied("sparse", "wall"), copied("sparse", "server-cpu"))),
    ("random 4 KiB writes all over a zstd disk of 256 MiB of files, one thread, in-process",
     (in_process("files-random-write", 4096, "rate"),)),
    ("the same files: ratio at once / after a rest / after two passes of random writes",
     tuple(in_process(workload, block, "ratio")
           for workload, block in (("churn-filled", 262144), ("churn-filled-idle", 262144),
                                   ("churn-rewritten", 4096)))),
    ("resident after those files were trimmed again", (in_process("files-trim", 262144,
                                                                  "resident"),)),
    ("startup of a malloc disk of 8 GiB", (("inprocess", "malloc", "startup", 0, 1, "seconds"),)),
)


def cells(results, fields):
    """The figures of old and of ours, and how many rounds ours has."""
    unit = next((key.unit for key in results.figures if key[:6] == fields), None)
    rounds = results.find(*fields)
    return (*(show(median(rounds.get(name)), unit) for name in ("old", "ours")),
            len(rounds.get("ours", ())))


def text(results, describe):
    """Markdown; `describe` puts the day and the machine into one line."""
    lines = ["| beside nbdkit's own plugin | its | ours |", "|---|---|---|"]
    fewest = noise.ENOUGH
    for label, figures in ROWS:
        found = [cells(results, fields) for fields in figures]
        between = " / " if len(figures) > 2 else ", "
        old, ours = (between.join(cell[n] for cell in found) for n in (0, 1))
        lines.append(f"| {label} | {old} | {ours} |")
        fewest = min(fewest, *(cell[2] for cell in found), noise.ENOUGH)
    lines += ["", f"({describe(results.run)}; medians of {fewest} or more round(s).)"]
    return "\n".join(lines) + "\n"
