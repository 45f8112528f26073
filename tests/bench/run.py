#!/usr/bin/python3
"""Runs the benchmarks and compares with the distribution's memory plugin and with nbdkit's null and
file plugins: the candidates in turn, round after round. Writes results.json, which has the machine
and the figures of all rounds, and results.md with tables of them, which it prints as well. Plots
throughput and latency over the wire as wire.svg if matplotlib is installed (Debian:
python3-matplotlib).

  run.py --build DIR             everything, in a quarter of an hour: all of it once, then again as
                                 long as there is time; --only and --disks leave parts of it out
  run.py --build DIR --quick     a bit of everything, in a minute; asserts nothing about time, but
                                 that all of it was measured and written
  run.py --report FILE...        the tables and the plot of each results.json, and no measurement
  run.py --readme FILE           the rows of the README, from the same file
  run.py --compare BEFORE AFTER  what changed beyond noise from one results.json, or folder that has
                                 one, to another; growth is measured once and not compared

What fails twice is reported, and the rest goes on; then the exit status is 1.
Run it on a machine that has nothing else to do. --tier is the default size of the zstd disk's tier
of uncompressed pages: what "within the tier" and "twice the tier" are measured with.
"""

import argparse
import collections
import datetime
import os
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

# pylint: disable=wrong-import-position
import candidates
import clients
import compare
import corpus
import growth
import inprocess
import machine
import plot
import preflight
import readme
import report
import wire
from results import Results, load
from schedule import Schedule

MIB = 1 << 20
# What can be measured: each part, and the kinds of rows that it has.
PARTS = {"inprocess": ("inprocess",), "wire": ("wire",),
         "clients": ("nbdcopy", "qemu-img", "ext4", "connect", "image"),
         "growth": ("growth-stored", "growth-far", "growth-connections")}
DISKS = ("sparse", "malloc", "zstd")

# What was built: the in-process program, the plugin that only copies (or None), the plugins that
# are compared, name -> path, and those of each disk.
Programs = collections.namedtuple("Programs", "inprocess null_copy plugins disks")


def parse_size(text):
    """The bytes of 256M, 2G."""
    return int(text[:-1]) * {"M": MIB, "G": 1024 * MIB}[text[-1]]


def choice_of(names):
    def parse(text):
        chosen = text.split(",")
        if not set(chosen) <= set(names):
            raise argparse.ArgumentTypeError("not of " + ",".join(names))
        return chosen
    return parse


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="the build folder")
    parser.add_argument("--plugin", help="the plugin under test; default: the build folder's")
    parser.add_argument("--inprocess", help="the in-process program; default: the build folder's")
    parser.add_argument("--null-copy", help="the plugin that only copies; default: likewise")
    parser.add_argument("--old", help="the plugin to compare with; default: nbdkit's own")
    parser.add_argument("--out", default="bench-results", help="where results go")
    parser.add_argument("--work", help="where the corpus is kept; default: OUT")
    parser.add_argument("--rounds", type=int, help="of each; default: 1 to 5, by what it is")
    parser.add_argument("--only", type=choice_of(PARTS), default=list(PARTS),
                        metavar=",".join(PARTS))
    parser.add_argument("--disks", type=choice_of(DISKS), default=DISKS, metavar=",".join(DISKS))
    parser.add_argument("--sizes", type=lambda text: [parse_size(s) for s in text.split(",")],
                        metavar="SMALL,LARGE",
                        help="what clients copy; default: 256M,2G; quick: 16M,32M")
    parser.add_argument("--minutes", type=float, default=15,
                        help="after which nothing is repeated any more; default: 15")
    parser.add_argument("--name", default="results", help="of the files in OUT: NAME.json")
    parser.add_argument("--grow-to", type=parse_size, default=20 << 30, metavar="SIZE",
                        help="the memory that growth may take; default: 20G")
    parser.add_argument("--quick", action="store_true", help="a run for CI")
    parser.add_argument("--report", metavar="FILE", nargs="+",
                        help="measure nothing, show these results, as those of several machines")
    parser.add_argument("--compare", metavar="FILE", nargs=2, help="likewise, of two runs")
    parser.add_argument("--readme", metavar="FILE", help="likewise, the rows of the README")
    parser.add_argument("--tier", type=int, default=2, metavar="MIB")
    parser.add_argument("--idle", type=int, default=20, metavar="SECONDS",
                        help="how long the zstd disk rests before its ratio is taken again")
    return parser.parse_args()


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


