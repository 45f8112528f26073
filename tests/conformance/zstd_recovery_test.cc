// Background work of allocator=zstd recovers from failures: work that failed once is done when
// there is memory again, and damaged data stops only its own readers.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "failing_new.h"
#include "full_disk_data.h"
#include "support/waiting.h"
#include "support/zstd_variants.h"
#include "zstd/zstd_disk.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kDisk = uint64_t{1} << 40;
constexpr uint64_t kAside = uint64_t{1} << 30;  // where a trickle of writes keeps the disk busy
// Enough for a dictionary, and for the cleaner.
constexpr uint64_t kPages = 1536;

struct Background {
  uint64_t grouped = 0;
  uint64_t recompressed = 0;  // groups, since the start
  uint64_t single = 0;
  uint64_t waiting = 0;
  uint64_t dictionaries = 0;
  uint64_t memory = 0;
};

Background look_at(Allocator& disk) {
  const Statistics s = disk.statistics();
  Background b;
  for (const auto& generation : s.generations) {
    b.grouped += generation.grouped_pages;
    b.single += generation.single_pages;
  }
  b.recompressed = dynamic_cast<ZstdDisk&>(disk).totals().recompressed;
  b.waiting = s.waiting_pages;
  b.dictionaries = s.dictionaries;
  b.memory = s.usage.memory_bytes;
  return b;
}

std::string text_of(const Background& b) {
  return std::to_string(b.grouped) + " pages in groups, " + std::to_string(b.recompressed) +
         " groups recompressed, " + std::to_string(b.single) + " single, " +
         std::to_string(b.waiting) + " waiting, " + std::to_string(b.dictionaries) +
         " dictionaries, " + std::to_string(b.memory) + " bytes";
}

class ZstdRecovery : public testing::TestWithParam<ZstdVariant> {
 protected:
  void TearDown() override {
    end_others_new_once();
    allow_others_new();
  }

  // Writes text that a dictionary makes smaller, with something unique in each page.
  void write_text(Allocator& disk, uint64_t pages, uint64_t offset) {
    for (uint64_t i = 0; i < pages; ++i) {
      Bytes page(kPage);
      copy_page(page_id(Matter::text, next_++), page);
      fill(std::span(page).first(600), Data::random, rng_);
      ASSERT_TRUE(disk.write(page, offset + i * kPage).ok());
    }
  }

  // Returns whether `condition` comes true while a little is written elsewhere, which keeps the
  // disk busy.
  bool comes_true_in_use(Allocator& disk, const std::function<bool(const Background&)>& condition) {
    uint64_t next = 0;
    return comes_true([&] {
      write_text(disk, 1, kAside + next++ % 64 * kPage);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return condition(look_at(disk));
    });
  }

  // What was written is in groups, with a dictionary; and where three pages of four are trimmed
  // most of the memory comes back.
  void expect_all_goes_on(Allocator& disk) {
    // Without recompression, pages meet their neighbours only if these wait at the same time.
    const bool groups = GetParam().recompress;
    EXPECT_TRUE(comes_true_in_use(disk, [&](const Background& b) {
      return b.dictionaries > 0 && (!groups || b.grouped > kPages * 9 / 10) &&
             (b.recompressed > 0) == groups;
    })) << text_of(look_at(disk));
    const Background before = look_at(disk);
    for (uint64_t i = 0; i < kPages; ++i) {
      if (i % 4 != 0) {
        ASSERT_TRUE(disk.zero(kPage, i * kPage).ok());
      }
    }
    const uint64_t gone = kPages * 3 / 4 * 600;  // bytes that nothing makes smaller
    EXPECT_TRUE(comes_true_in_use(
        disk, [&](const Background& b) { return b.memory + gone < before.memory; }))
        << text_of(before) << "; then " << text_of(look_at(disk));
  }

  Rng rng_{61};
  uint64_t next_ = 0;  // page of text
};

// Without failures, the expectations of the tests below come true.
TEST_P(ZstdRecovery, NothingFails) {
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  Disk disk(options_of(GetParam()), kDisk, *memory, hasty());
  ASSERT_TRUE(disk.works()) << disk.status().message();
  write_text(*disk, kPages, 0);
  expect_all_goes_on(*disk);
}

// These include the allocations of the compressor for groups, of dictionaries and of their samples.
TEST_P(ZstdRecovery, EveryNewOfTheBackgroundFailsOnce) {
  uint64_t calls = 0;
  for (uint64_t nth = 0; !HasFailure(); nth += slow_build() ? 7 : 1) {
    SCOPED_TRACE("call " + std::to_string(nth) + " fails");
    const std::unique_ptr<MemorySource> memory = make_system_memory();
    Disk disk(options_of(GetParam()), kDisk, *memory, hasty());
    ASSERT_TRUE(disk.works()) << disk.status().message();
    fail_others_new_once(nth);
    write_text(*disk, kPages, 0);
    expect_all_goes_on(*disk);
    disk.stop();
    if (!end_others_new_once() || nth > 100) break;
    ++calls;
  }
  if (!HasFailure()) {
    EXPECT_GT(calls, slow_build() ? 0u : 1u);
  }
}

TEST_P(ZstdRecovery, EveryCallForMemoryOfTheBackgroundFailsOnce) {
  uint64_t failures = 0;
  for (uint64_t nth = 0; nth < 12 && !HasFailure(); nth += slow_build() ? 5 : 1) {
    SCOPED_TRACE("call " + std::to_string(nth) + " fails");
    FailingMemory memory;
    Disk disk(options_of(GetParam()), kDisk, memory, hasty());
    ASSERT_TRUE(disk.works()) << disk.status().message();
    write_text(*disk, kPages, 0);
    memory.fail_once(nth);  // from now on nearly all calls come from the background
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (uint64_t i = 2; i < kPages; i += 8) ASSERT_TRUE(disk->zero(kPage, i * kPage).ok());
    comes_true([&] { return memory.failures() > 0; }, std::chrono::seconds(1));
    failures += memory.failures();
    memory.allow();
    write_text(*disk, kPages, 0);
    expect_all_goes_on(*disk);
  }
  // With a small write cache, or where the writer is as slow as under a sanitizer, it may be the
  // writer that makes all the calls.
  if (!GetParam().cache && !slow_build()) {
    EXPECT_GT(failures, 0u);
  }
}

// Several walks over the disk find no memory, so nothing that they found is recompressed until
// there is some.
TEST_P(ZstdRecovery, AShortageWhileItRecompressesDelaysThat) {
  if (!GetParam().recompress) GTEST_SKIP() << "nothing is recompressed";
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  Disk disk(options_of(GetParam()), kDisk, *memory, hasty());
  ASSERT_TRUE(disk.works()) << disk.status().message();
  fail_others_new();
  write_text(*disk, kPages, 0);
  EXPECT_TRUE(comes_true([&] { return look_at(*disk).waiting == 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(look_at(*disk).recompressed, 0u);
  EXPECT_GT(others_failures(), 0u);
  allow_others_new();
  expect_all_goes_on(*disk);
}

INSTANTIATE_TEST_SUITE_P(All, ZstdRecovery, testing::ValuesIn(kZstdVariants), name_of_variant);

}  // namespace
}  // namespace ramdisk::conformance
