"""Every filter of this nbdkit over a disk with a statistics export: see test-memory-stats-filters.sh.

Usage: stats-filters.py PLUGIN DIRECTORY

Through each filter one connection writes and remembers what it wrote, while another thread lists the
exports, asks about them, opens them and reads the statistics. Then the disk is compared with what was
written, by the same connection and by new ones. A filter may be refused at the start, with a message
that says what to do; what starts may not lose a byte.
"""

import json
import os
import random
import re
import subprocess
import sys
import threading
import time

import nbd

plugin, directory = sys.argv[1:]
SIZE = 8 << 20

# What a filter needs to start, or to be seen through.
PARAMETERS = {
    "blocksize": ["minblock=512", "maxdata=64K", "maxlen=64K"],
    "blocksize-policy": ["blocksize-preferred=4096"],
    "ddrescue": ["ddrescue-mapfile={dir}/mapfile"],
    "delay": ["rdelay=1ms", "wdelay=1ms"],
    "error": ["error-rate=0%"],
    "evil": ["evil-probability=0"],
    "exitwhen": ["exit-when-file-created={dir}/never"],
    "exportname": ["exportname-list=keep"],
    "ext2": ["ext2file=/file"],
    "extentlist": ["extentlist={dir}/extents"],
    "fua": ["fuamode=emulate"],
    "ip": ["allow=all"],
    "limit": ["limit=100"],
    "log": ["logfile={dir}/log"],
    "luks": ["passphrase=secret"],
    "multi-conn": ["multi-conn-mode=emulate"],
    "nocache": ["cachemode=emulate"],
    "noparallel": ["serialize=requests"],
    "nozero": ["zeromode=emulate"],
    "offset": ["offset=512"],
    "partition": ["partition=1"],
    "pause": ["pause-control={dir}/pause"],
    "protect": ["protect=0-4095"],
    "rate": ["rate=1G"],
    "retry": ["retries=2"],
    "retry-request": ["retry-request-retries=2"],
    "stats": ["statsfile={dir}/figures"],
    "swab": ["swab-bits=16"],
    "tar": ["tar-entry=file"],
    "time-limit": ["time-limit=1000"],
    "truncate": ["round-up=1M"],
}
# Want content on the disk that an empty one does not have: nobody can connect.
NEED_CONTENT = {"bzip2", "ext2", "gzip", "luks", "lzip", "partition", "qcow2dec", "tar", "xz"}
# Clients have to use TLS; what others see is a dummy.
NEED_TLS = {"tls-fallback"}
PSK = f"{directory}/keys.psk"
# Cut or change what the document is.
OTHER_BYTES = {"blocksize", "offset", "swab", "truncate", "ddrescue", "evil"}


def nbdkit_config():
    lines = subprocess.run(["nbdkit", "--dump-config"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in lines.stdout.splitlines() if "=" in line)


config = nbdkit_config()
# `nbdkit 1.32.5 (Debian ...)`: what it runs decides, not where its files lie.
version = subprocess.run(["nbdkit", "--version"], capture_output=True, text=True, check=True).stdout
version = tuple(int(n) for n in re.search(r"(\d+)\.(\d+)", version).groups())


def must_be_refused(name):
    until = {"cache": (999, 0), "cow": (1, 44), "gzip": (999, 0), "luks": (999, 0),
             "readahead": (1, 32), "tar": (999, 0)}
    return version < until.get(name, (0, 0))


class Server:
    """nbdkit with these filters. Is false if it refuses to start; then errors tell why."""

    count = 0

    def __init__(self, filters, parameters):
        Server.count += 1
        self.socket = f"{directory}/server{Server.count}.sock"
        pidfile = f"{self.socket}.pid"
        self.log = f"{self.socket}.log"
        words = [word.format(dir=directory) for word in parameters]
        self.tls = bool(NEED_TLS & set(filters))
        options = ["--tls=on", f"--tls-psk={PSK}"] if self.tls else []
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["nbdkit", "-f", "--exit-with-parent", "-U", self.socket, "-P", pidfile] + options
                + [f"--filter={name}" for name in filters] + [plugin, str(SIZE)] + words,
                stderr=log)
        while self.process.poll() is None and not os.path.exists(pidfile):
            time.sleep(0.01)
        self.running = self.process.poll() is None

    def __bool__(self):
        return self.running

    def errors(self):
        with open(self.log) as log:
            return log.read()

    def stop(self):
        if not self.running:
            return
        assert self.process.poll() is None, "the server is gone: " + self.errors()
        self.process.terminate()
        assert self.process.wait(60) == 0, self.errors()


