// The kinds of data that people keep on disks, and comparisons of bytes.
//
// Everything here uses plain memory accesses: the thread sanitizer sees a block that two threads
// own at once.
//
// Thread contract: any thread.

#ifndef RAMDISK_SUPPORT_DATA_H
#define RAMDISK_SUPPORT_DATA_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "support/namespaces.h"
#include "support/random.h"

namespace ramdisk::support {

using Bytes = std::vector<std::byte>;

inline constexpr uint64_t kLargestDisk = INT64_MAX;

// `plain`, or less in a build whose sanitizer makes each step many times slower.
int scaled(int plain);
bool slow_build();

enum class Data { zeroes, word, text, random, mixed };
inline constexpr std::array kAllData = {Data::zeroes, Data::word, Data::text, Data::random,
                                        Data::mixed};

void fill(std::span<std::byte> bytes, Data kind, Rng& rng);
Bytes make_data(size_t count, Data kind, Rng& rng);

// Fills a block with random bytes that depend on `tag`, which names the block's owner.
void fill_pattern(std::span<std::byte> bytes, uint64_t tag);
// Whether all of these bytes are as fill_pattern() left them.
bool has_pattern(std::span<const std::byte> bytes, uint64_t tag);

bool all_zero(std::span<const std::byte> bytes);

// Where the two differ first, or an empty text; `offset` is that of the first byte.
std::string first_difference(std::span<const std::byte> got, std::span<const std::byte> want,
                             uint64_t offset);

}  // namespace ramdisk::support

#endif
