"""The machine: what it is, what it has free, who else uses it; memory to be had at once."""

import mmap
import os
import platform
import resource

from candidates import nbdkit_config


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        for line in meminfo:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def describe():
    """What its figures depend on, by name."""
    model = platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    huge = "unknown"
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as enabled:
            huge = enabled.read().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        pass
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": model, "cpus": os.cpu_count(), "memory_gib": round(pages / 2**30),
            "kernel": platform.release(), "huge_pages": huge,
            "nbdkit": nbdkit_config().get("version", "absent")}


class Watch:
    """How much of the CPUs others have used since this was made."""

    def __init__(self):
        self.start = self._figures()

    @staticmethod
    def _figures():
        """CPU seconds that passed, that were idle, that this process and its children used."""
        with open("/proc/stat", encoding="ascii") as stat:
            fields = [int(f) / os.sysconf("SC_CLK_TCK") for f in stat.readline().split()[1:9]]
        own = sum(sum(resource.getrusage(who)[:2])
                  for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(fields), fields[3] + fields[4], own

    def others(self):
        """From 0 to 1. The hypervisor's other guests count."""
        total, idle, own = (b - a for a, b in zip(self.start, self._figures()))
        return max(0.0, (total - idle - own) / total) if total else 0.0


class WarmMemory:
    """Memory that is touched, to be given back just before somebody needs it; memory.h says why.
    It consists of huge or small pages, as those of whoever comes next."""

    def __init__(self, size, huge_pages):
        self.map = None
        if size == 0:
            return
        self.map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            self.map.madvise(mmap.MADV_HUGEPAGE if huge_pages else mmap.MADV_NOHUGEPAGE)
        except OSError:
            pass  # a system without huge pages
        for offset in range(0, size, mmap.PAGESIZE):
            self.map[offset] = 1

    def release(self):
        if self.map:
            self.map.madvise(mmap.MADV_DONTNEED)

    def close(self):
        if self.map:
            self.map.close()
            self.map = None
