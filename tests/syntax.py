#!/usr/bin/env python3
"""Checks, as a compiler would without producing code, what a build knows of but has not compiled.

Usage: python3 tests/syntax.py BUILD-DIRECTORY FOLDER...
Takes the commands of each source below the FOLDERs from compile_commands.json, skips those whose object
file is there and newer than the source, and runs the others with -fsyntax-only, all CPUs at a time.
"""

import concurrent.futures
import json
import os
import shlex
import subprocess
import sys


def is_built(entry, arguments):
    built = os.path.join(entry["directory"], arguments[arguments.index("-o") + 1])
    return os.path.exists(built) and os.path.getmtime(built) >= os.path.getmtime(entry["file"])


def check(entry):
    arguments = shlex.split(entry["command"])
    at = arguments.index("-o")
    return subprocess.run(arguments[:at] + arguments[at + 2:] + ["-fsyntax-only"],
                          cwd=entry["directory"], check=False).returncode == 0


def main():
    build, folders = sys.argv[1], tuple(os.path.abspath(folder) + "/" for folder in sys.argv[2:])
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = [entry for entry in json.load(file) if entry["file"].startswith(folders)]
    done = {entry["file"] for entry in entries if is_built(entry, shlex.split(entry["command"]))}
    wanted = {entry["file"]: entry for entry in entries if entry["file"] not in done}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        good = list(pool.map(check, wanted.values()))
    print(f"syntax: {len(good)} files checked, {good.count(False)} with errors; {len(done)} are built")
    return 0 if entries and all(good) else 1


sys.exit(main())
