#!/usr/bin/env python3
"""Builds deliberate faults, one at a time, and checks that the test that ought to notice it fails.

Usage: python3 tests/mutants.py [--check] [NAME]...      all faults of mutants.txt when none is named
--check only looks whether each fault still applies to the sources and its tests exist; it builds nothing.

The faults are put into a copy of the tree in build/mutants, which keeps what it has built. First the
tests run without a fault, because a test that fails anyway proves nothing. A test that does not end is
one that fails. Prints a line for each fault, and exits with 1 unless all are killed. Some 20 minutes on 2
CPUs, so it is no part of `tests/run.sh all`; --check is, in the stage lint.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
COPY = WORK / "source"
COPIED = ["CMakeLists.txt", "CMakePresets.json", "include", "src", "tests"]
PROGRAMS = {"unit_test": "unit", "conformance_test": "conformance", "disk_replay": "fuzz", "limit_replay": "fuzz"}
PATIENCE = {"release": 90, "tsan": 300}  # seconds for the tests of one fault


@dataclasses.dataclass
class Fault:
    name: str
    text: str
    file: str
    preset: str
    program: str
    tests: str
    old: str
    new: str

    def count(self, root):
        path = root / self.file
        return ("\n" + path.read_text()).count("\n" + self.old) if path.exists() else 0


def parse(text):
    """The faults of mutants.txt."""
    for paragraph in re.split(r"\n\n+", text.strip()):
        lines = paragraph.split("\n")
        if lines[0].startswith("#"):
            continue
        name, what = lines[0].split(": ", 1)
        file, program, tests = lines[1].split()
        change = lines[2:]
        if any(line[0] not in "-+ " for line in change) or not any(line[0] in "-+" for line in change):
            raise ValueError(f"{name}: the change is none")
        old, new = ("".join(line[1:] + "\n" for line in change if line[0] in kept) for kept in (" -", " +"))
        preset, _, program = program.rpartition("/")
        yield Fault(name, what, file, preset or "release", program, tests, old, new)


# ---- without building

def missing_tests(fault):
    """What a fault names as its tests and does not exist."""
    if fault.program.endswith("_replay"):
        return [] if any((ROOT / fault.tests).glob("*")) else [fault.tests]
    sources = "".join(path.read_text() for folder in ("src", "tests") for path in (ROOT / folder).rglob("*_test.cc"))
    missing = []
    for test in fault.tests.split(":"):
        suite, name = re.fullmatch(r"(?:\w+/)?(\w+)\.(\w*\*?)(?:/[\w*]+)?", test).groups()
        macro = "TEST_P" if "/" in test else "TEST(?:_F)?"
        end = r"\w*\)" if name.endswith("*") else r"\)"
        if not re.search(rf"\b{macro}\({suite}, {name.rstrip('*')}{end}", sources):
            missing.append(test)
    return missing


def check(faults):
    bad = 0
    for fault in faults:
        count = fault.count(ROOT)
        if count != 1:
            print(f"mutants: {fault.name}: its old lines stand {count} times in {fault.file}")
        missing = missing_tests(fault)
        for test in missing:
            print(f"mutants: {fault.name}: there is no test {test}")
        if fault.program not in PROGRAMS or fault.preset not in PATIENCE:
            print(f"mutants: {fault.name}: there is no program {fault.preset}/{fault.program}")
        bad += count != 1 or bool(missing) or fault.program not in PROGRAMS or fault.preset not in PATIENCE
    print(f"mutants: {bad} of {len(faults)} faults do not apply")
    return bad == 0


# ---- building and running

def copy_tree():
    """Makes COPY equal to the tree. Files that are equal keep their times, so that little is built."""
    wanted = set()
    for top in COPIED:
        path = ROOT / top
        wanted.update(path.rglob("*") if path.is_dir() else [path])
    wanted = {path.relative_to(ROOT) for path in wanted if path.is_file() and "__pycache__" not in path.parts}
    for path in list(COPY.rglob("*")):
        if path.is_file() and path.relative_to(COPY) not in wanted:
            path.unlink()
    for name in wanted:
        source, target = ROOT / name, COPY / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def configure(preset):
    command = ["cmake", "--preset", preset, "-B", str(WORK / preset), "-DRAMDISK_CHECKS=ON", "-DRAMDISK_TESTS=ON",
               "-DRAMDISK_BENCH=OFF", "-DRAMDISK_PLUGIN=OFF"]
    subprocess.run(command, cwd=COPY, stdout=subprocess.DEVNULL, check=True)


def build(preset, programs):
    """Returns what the compiler says if it fails."""
    command = ["cmake", "--build", str(WORK / preset), "-j", str(os.cpu_count()), "--target", *sorted(programs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode != 0 else ""


def run(preset, program, tests, patience):
    """Runs the tests. Returns why they fail, None if they do not."""
    command = [str(WORK / preset / "tests" / PROGRAMS[program] / program)]
    if program.endswith("_replay"):
        command.append(tests)
    else:
        command += [f"--gtest_filter={tests}", "--gtest_fail_fast"]
    # The thread sanitizer of gcc 12 does not start where the kernel spreads addresses widely.
    if preset == "tsan" and subprocess.run(["setarch", "-R", "true"], capture_output=True, check=False).returncode == 0:
        command = ["setarch", "-R", *command]
    log = WORK / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=COPY, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True)
        try:
            status = process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = "hangs"
    text = log.read_text(errors="replace")
    if not program.endswith("_replay") and "[ RUN      ]" not in text:
        return "no test ran"
    if status == 0:
        return None
    how = "hangs" if status == "hangs" else f"signal {-status}" if status < 0 else "fails"
    if "WARNING: ThreadSanitizer" in text:
        how = "a data race"
        text = text[:text.index("WARNING: ThreadSanitizer")]
    # The first one that failed; or the one that was running, as the others are announced when they are left out.
    failed = re.findall(r"^\[  FAILED  \] ([^\s,]+)", text, re.M)[:1]
    running = re.findall(r"^\[ RUN      \] (\S+)", text, re.M) or re.findall(r"^(\S+/\w[\w-]+)$", text, re.M) or ["?"]
    return f"{(failed or running[-1:])[0]}: {how}"


def try_fault(fault):
    """Returns (whether it is killed, what became of it). Leaves the copy as it was."""
    if fault.count(COPY) != 1:
        return False, "DOES NOT APPLY"
    path = COPY / fault.file
    before = path.read_text()
    path.write_text(("\n" + before).replace("\n" + fault.old, "\n" + fault.new)[1:])
    try:
        if said := build(fault.preset, {fault.program}):
            return False, "DOES NOT BUILD\n" + "\n".join(said.splitlines()[-20:])
        failure = run(fault.preset, fault.program, fault.tests, PATIENCE[fault.preset])
    finally:
        path.write_text(before)
    if failure == "no test ran":
        return False, "NO TEST RAN"
    return failure is not None, f"killed by {failure}" if failure else "LIVES"


def pass_without(faults):
    """Whether all tests pass without a fault."""
    good = True
    for preset in sorted({fault.preset for fault in faults}):
        some = [fault for fault in faults if fault.preset == preset]
        configure(preset)
        if said := build(preset, {fault.program for fault in some}):
            print(said)
            return False
        for program in sorted({fault.program for fault in some}):
            tests = sorted({fault.tests for fault in some if fault.program == program})
            failure = run(preset, program, ":".join(tests), PATIENCE[preset] * len(tests))
            if failure:
                print(f"mutants: without a fault, {failure}")
                good = False
    return good


def main():
    arguments = sys.argv[1:]
    names = [argument for argument in arguments if argument != "--check"]
    faults = list(parse((ROOT / "tests" / "mutants.txt").read_text()))
    known = [fault.name for fault in faults]
    if unknown := set(names) - set(known):
        sys.exit(f"mutants: there is no fault {', '.join(sorted(unknown))}")
    if len(set(known)) != len(known):
        sys.exit("mutants: two faults have one name")
    faults = [fault for fault in faults if not names or fault.name in names]
    if not check(faults):
        return 1
    if "--check" in arguments:
        return 0
    start = time.monotonic()
    copy_tree()
    if not pass_without(faults):
        return 1
    print(f"mutants: all tests pass without a fault ({time.monotonic() - start:.0f} s)", flush=True)
    alive = 0
    for fault in faults:
        begin = time.monotonic()
        killed, outcome = try_fault(fault)
        alive += not killed
        print(f"{fault.name}: {outcome} ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"mutants: {len(faults) - alive} of {len(faults)} killed ({time.monotonic() - start:.0f} s)")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
