#!/usr/bin/python3
"""Runs the benchmarks and compares with the distribution's memory plugin and with nbdkit's null and
file plugins: the candidates in turn, round after round. Writes results.json, which has the machine
and the figures of all rounds, prints tables of them, and plots throughput and latency over the wire
as wire.svg if matplotlib is installed (Debian: python3-matplotlib).

  run.py --build DIR             everything about sparse and malloc, under 15 minutes
  run.py --build DIR --zstd      the zstd disk as well; with --only-zstd nothing else
  run.py --build DIR --quick     a bit of everything, under 90 seconds; asserts nothing about time,
                                 but that all of it was measured and written
  run.py --report FILE           the tables and the plot of a results.json, and no measurement

Run it on a machine that has nothing else to do. --tier is the default size of the zstd disk's tier
of uncompressed pages: what "within the tier" and "twice the tier" are measured with.
"""

import argparse
import datetime
import os
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

# pylint: disable=wrong-import-position
import candidates
import corpus
import inprocess
import machine
import plot
import report
import wire
from results import Results, load

MIB = 1 << 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="the build folder")
    parser.add_argument("--plugin", help="the plugin under test; default: the build folder's")
    parser.add_argument("--inprocess", help="the in-process program; default: the build folder's")
    parser.add_argument("--old", help="the plugin to compare with; default: nbdkit's own")
    parser.add_argument("--out", help="where results go; default: bench-results, or beside FILE")
    parser.add_argument("--work", help="where the corpus is kept; default: OUT")
    parser.add_argument("--rounds", type=int, help="default: 3; quick: 1")
    parser.add_argument("--only", choices=("inprocess", "wire"))
    parser.add_argument("--zstd", action="store_true", help="the zstd disk as well")
    parser.add_argument("--only-zstd", action="store_true", help="the zstd disk, nothing else")
    parser.add_argument("--quick", action="store_true", help="a run for CI")
    parser.add_argument("--report", metavar="FILE", help="measure nothing, show these results")
    parser.add_argument("--tier", type=int, default=2, metavar="MIB")
    parser.add_argument("--idle", type=int, default=60, metavar="SECONDS",
                        help="how long the zstd disk rests before its ratio is taken again")
    arguments = parser.parse_args()
    if not arguments.out:
        arguments.out = os.path.dirname(os.path.abspath(arguments.report)) if arguments.report \
            else "bench-results"
    return arguments


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
    """The paths of the in-process program and of the plugins by name."""
    plugin = arguments.plugin or os.path.join(arguments.build, "nbdkit-memory-plugin.so")
    program = arguments.inprocess or os.path.join(arguments.build, "tests", "bench", "inprocess")
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
    return os.path.abspath(program), plugins


def with_zstd(plugins, results):
    able = {name: path for name, path in plugins.items() if candidates.has_zstd(path)}
    for name in plugins.keys() - able.keys():
        results.note(f"{name} does not say that it has zstd: left out of what concerns zstd")
    return able


def run_inprocess(arguments, results, program, plugins, rounds, files):
    if not arguments.only_zstd:
        specs = inprocess.quick_specs() if arguments.quick else inprocess.full_specs()
        inprocess.run(results, program, plugins, specs, rounds, files)
    able = with_zstd(plugins, results)
    if "ours" not in able:
        return
    if arguments.quick:
        inprocess.run(results, program, able, inprocess.quick_zstd_specs(), rounds, files)
    elif arguments.zstd or arguments.only_zstd:
        tiered = candidates.accepts(able["ours"], inprocess.UNTIERED)
        if not tiered:
            results.note("this zstd disk knows no cache=0: the default stands in for it")
        specs = inprocess.full_zstd_specs(arguments.tier, arguments.idle,
                                          os.path.getsize(files) // MIB, tiered)
        inprocess.run(results, program, able, specs, rounds, files)


def run_wire(arguments, results, plugins, rounds, files):
    absent = wire.missing()
    if absent:
        if arguments.only == "wire":
            skip(absent)
        print("SKIP of the wire: " + absent)
        results.note(f"{absent}: nothing measured over the wire")
        return
    if not arguments.only_zstd:
        wire.run(results, plugins, ("sparse", "malloc"), rounds, arguments.quick, None)
    if arguments.zstd or arguments.only_zstd:
        able = with_zstd(plugins, results)
        if "ours" in able:
            wire.run(results, able, ("zstd",), rounds, arguments.quick, files)


def present(path, out):
    """Prints the tables of a file of results and plots it; returns the results and the tables."""
    results = load(path)
    text = report.text(results)
    why_not = plot.draw(results, os.path.join(out, "wire.svg"), report.describe(results.run))
    print("\n" + text)
    if why_not:
        print("no plot: " + why_not)
    return results, text


def is_complete(results, saved, text):
    """Whether the file and the tables have everything that was measured."""
    lost = [key for key in results.figures if saved.figures.get(key) != results.figures[key]
            or f"| {key.workload} |" not in text]
    for key in lost:
        print(f"not in the results: {key}", file=sys.stderr)
    return bool(results.figures) and not lost


def main():
    arguments = parse_arguments()
    os.makedirs(arguments.out, exist_ok=True)
    if arguments.report:
        present(arguments.report, arguments.out)
        return 0
    begin, watch = time.monotonic(), machine.Watch()
    results = Results({"date": datetime.date.today().isoformat(), "judged": not arguments.quick,
                       "machine": machine.describe()})
    if arguments.quick:
        results.note("a quick run: its disks are too small to be held against targets")
    program, plugins = find_programs(arguments, results)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    size = 32 if arguments.quick else 256
    files = corpus.make_corpus(os.path.join(arguments.work or arguments.out, f"corpus-{size}M"),
                               size * MIB)
    path = os.path.join(arguments.out, "results.json")
    try:
        if arguments.only != "wire":
            run_inprocess(arguments, results, program, plugins, rounds, files)
        if arguments.only != "inprocess":
            run_wire(arguments, results, plugins, rounds, files)
    finally:  # what was measured before something failed
        if watch.others() > 0.03:
            results.note(f"others used {watch.others():.0%} of the CPUs meanwhile: do not trust "
                         "these figures")
        results.save(path)
    saved, text = present(path, arguments.out)
    print(f"{len(results.figures)} figures in {time.monotonic() - begin:.0f} s: "
          + os.path.abspath(path))
    return 0 if is_complete(results, saved, text) else 1


if __name__ == "__main__":
    sys.exit(main())