def connect(server, name="", negotiate=False):
    handle = nbd.NBD()
    handle.set_opt_mode(negotiate)
    handle.add_meta_context("base:allocation")
    handle.set_export_name(name)
    if server.tls:
        handle.set_tls(nbd.TLS_REQUIRE)
        handle.set_tls_psk_file(PSK)
        handle.set_tls_username("tester")
    handle.connect_unix(server.socket)
    return handle


def read_statistics(server):
    handle = connect(server, "statistics")
    text = handle.pread(handle.get_size(), 0)
    handle.shutdown()
    return text


class Intruder(threading.Thread):
    """Lists, asks, opens and reads all the time until it is stopped."""

    def __init__(self, server, name):
        super().__init__()
        self.server, self.name = server, name
        self.rounds, self.problem, self.enough = 0, None, False

    def run(self):
        try:
            while not self.enough or self.rounds < 3:
                self.look()
                self.rounds += 1
        except Exception as error:  # whatever it is, the main thread has to tell
            self.problem = f"{type(error).__name__}: {error}"

    def look(self):
        handle = connect(self.server, negotiate=True)
        names = []
        handle.opt_list(lambda name, description: names.append(name))
        assert self.name == "exportname" or names == ["", "statistics"], names
        for name in ["", "statistics"]:
            handle.set_export_name(name)
            handle.opt_info()
        # A name that nothing has is refused, for who asks as for who opens.
        if self.name != "exportname":
            handle.set_export_name("statistic")
            try:
                handle.opt_info()
                assert False, "there is an export of any name"
            except nbd.Error:
                pass
        handle.opt_abort()
        if self.name != "exportname":
            try:
                connect(self.server, "statistic")
                assert False, "an export of any name can be opened"
            except nbd.Error:
                pass
        text = read_statistics(self.server)
        if self.name not in OTHER_BYTES:
            assert json.loads(text)["size_bytes"] == SIZE, text


def check_map(handle, model):
    """What is called a hole or zero has to be that."""
    if not handle.can_meta_context("base:allocation"):
        return
    at = 0
    while at < len(model):
        entries = []
        handle.block_status(len(model) - at, at, lambda c, o, e, err: entries.extend(e))
        for length, kind in zip(entries[0::2], entries[1::2]):
            length = min(length, len(model) - at)
            if kind & (nbd.STATE_HOLE | nbd.STATE_ZERO):
                assert not any(model[at:at + length]), f"a copier would leave out {length} at {at}"
            at += length


def compare(handle, model, who):
    for at in range(0, len(model), 1 << 19):
        part = model[at:at + (1 << 19)]
        if handle.pread(len(part), at) != part:
            first = next(i for i, b in enumerate(handle.pread(len(part), at)) if b != part[i])
            raise AssertionError(f"{who}: byte {at + first} is lost")


