"""Makes the corpus: one file of real data, from headers, documents and binaries of this machine.

The same machine always gives the same corpus. Files are taken in a shuffled order, so that every
part of the corpus has some of each kind, as a disk that has been in use for a while.
"""

import os
import random

# Where the data comes from, and how much of each kind is wanted. What one kind cannot give, the
# next ones give.
KINDS = (
    (("/usr/include",), 0.34),
    (("/usr/share/doc",), 0.33),
    (("/usr/bin", "/usr/lib"), 0.33),
    (("/usr/share",), 0.0),
)
MOST_OF_ONE_FILE = 4 << 20  # so that one huge library does not stand for all binaries


def regular_files(folders):
    for top in folders:
        for folder, names, files in os.walk(top):
            names.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path


def collect(kind, wanted, seen):
    """Paths and lengths of files of one kind, `wanted` bytes together, where there are as many."""
    paths = [path for path in regular_files(kind) if path not in seen]
    random.Random(1).shuffle(paths)
    chosen, total = [], 0
    for path in paths:
        if total >= wanted:
            break
        length = min(os.path.getsize(path), MOST_OF_ONE_FILE)
        if length and os.access(path, os.R_OK):
            chosen.append((path, length))
            seen.add(path)
            total += length
    return chosen, total


def choose_files(size, kinds=KINDS):
    chosen, seen, missing = [], set(), 0
    for kind, share in kinds:
        wanted = size * share + missing
        files, total = collect(kind, wanted, seen)
        chosen += files
        missing = max(0, wanted - total)
    random.Random(2).shuffle(chosen)
    return chosen


def make_corpus(path, size, kinds=KINDS):
    """Writes `size` bytes to `path`, unless it is there already."""
    if os.path.exists(path) and os.path.getsize(path) == size:
        return path
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    written = 0
    with open(path + ".new", "wb") as out:
        while written < size:
            start = written
            for name, length in choose_files(size, kinds):
                with open(name, "rb") as source:
                    data = source.read(min(length, size - written))
                out.write(data)
                written += len(data)
            if written == start:
                raise RuntimeError("no files on this machine to make a corpus of")
    os.rename(path + ".new", path)
    return path