def checks_invariants(plugin):
    """Whether the plugin lies in a folder that was configured as tests/run.sh does."""
    cache = os.path.join(os.path.dirname(plugin), "CMakeCache.txt")
    if not os.path.exists(cache):
        return False
    with open(cache, encoding="utf-8", errors="replace") as file:
        return "RAMDISK_CHECKS:BOOL=ON" in file.read()


def find_programs(arguments, results):
    plugin = arguments.plugin or os.path.join(arguments.build, "nbdkit-memory-plugin.so")
    folder = os.path.join(arguments.build, "tests", "bench")
    program = arguments.inprocess or os.path.join(folder, "inprocess")
    null_copy = arguments.null_copy or os.path.join(folder, "nbdkit-null-copy-plugin.so")
    if not os.path.exists(null_copy):
        results.note("the plugin that only copies is not built (--null-copy): no floor")
        null_copy = None
    for path in (plugin, program):
        if not os.path.exists(path):
            skip(f"{path} is not built (--build, --plugin and --inprocess say where it is)")
    if not arguments.quick and checks_invariants(plugin):
        skip(f"{plugin} checks all its invariants, which costs time (configure it again, as in "
             "cmake --preset release, and build)")
    results.run["machine"]["zstd"] = candidates.zstd_version(plugin)
    plugins = {"ours": os.path.abspath(plugin)}
    old = candidates.find_old(arguments.old, plugin, results)
    if old:
        # Old first: its figures are the ones that ours are held against.
        plugins = {"old": os.path.abspath(old), **plugins}
    disks = plugins_by_disk(arguments, plugins, results)
    if not disks:
        skip("the plugin has none of these disks: " + ",".join(arguments.disks))
    return Programs(os.path.abspath(program), null_copy and os.path.abspath(null_copy), plugins,
                    disks)


def plugins_by_disk(arguments, plugins, results):
    """Those of the chosen disks that ours has, each with the plugins that have it."""
    able = {name: path for name, path in plugins.items() if candidates.has_zstd(path)}
    for name in plugins.keys() - able.keys():
        results.note(f"{name} does not say that it has zstd: left out of what concerns zstd")
    found = {disk: able if disk == "zstd" else plugins for disk in arguments.disks}
    return {disk: those for disk, those in found.items() if "ours" in those}


