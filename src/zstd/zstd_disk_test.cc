// ZstdDisk: what a request does while a worker is at the same page.

#include "zstd/zstd_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>

#include "support/data.h"
#include "support/waiting.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::make_data;
using conformance::Rng;

// The hook is the client: it writes after the worker has read the page and before the worker
// compresses it.
TEST(ZstdDiskTest, AWriteStaysWhenThePageIsBeingCompressed) {
  NEEDS_YIELD_POINTS();
  Rng rng(71);
  Bytes page = make_data(kPageBytes, Data::text, rng);
  const Bytes part = make_data(700, Data::text, rng);
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  AllocatorOptions options;
  options.type = AllocatorType::zstd;
  options.recompress = false;  // one worker alone comes to the page, to compress it
  ZstdDisk disk({.memory = memory.get(),
                 .pace = {.tick = std::chrono::milliseconds(1)},
                 .trace_directories = {}},
                1 << 20, options);
  ASSERT_TRUE(disk.get_ready().ok());
  std::atomic<int> compressed{0};
  std::atomic<bool> written{false};
  {
    const std::thread::id writer = std::this_thread::get_id();
    const unit::AtYield at([&](std::string_view place) {
      if (place != "Dictionaries::ref, counted" || compressed++ > 0) return;
      EXPECT_NE(std::this_thread::get_id(), writer) << "the writer compressed it";
      EXPECT_TRUE(disk.write(part, 99).ok());
      written = true;
    });
    ASSERT_TRUE(disk.after_fork().ok());
    EXPECT_TRUE(disk.write(page, 0).ok());
    EXPECT_TRUE(support::comes_true([&] { return written.load(); }));
    disk.stop();
  }
  std::copy(part.begin(), part.end(), page.begin() + 99);
  Bytes now(kPageBytes);
  EXPECT_TRUE(disk.read(now, 0).ok());
  EXPECT_EQ(conformance::first_difference(now, page, 0), "");
}

// One request of noise with everything else in it: text for a group and for a page by itself, a
// hole, a pattern, the end of a directory, a part of a page. Then the same again, over what is
// there.
TEST(ZstdDiskTest, NoiseBesideEverythingElse) {
  constexpr uint64_t kFirst = PageTable::kDirectoryPages - 100;
  constexpr size_t kPages = 300;
  constexpr uint64_t kPart = 700;  // of a page, before the first and after the last
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  AllocatorOptions options;
  options.type = AllocatorType::zstd;
  options.cache = 0;
  ZstdDisk disk({.memory = memory.get(), .pace = {}, .trace_directories = {}}, 4 << 20, options);
  ASSERT_TRUE(disk.get_ready().ok());
  Rng rng(72);
  for (uint64_t page = 0; page < 8; ++page) {  // so that it expects noise
    EXPECT_TRUE(disk.write(make_data(kPageBytes, Data::random, rng), page * kPageBytes).ok());
  }
  for (int pass = 0; pass < 2; ++pass) {
    SCOPED_TRACE(pass);
    Bytes data = make_data(kPart + kPages * kPageBytes + kPart, Data::random, rng);
    const auto put = [&](size_t page, size_t count, Data kind) {
      const Bytes some = make_data(count * kPageBytes, kind, rng);
      std::copy(some.begin(), some.end(),
                data.begin() + static_cast<ptrdiff_t>(kPart + page * kPageBytes));
    };
    put(50, 1, Data::zeroes);
    put(51, 1, Data::word);
    put(160, 1, Data::text);
    put(180, 20, Data::text);
    const uint64_t offset = kFirst * kPageBytes - kPart;
    ASSERT_TRUE(disk.write(data, offset).ok());
    Bytes now(data.size());
    ASSERT_TRUE(disk.read(now, offset).ok());
    EXPECT_EQ(conformance::first_difference(now, data, offset), "");
    EXPECT_EQ(disk.usage().stored_bytes, (8 + 1 + kPages - 1 + 1) * kPageBytes);
    EXPECT_GE(disk.statistics().plain_pages, kPages - 23);  // all but those of other kinds
  }
}

}  // namespace
}  // namespace ramdisk
