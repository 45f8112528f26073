#!/usr/bin/env python3
"""Checks the rules of the source tree that no compiler knows.

Usage: python3 tests/lint-layers.py [ROOT]
 1. A folder of src includes only itself and those before it in LAYERS.
 2. Only src/plugin includes nbdkit's headers.
 3. Every header of include and src compiles alone.
 4. No source of include, src and tests is longer than LONGEST_FILE lines, unless a comment among its
    first lines says "Longer than N lines: " and why; and no function body is longer than
    LONGEST_FUNCTION lines.
Prints each violation, and exits with 1 if there is any. Each run begins with the samples at the end of
this file, so that a check cannot become blind without anybody noticing.
"""

import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys

from lint_samples import misjudged

LAYERS = ["base", "memory", "table", "disk", "zstd", "image", "plugin"]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
SOURCES = {".cc", ".h", ".c", ".py", ".sh"}


def files(root, folders, suffixes):
    """The files of a checkout, or of a tree that is none."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def includes(path):
    """Yields (line, text, header) for each #include."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found[1], found[2]


def folder_of(header, path, src):
    """The folder of src that a header lies in, or None when it does not lie in src."""
    for place in (src / header, path.parent / header):
        if place.exists() and src in place.resolve().parents:
            parts = place.resolve().relative_to(src).parts
            return parts[0] if len(parts) > 1 else None
    return None


def check_layers(root):
    src = (root / "src").resolve()
    for path in files(src, ["."], {".cc", ".h"}):
        path = path.resolve()
        folder = path.relative_to(src).parts[0]
        if folder not in LAYERS:
            yield f"{path}: lies in none of the folders {', '.join(LAYERS)}"
            continue
        allowed = LAYERS[:LAYERS.index(folder) + 1]
        for number, _, header in includes(path):
            used = folder_of(header, path, src)
            if used is not None and used not in allowed:
                yield f"{path}:{number}: src/{folder} may not include src/{used} ({header})"


def check_nbdkit(root):
    for path in files(root, ["include", "src"], {".cc", ".h"}):
        if (root / "src" / "plugin") in path.parents:
            continue
        for number, _, header in includes(path):
            if re.match(r"nbdkit", pathlib.PurePath(header).name):
                yield f"{path}:{number}: only src/plugin may include {header}"


def compiles_alone(header, root, flags):
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
               "-Wno-pragma-once-outside-header", "-DRAMDISK_HAVE_ZSTD=1", "-DRAMDISK_CHECKS=1",
               '-DRAMDISK_VERSION=""', f"-I{root / 'include'}", f"-I{root / 'src'}", *flags,
               "-include", str(header), "-x", "c++", os.devnull]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{header}: does not compile alone\n{done.stderr.rstrip()}"


def check_headers(root):
    flags = []
    for package in ("nbdkit", "libzstd"):
        done = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True, check=False)
        flags += shlex.split(done.stdout)
    headers = list(files(root, ["include", "src"], {".h"}))
    if not headers:
        yield f"{root}: has no headers"
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(lambda header: compiles_alone(header, root, flags), headers))


def check_file_lengths(root):
    for path in files(root, ["include", "src", "tests"], SOURCES):
        lines = path.read_text().splitlines()
        reason = any(re.search(rf"Longer than {LONGEST_FILE} lines: \w", line) for line in lines[:10])
        if len(lines) > LONGEST_FILE and not reason:
            yield f"{path}: has {len(lines)} lines, more than {LONGEST_FILE}"


