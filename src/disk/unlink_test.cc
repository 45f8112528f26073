// What a request replaces is retired only when nobody can find it any more: a reader that comes at
// that very moment gets the new bytes.

#include <gtest/gtest.h>

#include <memory>
#include <span>

#include "base/page.h"
#include "disk/registry.h"
#include "support/data.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::make_data;
using conformance::Rng;

// A disk of 1 MiB without threads: nothing happens that the test does not do.
class Unlink : public testing::Test {
 protected:
  void make(AllocatorType type) {
    AllocatorOptions options;
    options.type = type;
    auto made = make_allocator(options, 1 << 20, {memory_.get()});
    ASSERT_TRUE(made.ok());
    disk_ = std::move(made.value());
    ASSERT_TRUE(disk_->get_ready().ok());
  }

  Bytes read(uint64_t count, uint64_t offset) {
    Bytes bytes(count);
    EXPECT_TRUE(disk_->read(bytes, offset).ok());
    return bytes;
  }

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  std::unique_ptr<Allocator> disk_;
  Rng rng_{77};
};

#ifdef RAMDISK_HAVE_ZSTD
TEST_F(Unlink, APageOfZstd) {
  NEEDS_YIELD_POINTS();
  make(AllocatorType::zstd);
  Bytes page(kPageBytes);
  int drops = 0;
  const unit::AtYield at([&](std::string_view place) {
    if (place != "PageStore::drop") return;
    ++drops;
    EXPECT_EQ(read(kPageBytes, kPageBytes), page);
  });
  for (const Data before : conformance::kAllData) {
    for (const Data after : conformance::kAllData) {
      for (const Data kind : {before, after}) {
        page = make_data(kPageBytes, kind, rng_);
        ASSERT_TRUE(disk_->write(page, kPageBytes).ok());
      }
      const Bytes part = make_data(700, Data::text, rng_);
      std::copy(part.begin(), part.end(), page.begin() + 99);
      ASSERT_TRUE(disk_->write(part, kPageBytes + 99).ok());
      page.assign(kPageBytes, std::byte{0});
      ASSERT_TRUE(disk_->zero(kPageBytes, kPageBytes).ok());
    }
  }
  EXPECT_GT(drops, 50);
}
#endif

// Sparse retires 64 pages at once.
TEST_F(Unlink, PagesOfSparse) {
  NEEDS_YIELD_POINTS();
  constexpr size_t kBytes = 64 * kPageBytes;
  make(AllocatorType::sparse);
  ASSERT_TRUE(disk_->write(make_data(kBytes + kPageBytes, Data::text, rng_), 0).ok());
  int retired = 0;
  const unit::AtYield at([&](std::string_view place) {
    if (place != "Epoch::retire_list") return;
    ++retired;
    EXPECT_EQ(read(kBytes, 0), Bytes(kBytes));
  });
  ASSERT_TRUE(disk_->zero(kBytes, 0).ok());
  EXPECT_EQ(retired, 1);
}

}  // namespace
}  // namespace ramdisk
