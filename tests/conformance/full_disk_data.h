// The data that fills full disks: pages that a 64-bit number identifies, so that a model of a disk
// needs eight bytes for each page.
//
// The data is generated: text that compresses to about 2/5, and data similar to executables that
// compresses to about 3/5, both a few per cent better together with their neighbours than alone.
// With the environment variable RAMDISK_FULL_DISK_FILES=DIRECTORY, files below that directory are
// used instead.
//
// Thread contract: any thread.

#ifndef RAMDISK_CONFORMANCE_FULL_DISK_DATA_H
#define RAMDISK_CONFORMANCE_FULL_DISK_DATA_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace ramdisk::conformance {

enum class Matter { text, executables, noise, mixture };
const char* name_of(Matter matter);

// Identifies the content of a page. 0 is a page that was never written or was trimmed.
using PageId = uint64_t;

// Returns page number `n` of `matter`. Neighbours come from the same file. A mixture has equally
// many runs of 16 pages of each of the other kinds.
PageId page_id(Matter matter, uint64_t n);

// Copies the content, which is 4096 bytes long, to `out`, which may be shorter.
void copy_page(PageId id, std::span<std::byte> out);

bool is_noise(PageId id);

// Returns about how large the page is when it is compressed alone, as a share of 4096.
double packed_share(PageId id);

}  // namespace ramdisk::conformance

#endif