def write_load(handle, model, name):
    chance = random.Random(5)
    steps = 60 if name in ("delay", "rate") else 300
    for step in range(steps):
        count = 512 * chance.choice([1, 8, 8, 16, 100, 128])
        at = 65536 + 512 * chance.randrange((len(model) - 65536 - count) // 512)
        data = bytes(count) if name == "checkwrite" else chance.randbytes(count)
        if step % 5 == 4 and handle.can_zero():
            handle.zero(count, at)
            data = bytes(count)
        else:
            handle.pwrite(data, at)
        model[at:at + count] = data
        if step % 10 == 9:
            # By default the cache filter answers from the disk, which has not got the data yet.
            if name != "cache":
                check_map(handle, model)
            if handle.can_flush():
                handle.flush()


def exercise(server, name, load):
    model = bytearray(load.get_size())
    intruder = Intruder(server, name)
    intruder.start()
    try:
        if not load.is_read_only():
            write_load(load, model, name)
    finally:
        intruder.enough = True
        intruder.join()
    assert not intruder.problem, intruder.problem
    compare(load, model, "the same connection")
    check_map(load, model)
    for _ in range(2):
        other = connect(server)
        compare(other, model, "a new connection")
        check_map(other, model)
        read_statistics(server)
        other.shutdown()
    return f"{intruder.rounds} looks, nothing lost" + (
        " (read-only)" if not any(model) and name != "checkwrite" else "")


def try_filter(name):
    parameters = PARAMETERS.get(name, [])
    server = Server([name], parameters + ["stats-export=statistics"])
    if not server:
        errors = server.errors()
        if "stats-export" in errors:
            assert "stats-file" in errors and f"--filter={name}," in errors, errors
            assert len(errors.strip().splitlines()) == 1, errors
            return "refused"
        assert name not in PARAMETERS or name in NEED_CONTENT, errors
        return "does not start: " + errors.strip().splitlines()[-1]
    assert not must_be_refused(name), "it starts"
    try:
        load = connect(server)  # the only one with exitlast, which ends the server after the last
    except nbd.Error:
        assert name in NEED_CONTENT, server.errors()
        try:
            read_statistics(server)
        except nbd.Error:
            pass
        server.stop()
        return "an empty disk cannot be opened through it"
    if server.tls and not load.get_tls_negotiated():
        return "no TLS here"
    result = exercise(server, name, load)
    load.shutdown()
    if name == "exitlast":
        assert server.process.wait(60) == 0
    else:
        server.stop()
    return result


with open(f"{directory}/mapfile", "w") as file:
    file.write("# Mapfile\n0x00000000 + 1\n0x00000000 0x%08x +\n" % SIZE)
with open(f"{directory}/extents", "w") as file:
    file.write(f"0 {SIZE}\n")
with open(PSK, "w") as file:
    file.write("tester:" + "5a" * 32 + "\n")

filters = sorted(match.group(1) for match in (re.fullmatch(r"nbdkit-(.*)-filter\.so", entry)
                                              for entry in os.listdir(config["filterdir"])) if match)
assert filters, "nbdkit has no filters"
failed = []
for name in filters:
    try:
        result = try_filter(name)
        assert result == "refused" or not must_be_refused(name), result
    except (AssertionError, nbd.Error, StopIteration) as problem:
        failed.append(name)
        result = f"FAIL: {problem}"
    print(f"{name:17} {' '.join(PARAMETERS.get(name, [])):45} {result}", flush=True)
assert not failed, failed

# Wherever it lies in the stack, and whatever its file is called.
if "cow" in filters and must_be_refused("cow"):
    os.symlink(f"{config['filterdir']}/nbdkit-cow-filter.so", f"{directory}/innocent.so")
    for stack in (["log", "cow"], ["cow", "log"], [f"{directory}/innocent.so"]):
        server = Server(stack, ["logfile=/dev/null"] * ("log" in stack) + ["stats-export=statistics"])
        assert not server and "--filter=cow," in server.errors(), (stack, server.errors())

# The way out of it that the message names. (nbdkit 1.24's cache filter loses data over any plugin, with
# or without statistics.)
for name, parameters in ("cow", []), ("cache", ["cache=writethrough"]):
    if name not in filters or (name == "cache" and version < (1, 32)):
        continue
    server = Server([name], parameters + [f"stats-file={directory}/statistics"])
    assert server, server.errors()
    handle = connect(server)
    model = bytearray(handle.get_size())
    write_load(handle, model, name)
    with open(f"{directory}/statistics") as file:
        assert json.load(file)["size_bytes"] == SIZE
    compare(handle, model, f"{name} with a file")
    handle.shutdown()
    server.stop()
print("every filter that starts keeps the disk")
