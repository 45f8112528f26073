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

}  // namespace
}  // namespace ramdisk
