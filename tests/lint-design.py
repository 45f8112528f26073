#!/usr/bin/env python3
"""Checks that what the documents name exists.

Usage: python3 tests/lint-design.py [ROOT]
 1. A path in backquotes, or the target of a link, is a file or folder. A path may be given from the
    root, from the document's folder, from include, src or tests, and a source without its suffix; a
    name alone may lie anywhere.
 2. A function, class or constant in backquotes in a document of CODE is an identifier of include or
    src, comments and strings aside. Of Class::member, the member stands in a file that defines or
    implements Class.
 3. A test in backquotes, as Suite.Name, is a test of src or tests.
 4. src/README.md names every source file of include and src that is not a test.
Prints each violation, and exits with 1 if there is any. Each run begins with the samples at the end of
this file, so that a check cannot become blind without anybody noticing.
"""

import functools
import pathlib
import re
import sys

from lint_samples import misjudged

CODE = ["src/README.md", "src/DESIGN.md", "src/DISKS.md"]
PATHS = CODE + ["CONTRIBUTING.md", "tests/README.md"]
SUFFIXES = {".cc", ".h", ".c", ".py", ".sh", ".md", ".txt", ".cmake", ".map", ".pod", ".json", ".svg"}
EXAMPLES = {"x.h", "x.cc", "x_test.cc", "test-memory-TOPIC.sh"}  # of names that a file could have
NAME = r"[A-Za-z_]\w*"


class Tree:
    """A checkout, or a tree that is none; each file is read once."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()

    @functools.cached_property
    def files(self):
        return [path for path in sorted(self.root.rglob("*"))
                if not re.match(r"(build|out|\.git|\.cache)", path.relative_to(self.root).parts[0])]

    @functools.cached_property
    def names(self):
        return {path.name for path in self.files}

    @functools.cached_property
    def sources(self):
        """{path: text without comments and strings} of include and src, tests aside."""
        return {path: code_of(path.read_text()) for path in self.files
                if path.relative_to(self.root).parts[0] in ("include", "src")
                and path.suffix in (".cc", ".h") and not path.stem.endswith("_test")}

    @functools.cached_property
    def identifiers(self):
        return {path: set(re.findall(NAME, text)) for path, text in self.sources.items()}

    @functools.cached_property
    def tests(self):
        found = set()
        for path in self.files:
            if path.name.endswith("_test.cc"):
                for suite, name in re.findall(rf"\bTEST(?:_F|_P)?\(\s*({NAME}),\s*({NAME})\)", path.read_text()):
                    found |= {f"{suite}.{name}", f"{suite}.*"}
        return found

    def has_path(self, name, document):
        name = name.rstrip("/")
        if "/" not in name:
            return name in self.names or (document.parent / name).exists()
        for place in (self.root, document.parent, *(self.root / f for f in ("include", "src", "tests"))):
            if (place / name).exists() or ("*" in name and any(place.glob(name))):
                return True
            if any((place / (name + suffix)).is_file() for suffix in (".h", ".cc")):
                return True
        return False

    def files_of_class(self, name):
        """The files that define or implement a class."""
        definition = re.compile(r"\b(?:class|struct|union|enum|namespace)\b[^;{}()=]*(?:\([^;{}()]*\)\s*)?"
                                rf"\b{name}\b[^;{{}}()=]*\{{")
        body = re.compile(rf"^(?!\s)[^;#=\n]*\b{name}::~?{NAME}\s*\(", re.M)
        return [path for path, text in self.sources.items() if definition.search(text) or body.search(text)]


def code_of(text):
    """The text without comments, and with strings and characters left empty."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                         r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)
    return pattern.sub(lambda found: " " if found[0][0] == "/" else '""', text)


def quoted(document):
    """Yields (line, text) for each text in backquotes."""
    text = re.sub(r"(?ms)^```.*?^```$", lambda found: re.sub(r"[^\n]", " ", found[0]), document.read_text())
    for found in re.finditer(r"`([^`]+)`", text):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def looks_like_path(word):
    if not re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", word) or word in EXAMPLES or word.startswith("build/"):
        return False
    return "/" in word or (pathlib.PurePath(word).suffix in SUFFIXES and not word.startswith("."))


def documents(tree, names):
    for name in names:
        if (tree.root / name).exists():
            yield tree.root / name


