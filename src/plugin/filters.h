// Finds which of nbdkit's filters are loaded on top of the plugin, and which of them do not support
// several exports.
//
// A filter that keeps one overlay, one cache or the place of one file for the whole server confuses
// the bytes of one export with those of the other. With a second export that loses the data of the
// disk; so does a server that exits because the second export is not what the filter expects.
//
// Thread contract: used by one thread, during start-up.

#ifndef RAMDISK_PLUGIN_FILTERS_H
#define RAMDISK_PLUGIN_FILTERS_H

#include <string>
#include <vector>

#include "ramdisk/status.h"

namespace ramdisk {

struct LoadedFilter {
  std::string name;     // as in --filter=NAME
  std::string version;  // of the nbdkit that it belongs to, which is the running one
};

// Returns the filters loaded into this process; none if the system offers no way to list them.
std::vector<LoadedFilter> loaded_filters();

// What a client may find beside the one disk.
enum class Beside {
  statistics,    // an export with the statistics, which has no extents
  disks,         // other disks, with other names
  private_disks  // other disks with the same name, one for each connection
};

// Returns ENOTSUP, with a message for the user, if one of `filters` must not see such exports.
Status allow_exports(const std::vector<LoadedFilter>& filters, Beside beside);

}  // namespace ramdisk

#endif
