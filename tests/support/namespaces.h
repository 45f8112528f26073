// Makes the names of this library known in the namespaces of the suites that use it.

#ifndef RAMDISK_SUPPORT_NAMESPACES_H
#define RAMDISK_SUPPORT_NAMESPACES_H

namespace ramdisk {
namespace support {}
namespace conformance {
using namespace support;
}
namespace fuzz {
using namespace support;
}
namespace unit {
using namespace support;
}
}  // namespace ramdisk

#endif
