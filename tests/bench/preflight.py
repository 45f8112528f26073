"""What a run needs, looked at before it begins."""

import importlib.util
import os
import shutil

import filesystem
import machine
import wire
from candidates import missing_tool

MEMORY = 20 << 30  # with which every step fits
ROOM = 12 << 30  # for the images


def absences(folder):
    """A line for each thing that is missing, with what is lost by it."""
    checks = ((missing_tool("nbdcopy", "nbdinfo", "mkfs.ext4"), "nbdcopy"),
              (missing_tool("qemu-img"), "qemu-img"), (wire.missing(), "fio"),
              (filesystem.missing(), "nbdfuse"),
              (None if importlib.util.find_spec("nbd")
               else "libnbd's Python module is absent", "connections"),
              (None if importlib.util.find_spec("matplotlib")
               else "matplotlib is not installed", "the plot"))
    lines = [f"{reason}: without {what}" for reason, what in checks if reason]
    if machine.available_bytes() < MEMORY:
        lines.append(f"{machine.available_bytes() >> 30} GiB of memory are free, not "
                     f"{MEMORY >> 30}: without the steps that need more")
    if shutil.disk_usage(folder).free < ROOM:
        lines.append(f"less than {ROOM >> 30} GiB are free for images in {folder}")
    if os.getloadavg()[0] > 0.3:
        lines.append(f"the machine is busy: its load is {os.getloadavg()[0]:.1f}")
    return lines


def say(folder):
    """Prints all of it in one message, or that nothing is missing."""
    lines = absences(folder)
    print("\n".join(["This run will lack something:", *("- " + line for line in lines)])
          if lines else "Nothing is missing for this run.", flush=True)