def blank(text):
    """The text with comments, strings and preprocessor lines blanked out, line by line the same."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.S | re.M)
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def is_scope(head):
    """Whether braces after such text hold declarations rather than the body of a function."""
    head = re.sub(r"\b(alignas|__attribute__|[A-Z_]{3,})\s*\([^()]*\)", " ", head)
    words = re.search(r'\b(namespace|class|struct|union|enum|extern\s+"?\s*"?)(?![\w])', head)
    return bool(words) and "(" not in head[words.end():]


def bodies(text):
    """Yields (line, lines between the braces) of each outermost function body or initializer."""
    scopes, start, head = [], 0, 0
    for found in re.finditer(r"[{};]", text):
        at = found.start()
        if found[0] == "{":
            inside = scopes and not scopes[-1][0]
            scopes.append((not inside and is_scope(text[head:at]), at))
        elif found[0] == "}":
            if not scopes:
                return
            scope, start = scopes.pop()
            if not scope and all(outer for outer, _ in scopes):
                first = text.count("\n", 0, start) + 1
                yield first, text.count("\n", start, at) - 1
        head = at + 1
    if scopes:
        yield text.count("\n", 0, scopes[-1][1]) + 1, sys.maxsize  # braces that are never closed


def check_functions(root):
    for path in files(root, ["include", "src", "tests"], {".cc", ".h", ".c"}):
        for line, length in bodies(blank(path.read_text())):
            if length > LONGEST_FUNCTION:
                yield f"{path}:{line}: a body of {length} lines, more than {LONGEST_FUNCTION}"


# Trees with what is good and what is not: (check, files, how many violations).
GUARDED = "int f();\n"
BODY = "  f();\n"
SAMPLES = [
    (check_layers, {"src/table/a.h": GUARDED, "src/table/b.h": '#include "table/a.h"\n#include <vector>\n',
                    "src/disk/c.h": '#include "table/a.h"\n'}, 0),
    (check_layers, {"src/zstd/a.h": GUARDED, "src/table/b.cc": '#include "zstd/a.h"\n'}, 1),
    (check_layers, {"src/zstd/a.h": GUARDED, "src/table/b_test.cc": '  #  include "../zstd/a.h"\n'}, 1),
    (check_layers, {"src/core/a.h": GUARDED}, 1),
    (check_nbdkit, {"src/plugin/a.h": "#include <nbdkit-plugin.h>\n"}, 0),
    (check_nbdkit, {"src/disk/a.h": "#include <nbdkit-plugin.h>\n", "include/b.h": '#include "plugin/nbdkit.h"\n'}, 2),
    (check_headers, {"src/base/a.h": "#include <vector>\nstd::vector<int> f();\n"}, 0),
    (check_headers, {"src/base/a.h": "std::vector<int> f();\n"}, 1),
    (check_file_lengths, {"tests/a.cc": "\n" * LONGEST_FILE}, 0),
    (check_file_lengths, {"tests/a.cc": "// Longer than 400 lines: a table.\n" * 401}, 0),
    (check_file_lengths, {"src/a.h": "\n" * (LONGEST_FILE + 1), "tests/a.py": "#\n" * 401}, 2),
    (check_functions, {"src/a.cc": "namespace n {\nclass A {\n" + "int f();\n" * 99 + "};\nint f() {\n" +
                       BODY * LONGEST_FUNCTION + "}\n}\n"}, 0),
    (check_functions, {"src/a.cc": "namespace n {\nint f(char c = '}', const char* s = \"}\") {\n" +
                       BODY * (LONGEST_FUNCTION + 1) + "}  // }\n}\n"}, 1),
    (check_functions, {"src/a.h": "struct A {\n  A() : x{1}, y() {\n" + "if (x) {\n}\n" * 31 + "}\n};\n"}, 1),
    (check_functions, {"src/a.cc": "TEST_F(A, B) {\n" + BODY * 61 + "}\nauto f = [] {\n" + BODY * 61 + "};\n"}, 2),
]


def main():
    wrong = list(misjudged(SAMPLES))
    if wrong:
        print(*wrong, sep="\n")
        return 1
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    checks = [check_nbdkit, check_headers, check_file_lengths, check_functions]
    if (root / "src" / LAYERS[0]).exists():
        checks.insert(0, check_layers)
    bad = 0
    for check in checks:
        for violation in check(root):
            print(violation)
            bad += 1
    print(f"lint-layers: {bad} violations")
    return 1 if bad else 0


sys.exit(main())
