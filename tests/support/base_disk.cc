// The content of base_disk.h.

#include "support/base_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "support/data.h"
#include "support/places.h"

namespace ramdisk::support {

BaseDisk::BaseDisk(AllocatorType type, uint64_t disk_bytes, const Load& load)
    : BaseDisk(AllocatorOptions{.type = type}, disk_bytes, load) {}

BaseDisk::BaseDisk(const AllocatorOptions& options, uint64_t disk_bytes, const Load& load,
                   const BackgroundTiming& pace) {
  auto made = make_allocator(options, disk_bytes, {.memory = memory_.get(), .pace = pace});
  if (!made.ok()) throw std::runtime_error("no base");
  inner_ = std::move(made.value());
  if (!inner_->get_ready().ok() || !inner_->after_fork().ok()) throw std::runtime_error("no base");
  load(*inner_, disk_bytes);
}

Status BaseDisk::changed() {
  ADD_FAILURE() << "the base was changed";
  return Status::error(EROFS, "the base was changed");
}

void load_ranges(Allocator& disk, uint64_t disk_bytes) {
  const Places places(disk_bytes);
  Rng rng(disk_bytes + 77);
  for (int i = 0; i < 40; ++i) {
    const Range range = places.next(200000, rng);
    const Bytes data = make_data(range.count, rng.pick(kAllData), rng);
    EXPECT_TRUE(disk.write(data, range.offset).ok());
  }
}

void load_everywhere(Allocator& disk, uint64_t disk_bytes) {
  constexpr uint64_t kMiB = 1 << 20;
  const Bytes data(kMiB, std::byte{0xbb});
  const auto load = [&](uint64_t from, uint64_t mebibytes) {
    for (uint64_t at = from; at < std::min(disk_bytes, from + mebibytes * kMiB); at += kMiB) {
      const uint64_t count = std::min(kMiB, disk_bytes - at);
      EXPECT_TRUE(disk.write(std::span(data).first(count), at).ok());
    }
  };
  load(0, 8);
  for (const uint64_t middle : {10 * kMiB, 64 * kMiB, 128 * kMiB}) load(middle - kMiB, 2);
  load(disk_bytes - std::min(disk_bytes, kMiB), 1);
}

}  // namespace ramdisk::support