def check_paths(tree):
    for document in documents(tree, PATHS):
        for line, text in quoted(document):
            for word in text.split():
                if looks_like_path(word) and not tree.has_path(word, document):
                    yield f"{document}:{line}: there is no file {word}"
        for found in re.finditer(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
            if "://" not in found[1] and not (document.parent / found[1]).exists():
                yield f"{document}: a link leads to {found[1]}, which does not exist"


def check_identifiers(tree):
    everything = set().union(*tree.identifiers.values())
    for document in documents(tree, CODE):
        for line, text in quoted(document):
            name = re.fullmatch(rf"({NAME}(?:::{NAME})*)(?:\(\))?", text)
            if not name:
                continue
            parts = name[1].split("::")
            for part in parts:
                if part not in everything:
                    yield f"{document}:{line}: {part}, of {text}, is no identifier of include or src"
            for owner, member in zip(parts, parts[1:]):
                places = tree.files_of_class(owner)
                if {owner, member} <= everything and not any(member in tree.identifiers[p] for p in places):
                    yield f"{document}:{line}: {member} is nothing of {owner}"


def check_tests(tree):
    for document in documents(tree, PATHS):
        for line, text in quoted(document):
            if re.fullmatch(r"[A-Z]\w*\.([A-Z]\w*|\*)", text) and looks_like_test(text) and text not in tree.tests:
                yield f"{document}:{line}: there is no test {text}"


def looks_like_test(text):
    return pathlib.PurePath(text).suffix not in SUFFIXES and not looks_like_path(text.replace("*", ""))


def check_complete(tree):
    document = tree.root / "src/README.md"
    named = {text for _, text in quoted(document)}
    for path in tree.sources:
        name = path.relative_to(tree.root / path.relative_to(tree.root).parts[0])
        if not {str(name), str(name.with_suffix(""))} & named:
            yield f"{document}: does not name {name}"


CHECKS = [check_paths, check_identifiers, check_tests, check_complete]

# Trees with what is good and what is not: (check, files, how many violations).
HEADER = ("// A gone_name.\nclass CAPABILITY(\"a\") Disk final : public Base {\n  int read();\n"
          "  static constexpr int kMost = 1;  // old_name\n};\nclass Other;\n")
BODY = '#include "table/disk.h"\nint Disk::read() {\n  helper("text_name");\n  return Other::kLost;\n}\n'
CODE_TREE = {"src/table/disk.h": HEADER, "src/table/disk.cc": BODY, "src/table/disk_test.cc": "TEST(Disk, Reads)"}
SAMPLES = [
    (check_paths, {"src/README.md": "`table/disk` `disk.cc` `src/table` `table/*.h` `x.h` `sh src/table/disk.h 3` "
                                    "`/proc/a.txt` `a = b/c.h`: [d](table/disk.h#top) [e](https://e/f.h)"}, 1),
    (check_paths, {"tests/README.md": "`table/dish` `dish.cc` `src/tables` `src/*.h` [d](dish.h)"}, 5),
    (check_paths, {"other.md": "`dish.cc`"}, 0),
    (check_identifiers, {"src/DESIGN.md": "`Disk` `Disk::read` `Disk::read()` `helper()` `Disk::kMost` `a b` `=c`"}, 0),
    (check_identifiers, {"src/DESIGN.md": "`Dish` `Disk::reads` `old_name` `text_name` `gone_name` `dish()`"}, 6),
    (check_identifiers, {"src/DESIGN.md": "`Other::kMost` `Base::kMost` `Other::kLost`"}, 3),
    (check_identifiers, {"CONTRIBUTING.md": "`dish`"}, 0),
    (check_tests, {"tests/README.md": "`Disk.Reads` `Disk.*` `clients.limit` `README.md`"}, 0),
    (check_tests, {"tests/README.md": "`Disk.Writes` `Dish.*`"}, 2),
    (check_complete, {"src/README.md": "`table/disk`"}, 0),
    (check_complete, {"src/README.md": "`table/disk.h`"}, 1),
]


def main():
    wrong = list(misjudged(SAMPLES, CODE_TREE, Tree))
    if wrong:
        print(*wrong, sep="\n")
        return 1
    tree = Tree(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    missing = [f"{tree.root / name}: is missing" for name in PATHS if not (tree.root / name).exists()]
    violations = missing or [violation for check in CHECKS for violation in check(tree)]
    print(*violations, f"lint-design: {len(violations)} violations", sep="\n")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
