#include "memory/available_memory.h"

#include <algorithm>

#include "memory/system_file.h"

namespace ramdisk {

namespace {

// The number in a file that holds only that. "max" (cgroup v2: no limit) and a file that does not
// exist give `otherwise`.
uint64_t number(const std::string& path, uint64_t otherwise) {
  return number_at(read_system_file(path)).value_or(otherwise);
}

struct Names {
  const char* limit;
  const char* used;
  // Fields of memory.stat: file pages that the kernel drops before it refuses memory, after writing
  // back those that have changed. It prefers the inactive ones and drops the active ones as well.
  // Files of a tmpfs are in neither field: they need swap.
  const char* inactive_cache;
  const char* active_cache;
};
constexpr Names kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                    "total_active_file"};
constexpr Names kV2{"memory.max", "memory.current", "inactive_file", "active_file"};

void consider_group(const std::string& folder, const Names& names, AvailableMemory& least) {
  const uint64_t limit = number(folder + "/" + names.limit, UINT64_MAX);
  // v1 writes "no limit" as a number of pages that no machine has.
  if (limit >= UINT64_MAX / 4) return;
  const uint64_t used = number(folder + "/" + names.used, 0);
  const std::string statistics = read_system_file(folder + "/memory.stat");
  const uint64_t cache =
      number_of(statistics, names.inactive_cache) + number_of(statistics, names.active_cache);
  const uint64_t kept = used > cache ? used - cache : 0;
  const uint64_t left = limit > kept ? limit - kept : 0;
  least.total = std::min(least.total, limit);
  if (left < least.bytes) {
    least.bytes = left;
    least.limit = "the memory limit of the control group";
  }
}

// `path` is the group's name below `mount`; the limits of the groups above it apply too. In a
// container the name may be one of the host's that does not exist there, but the top of the mount
// does and is read.
void consider_hierarchy(const std::string& mount, std::string path, const Names& names,
                        AvailableMemory& least) {
  for (;;) {
    consider_group(mount + path, names, least);
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.empty()) return;
    path.resize(slash);
  }
}

}  // namespace

// Formats: proc(5) for /proc/meminfo, cgroups(7) for /proc/self/cgroup (lines of
// "number:controllers:path", v2 with number 0 and no controllers).
AvailableMemory available_memory(Swap swap, const std::string& root) {
  AvailableMemory least;
  const std::string meminfo = read_system_file(root + "/proc/meminfo");
  const bool with_swap = swap == Swap::counts;
  const uint64_t kib =
      number_of(meminfo, "MemAvailable:") + (with_swap ? number_of(meminfo, "SwapFree:") : 0);
  const uint64_t total = number_of(meminfo, "MemTotal:");
  if (kib > 0) least.bytes = kib * 1024;
  if (kib > 0) least.limit = with_swap ? "free memory and swap" : "free memory";
  if (total > 0) least.total = total * 1024;

  const std::string groups = read_system_file(root + "/proc/self/cgroup");
  for (std::string_view rest = groups; !rest.empty();) {
    const std::string line(take_line(rest));
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      consider_hierarchy(root + "/sys/fs/cgroup", path, kV2, least);
    } else if (controllers.find(",memory,") != std::string::npos) {
      consider_hierarchy(root + "/sys/fs/cgroup/memory", path, kV1, least);
    }
  }
  return least;
}

}  // namespace ramdisk