def inprocess_tasks(arguments, results, programs, files):
    specs = inprocess.quick_specs() if arguments.quick else inprocess.full_specs()
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    todo = inprocess.tasks(results, programs.inprocess, programs.plugins,
                           [spec for spec in specs if spec.allocator in programs.disks], rounds,
                           files)
    if "zstd" not in programs.disks:
        return todo
    able = programs.disks["zstd"]
    if arguments.quick:
        specs = inprocess.quick_zstd_specs()
    else:
        tiered = candidates.accepts(able["ours"], inprocess.UNTIERED)
        if not tiered:
            results.note("this zstd disk knows no cache=0: the default stands in for it")
        specs = inprocess.full_zstd_specs(arguments.tier, arguments.idle,
                                          os.path.getsize(files) // MIB, tiered)
    return todo + inprocess.tasks(results, programs.inprocess, able, specs, rounds, files)


def wire_tasks(arguments, results, programs, files):
    absent = wire.missing()
    if absent:
        results.leave_out("wire", absent)
        return []
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    todo = []
    plain = [disk for disk in programs.disks if disk != "zstd"]
    if plain:
        todo += wire.tasks(results, programs.plugins, plain, rounds, arguments.quick, None)
    if "zstd" in programs.disks:
        todo += wire.tasks(results, programs.disks["zstd"], ("zstd",), rounds, arguments.quick,
                           files)
    return todo


def client_tasks(arguments, results, programs, files):
    sizes = arguments.sizes or ((16 * MIB, 32 * MIB) if arguments.quick
                                else (256 * MIB, 2048 * MIB))
    return clients.tasks(results, programs, arguments.rounds or (1 if arguments.quick else None),
                         clients.works(*sizes, arguments.quick), os.path.dirname(files))


def growth_tasks(arguments, results, programs, files):
    disks = {disk: plugins for disk, plugins in programs.disks.items() if disk != "malloc"}
    if disks:
        return growth.tasks(results, programs, disks, arguments.quick, arguments.grow_to, files)
    for kind in PARTS["growth"]:
        results.leave_out(kind, "malloc takes all of its memory at the start")
    return []


# In this order; growth comes last, since it is measured once and fills the memory.
MAKERS = {"clients": client_tasks, "inprocess": inprocess_tasks, "wire": wire_tasks,
          "growth": growth_tasks}


def present(path, out):
    """Prints the tables of a file of results and plots it; returns the results and the tables."""
    results = load(path)
    text = report.text(results)
    path = os.path.join(path, "results.json") if os.path.isdir(path) else path
    with open(os.path.splitext(path)[0] + ".md", "w", encoding="utf-8") as file:
        file.write(text)
    why_not = plot.draw(results, os.path.join(out, "wire.svg"), report.describe(results.run))
    print("\n" + text)
    if why_not:
        print("no plot: " + why_not)
    return results, text


def is_complete(parts, results, saved, text):
    """Whether every kind of row was measured, and all of it is in the file and the tables."""
    lost = [key for key in results.figures if saved.figures.get(key) != results.figures[key]
            or f"| {key.workload} |" not in text]
    lost += [kind for part in parts for kind in results.lacking(PARTS[part])]
    for what in lost:
        print(f"not in the results: {what}", file=sys.stderr)
    return not lost


def main():
    arguments = parse_arguments()
    if arguments.compare:
        print(compare.text(*map(load, arguments.compare), report.table), end="")
        return 0
    if arguments.readme:
        print(readme.text(load(arguments.readme), report.describe), end="")
        return 0
    if arguments.report:
        for path in arguments.report:
            present(path, os.path.dirname(os.path.abspath(path)))
        return 0
    os.makedirs(arguments.out, exist_ok=True)
    begin, watch = time.monotonic(), machine.Watch()
    results = Results({"date": datetime.date.today().isoformat(),
                       "machine": machine.describe()})
    if arguments.quick:
        results.note("a quick run: too short to compare anything")
    folder = os.path.abspath(arguments.work or arguments.out)
    os.makedirs(folder, exist_ok=True)
    if not arguments.quick:
        preflight.say(folder)
    programs = find_programs(arguments, results)
    mib = 32 if arguments.quick else 256
    files = corpus.make_corpus(os.path.join(folder, f"files-{mib}M"), mib * MIB)
    path = os.path.join(arguments.out, arguments.name + ".json")
    todo = [task for part, make in MAKERS.items() if part in arguments.only
            for task in make(arguments, results, programs, files)]
    plan = Schedule(results, begin, 60 * arguments.minutes)
    try:
        plan.run(todo)
    finally:  # what was measured before somebody stopped it
        if watch.others() > 0.03:
            results.note(f"others used {watch.others():.0%} of the CPUs meanwhile: do not trust "
                         "these figures")
        results.save(path)
    saved, text = present(path, arguments.out)
    print(f"{len(results.figures)} figures in {time.monotonic() - begin:.0f} s: "
          + os.path.abspath(path))
    for label in sorted(plan.failed):
        print("failed: " + label, file=sys.stderr)
    return 0 if is_complete(arguments.only, results, saved, text) and not plan.failed else 1


if __name__ == "__main__":
    sys.exit(main())
