"""Makes what the clients copy: images of real files, of C headers, of ext4 filesystems, of noise,
and a tar."""

import os
import subprocess
import tarfile
import tempfile

import corpus

CHUNK = 1 << 20
FULL = 0.6  # of a filesystem: the share that its files take
# As corpus.KINDS: what a root filesystem consists of, and C headers alone.
ROOT = ((("/etc",), 0.02), (("/usr/bin", "/usr/sbin"), 0.2), (("/usr/lib",), 0.5),
        (("/usr/share", "/var/lib"), 0.28))
HEADERS = ((("/usr/include",), 1.0),)


def make_noise(path, size):
    with open(path, "wb") as out:
        for begin in range(0, size, CHUNK):
            out.write(os.urandom(min(CHUNK, size - begin)))


def make_tar(path, size, kinds=corpus.KINDS):
    """Real files of about `size` bytes, each in a folder of two hundred."""
    with tarfile.open(path, "w") as tar:
        total = 0
        for number, (name, length) in enumerate(corpus.choose_files(size, kinds)):
            entry = tarfile.TarInfo(f"{number // 200}/{number}-{os.path.basename(name)}")
            with open(name, "rb") as source:
                entry.size = min(length, os.fstat(source.fileno()).st_size, size - total)
                tar.addfile(entry, source)
            total += entry.size


def make_ext4(path, size, tar):
    with open(path, "wb") as out:
        out.truncate(size)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        subprocess.run(["tar", "-xf", tar, "-C", folder], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", folder, path], check=True)


def make_root(path, size):
    tar = make_once(path + ".tar", int(size * FULL),
                    lambda new, most: make_tar(new, most, ROOT))
    make_ext4(path, size, tar)
    os.unlink(tar)


def make_headers(path, size):
    corpus.make_corpus(path, size, HEADERS)


def make_once(path, size, make, *args):
    if not os.path.exists(path):
        make(path + ".new", size, *args)
        os.rename(path + ".new", path)
    return path


MAKERS = {"noise": make_noise, "headers": make_headers, "root": make_root}


def tar_of(folder, size):
    """The path of the tar for a filesystem of `size` bytes."""
    return make_once(os.path.join(folder, f"files-{size >> 20}M.tar"), int(size * FULL), make_tar)


def image_of(folder, kind, size):
    """The path of an image of `size` bytes: files, ext4 or one of MAKERS."""
    path = os.path.join(folder, f"{kind}-{size >> 20}M")
    if kind == "files":
        return corpus.make_corpus(path, size)
    if kind in MAKERS:
        return make_once(path, size, MAKERS[kind])
    return make_once(path, size, make_ext4, tar_of(folder, size))


def most_data(kind, size):
    """How many bytes of an image of `size` bytes hold data, at most."""
    return int(size * FULL) if kind in ("ext4", "root") else size


def read_ahead(path):
    """So that the system has the file in memory."""
    with open(path, "rb") as file:
        while file.read(CHUNK):
            pass
