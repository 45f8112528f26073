// What full disks are filled with: pages that are told apart by a number of 64 bits, so that a
// model of a disk needs eight bytes a page.
//
// The data is generated: text that packs to about 2/5 and something like executables that packs to
// about 3/5, both a few per cent better together with their neighbours than alone. With the
// environment variable RAMDISK_FULL_DISK_FILES=DIRECTORY, files found below it take their place.
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

// A page's content. 0 is a page that was never written or was trimmed.
using PageId = uint64_t;

// The page number `n` of that matter. Neighbours come from the same file. A mixture has runs of 16
// pages of each of the other kinds, as many of one as of another.
PageId page_id(Matter matter, uint64_t n);

// Writes the content, which is 4096 bytes long; `out` may be shorter.
void copy_page(PageId id, std::span<std::byte> out);

bool is_noise(PageId id);

// About how large the page is when it is packed alone, as a share of 4096.
double packed_share(PageId id);

}  // namespace ramdisk::conformance

#endif
