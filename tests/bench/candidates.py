"""Finds the plugins that are compared, and the tools to do it with."""

import os
import shutil
import subprocess

from server import Candidate


def missing_tool(*tools):
    """What is not installed of these, or None."""
    return next((tool + " is not installed" for tool in tools if not shutil.which(tool)), None)


def nbdkit_config():
    """What `nbdkit --dump-config` says, as a dict; empty without nbdkit."""
    if not shutil.which("nbdkit"):
        return {}
    text = subprocess.run(["nbdkit", "--dump-config"], capture_output=True, text=True,
                          check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def dump_plugin(path):
    """What the plugin says about itself; nothing if nbdkit is absent or cannot load it."""
    if not shutil.which("nbdkit"):
        return []
    return subprocess.run(["nbdkit", path, "--dump-plugin"], capture_output=True, text=True,
                          check=False).stdout.splitlines()


def is_ours(path):
    """Ours says more about itself than the distribution's memory plugin does."""
    return any(line.startswith("ramdisk_") for line in dump_plugin(path))


def has_zstd(path):
    return "zstd=yes" in dump_plugin(path)


def zstd_version(path):
    """Of the library that the plugin works with."""
    return next((line.split("=")[1] for line in dump_plugin(path)
                 if line.startswith("zstd_version=")), "unknown")


def accepts(path, allocator):
    """Whether the plugin knows this value of allocator=."""
    return shutil.which("nbdkit") is not None and subprocess.run(
        ["nbdkit", "-U", "-", path, "size=1M", "allocator=" + allocator, "--run", "true"],
        capture_output=True, check=False).returncode == 0


def find_old(given, plugin, results):
    """The path of the distribution's memory plugin, or None: then there is nothing to compare
    with. After an installation of ours its place may hold ours."""
    if given:
        return given
    folder = nbdkit_config().get("plugindir")
    path = folder and os.path.join(folder, "nbdkit-memory-plugin.so")
    if not path or not os.path.exists(path):
        results.note("the distribution's memory plugin is not installed: no ratios to it")
        return None
    if is_ours(path) and os.path.realpath(path) != os.path.realpath(plugin):
        results.note("the installed memory plugin is this project's: no ratios to the "
                     "distribution's (--old PATH names it)")
        return None
    if os.path.realpath(path) == os.path.realpath(plugin):
        results.note("the plugin under test is the installed one: no ratios (--old PATH names "
                     "another)")
        return None
    return path


def make_candidates(plugins, allocators, size, null_copy=None):
    """`plugins`: name -> path. With them the ceiling of every plugin (null), the floor of every
    disk in memory (copy, if `null_copy` is its path) and what a user would take instead (file)."""
    members = [Candidate("null", "", ("null", f"size={size}"))]
    if null_copy:
        members.append(Candidate("copy", "", (null_copy, f"size={size}")))
    for allocator in allocators:
        for name, path in plugins.items():
            arguments = (path, f"size={size}", "allocator=" + allocator)
            members.append(Candidate(name, allocator, arguments))
    members.append(Candidate("file", "", ("file", "{file}")))
    return members
