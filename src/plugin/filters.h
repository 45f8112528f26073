// Which of nbdkit's filters lie on top of the plugin, and which of them cannot bear two exports.
//
// A filter that keeps one overlay, cache or place of a file for the whole server takes the bytes of
// one export for those of the other. For a disk with a second export that is loss of data, and so
// is a server that ends because the second one is not as the filter expects.
//
// Thread contract: start-up only, one thread.

#ifndef RAMDISK_PLUGIN_FILTERS_H
#define RAMDISK_PLUGIN_FILTERS_H

#include <string>
#include <vector>

#include "ramdisk/status.h"

namespace ramdisk {

struct LoadedFilter {
  std::string name;     // as in --filter=NAME
  std::string version;  // of the nbdkit that it belongs to, which is the one that runs
};

// Those of this process; none where the system does not tell.
std::vector<LoadedFilter> loaded_filters();

// ENOTSUP, with a message for the user, if one of these must not see a second export.
Status allow_second_export(const std::vector<LoadedFilter>& filters);

}  // namespace ramdisk

#endif
