#include "plugin/filters.h"

#if __has_include(<link.h>)
#include <dlfcn.h>
#include <link.h>
#define RAMDISK_LISTS_OBJECTS 1
#endif

#include <array>
#include <charconv>
#include <string_view>

namespace ramdisk {

namespace {

using Version = std::array<unsigned, 2>;  // 1.32.5 is {1, 32}

// The filters that would damage the disk, each with the version of nbdkit that fixed this, and the
// least that is beside the disk for it to matter.
struct Harmful {
  std::string_view filter;
  Version until;
  Beside from = Beside::statistics;
};
constexpr Version kNever{~0u, ~0u};
constexpr Harmful kHarmful[] = {
    {"cache", kNever},                        // keeps one cache for all exports
    {"cacheextents", kNever, Beside::disks},  // keeps the extents of the last export that was asked
    {"cow", {1, 44}},                         // keeps one overlay for all exports
    {"cow", kNever, Beside::private_disks},   // and for all connections to one
    {"gzip", kNever},                         // keeps what the first export unpacks to
    {"luks", kNever},                         // ends the server (1.32) when an export has no header
    {"readahead", {1, 32}},                   // keeps one buffer of what was read ahead
    {"tar", kNever},                          // keeps the place of a file in the first export
};

// A version that cannot be parsed counts as an old one.
Version parse(const std::string& text) {
  Version version{0, 0};
  const char* const end = text.data() + text.size();
  const auto [dot, error] = std::from_chars(text.data(), end, version[0]);
  if (error != std::errc() || dot == end || *dot != '.') return {0, 0};
  if (std::from_chars(dot + 1, end, version[1]).ec != std::errc()) return {0, 0};
  return version;
}

#ifdef RAMDISK_LISTS_OBJECTS

// The beginning of the structure that a filter passes to nbdkit. nbdkit promises the first two
// members, and no version since 1.24 has anything else before the name.
struct FilterHead {
  int api_version;
  const char* version;
  const char* name;
};

int note_object(dl_phdr_info* info, size_t, void* list) {
  if (info->dlpi_name && *info->dlpi_name) {
    static_cast<std::vector<std::string>*>(list)->emplace_back(info->dlpi_name);
  }
  return 0;
}

// Returns an empty name if `object` is not a filter. The object is already loaded, so dlopen() only
// looks it up.
LoadedFilter filter_in(const std::string& object) {
  LoadedFilter filter;
  void* const handle = dlopen(object.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) return filter;
  if (void* const init = dlsym(handle, "filter_init")) {
    const auto* head = reinterpret_cast<const FilterHead* (*)()>(init)();
    if (head && head->name) filter.name = head->name;
    if (head && head->version) filter.version = head->version;
  }
  dlclose(handle);
  return filter;
}

#endif

std::string refusal(const std::string& filter, Beside beside) {
  const std::string with = " does not go with --filter=" + filter + ", which ";
  switch (beside) {
    case Beside::statistics:
      break;
    case Beside::disks:
      return "exports=" + with + "in this nbdkit confuses the disks of several exports";
    case Beside::private_disks:
      return "scratch=true" + with + "confuses the disks of several connections";
  }
  return "stats-export=" + with +
         "in this nbdkit could destroy a disk with a second export; stats-file=<PATH> writes the "
         "same statistics to a file";
}

}  // namespace

std::vector<LoadedFilter> loaded_filters() {
  std::vector<LoadedFilter> filters;
#ifdef RAMDISK_LISTS_OBJECTS
  // The list of objects is locked while it is walked, so collect the names first.
  std::vector<std::string> objects;
  dl_iterate_phdr(note_object, &objects);
  for (const std::string& object : objects) {
    LoadedFilter filter = filter_in(object);
    if (!filter.name.empty()) filters.push_back(std::move(filter));
  }
#endif
  return filters;
}

Status allow_exports(const std::vector<LoadedFilter>& filters, Beside beside) {
  for (const LoadedFilter& filter : filters) {
    for (const Harmful& harmful : kHarmful) {
      if (filter.name != harmful.filter || parse(filter.version) >= harmful.until) continue;
      if (beside < harmful.from) continue;
      return Status::error(ENOTSUP, refusal(filter.name, beside));
    }
  }
  return {};
}

}  // namespace ramdisk
