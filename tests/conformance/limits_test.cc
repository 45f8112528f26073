// A disk with a memory limit refuses requests in time, loses no data, and keeps working.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <thread>

#include "base/page.h"
#include "memory/budgeted_memory.h"
#include "support/data.h"
#include "support/factory.h"
#include "support/threads.h"
#include "support/zstd_variants.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kLimit = 24 * kMiB;
constexpr uint64_t kDisk = uint64_t{1} << 40;

// A disk with a limit, and its expected contents.
class Limits : public testing::TestWithParam<AllocatorType> {
 protected:
  Limits()
      : memory_(make_system_memory(), {.limit = kLimit, .probe = {}, .on_mark = {}}),
        disk_({.type = GetParam()}, kDisk, memory_, hasty()) {}

  bool write(uint64_t page, Bytes content) {
    const Status status = disk_->write(content, page * kPageBytes);
    EXPECT_LE(memory_.budget().used(), kLimit);
    if (status.ok()) {
      pages_[page] = std::move(content);
    } else {
      EXPECT_EQ(status.errnum(), ENOMEM);
      EXPECT_EQ(memory_.budget().why().errnum(), ENOSPC);
    }
    return status.ok();
  }

  // Of 24 MiB, zstd keeps 5 MiB for compression, for reclaim and for changes.
  static uint64_t nearly_all() {
    return GetParam() == AllocatorType::zstd ? kLimit * 3 / 4 : kLimit * 8 / 10;
  }

  Bytes page(Data kind) { return make_data(kPageBytes, kind, rng_); }

  // Writes pages until one is refused. Returns the bytes that were stored.
  uint64_t fill(Data kind) {
    const size_t before = pages_.size();
    while (pages_.size() < kDisk / kPageBytes && write(next_++, page(kind))) {
    }
    return (pages_.size() - before) * kPageBytes;
  }

  void check() {
    for (const auto& [number, content] : pages_) {
      ASSERT_EQ(first_difference(read_back(*disk_, kPageBytes, number * kPageBytes), content,
                                 number * kPageBytes),
                "");
    }
  }

  void trim(uint64_t first, uint64_t count) {
    ASSERT_TRUE(disk_->zero(count * kPageBytes, first * kPageBytes).ok());
    pages_.erase(pages_.lower_bound(first), pages_.lower_bound(first + count));
  }

  BudgetedMemory memory_;
  Disk disk_;
  Rng rng_{1};
  std::map<uint64_t, Bytes> pages_;
  uint64_t next_ = 0;
};

INSTANTIATE_TEST_SUITE_P(All, Limits, testing::ValuesIn(sparse_allocators()), name_of_type);

TEST_P(Limits, NearlyAllOfTheLimitHoldsData) {
  EXPECT_GT(fill(Data::random), nearly_all());
  check();
}

TEST_P(Limits, EverythingElseGoesOnAtTheLimit) {
  fill(Data::random);
  const uint64_t last = pages_.rbegin()->first;
  EXPECT_EQ(read_back(*disk_, kPageBytes, (last + 1) * kPageBytes), Bytes(kPageBytes));
  for (int i = 0; i < 2000; ++i) {
    const uint64_t number = rng_.below(last + 1);
    if (!pages_.count(number)) continue;
    ASSERT_TRUE(write(number, page(Data::random))) << "overwrite " << i;
  }
  trim(last, 1);
  check();
}

TEST_P(Limits, ATrimMakesRoom) {
  for (int round = 0; round < 4; ++round) {
    EXPECT_GT(fill(Data::random), kLimit / 3) << "round " << round;
    check();
    const uint64_t middle = std::next(pages_.begin(), pages_.size() / 2)->first;
    round % 2 ? trim(middle, next_ - middle) : trim(0, middle);
  }
  trim(0, next_);
  EXPECT_GT(fill(Data::random), nearly_all());
  check();
}

TEST_P(Limits, AWriteThatIsRefusedLeavesTheOldBytes) {
  fill(Data::random);
  // A request that is longer than the remaining room and begins within the existing data.
  const uint64_t last = pages_.rbegin()->first;
  Bytes long_one = make_data(4 * kMiB, Data::random, rng_);
  ASSERT_FALSE(disk_->write(long_one, (last - 1) * kPageBytes).ok());
  for (uint64_t i = 0; i < 4 * kMiB / kPageBytes; ++i) {
    const uint64_t number = last - 1 + i;
    const Bytes got = read_back(*disk_, kPageBytes, number * kPageBytes);
    const Bytes fresh(long_one.begin() + static_cast<ptrdiff_t>(i * kPageBytes),
                      long_one.begin() + static_cast<ptrdiff_t>((i + 1) * kPageBytes));
    const Bytes old = pages_.count(number) ? pages_[number] : Bytes(kPageBytes);
    ASSERT_TRUE(got == fresh || got == old) << "page " << i;
    if (got == fresh) pages_[number] = fresh;
  }
  check();
}

TEST_P(Limits, ThreadsAtTheLimit) {
  constexpr int kThreads = 4;
  const std::string complaints = run_threads(kThreads, [&](int thread) -> std::string {
    Rng rng(static_cast<uint64_t>(thread) + 1);
    std::map<uint64_t, Bytes> mine;
    for (int i = 0; i < scaled(4000); ++i) {
      const uint64_t number = rng.below(4000) * kThreads + static_cast<uint64_t>(thread);
      if (rng.below(4) == 0) {
        if (!disk_->zero(kPageBytes, number * kPageBytes).ok()) return "a trim was refused";
        mine.erase(number);
        continue;
      }
      Bytes content = make_data(kPageBytes, Data::random, rng);
      if (disk_->write(content, number * kPageBytes).ok()) mine[number] = std::move(content);
    }
    for (const auto& [number, content] : mine) {
      if (read_back(*disk_, kPageBytes, number * kPageBytes) != content) return "wrong bytes";
    }
    return "";
  });
  EXPECT_EQ(complaints, "");
  EXPECT_LE(memory_.budget().used(), kLimit);
  trim(0, kDisk / kPageBytes);
  EXPECT_GT(fill(Data::random), kLimit / 2);
}

TEST_P(Limits, NothingIsLeftCounted) {
  fill(Data::text);
  disk_.stop();
  EXPECT_EQ(memory_.budget().used(), 0u);
}

#ifdef RAMDISK_HAVE_ZSTD

// A limit that is too small is refused at the start, with a message that names the least that
// works; and that limit does work.
TEST(LimitsZstd, TheLeastThatWorks) {
  for (const bool recompress : {false, true}) {
    const AllocatorOptions options{.type = AllocatorType::zstd, .recompress = recompress};
    std::string message;
    {
      BudgetedMemory memory(make_system_memory(), {.limit = 1024, .probe = {}, .on_mark = {}});
      Disk disk(options, kDisk, memory, hasty());
      ASSERT_FALSE(disk.works());
      EXPECT_EQ(disk.status().errnum(), EINVAL);
      message = disk.status().message();
    }
    const std::string before = "max-memory=1024: allocator=zstd needs at least ";
    ASSERT_EQ(message.substr(0, before.size()), before);
    const uint64_t least = std::stoull(message.substr(before.size())) * 1024;
    BudgetedMemory memory(make_system_memory(), {.limit = least, .probe = {}, .on_mark = {}});
    Disk disk(options, kDisk, memory, hasty());
    ASSERT_TRUE(disk.works()) << disk.status().message();
    Rng rng(1);
    uint64_t page = 0;
    while (disk->write(make_data(kPageBytes, Data::random, rng), page * kPageBytes).ok()) ++page;
    EXPECT_GE(page * kPageBytes, kMiB * 9 / 10);
    BudgetedMemory less(make_system_memory(), {.limit = least - 1024, .probe = {}, .on_mark = {}});
    EXPECT_FALSE(Disk(options, kDisk, less, hasty()).works());
  }
}

TEST(LimitsZstd, ASecondDiskIsToldWhatIsLeft) {
  BudgetedMemory memory(make_system_memory(), {.limit = 8 * kMiB, .probe = {}, .on_mark = {}});
  const AllocatorOptions options{.type = AllocatorType::zstd};
  Disk first(options, kDisk, memory, hasty());
  ASSERT_TRUE(first.works()) << first.status().message();
  Disk second(options, kDisk, memory, hasty());
  ASSERT_FALSE(second.works());
  EXPECT_EQ(second.status().errnum(), ENOMEM);
  const std::string message = second.status().message();
  EXPECT_EQ(message.rfind("allocator=zstd: a disk needs at least ", 0), 0u) << message;
  EXPECT_NE(message.find("M are left (max-memory)"), std::string::npos) << message;
}

#endif

TEST(LimitsSparse, TheLeastThatWorks) {
  constexpr uint64_t kLeast = 256 << 10;
  BudgetedMemory less(make_system_memory(), {.limit = kLeast - 1, .probe = {}, .on_mark = {}});
  Disk none({.type = AllocatorType::sparse}, kDisk, less, {});
  EXPECT_FALSE(none.works());
  EXPECT_EQ(std::string(none.status().message()),
            "max-memory=262143: allocator=sparse needs at least 256K");
  BudgetedMemory memory(make_system_memory(), {.limit = kLeast, .probe = {}, .on_mark = {}});
  Disk disk({.type = AllocatorType::sparse}, kDisk, memory, {});
  Rng rng(1);
  int pages = 0;
  while (disk->write(make_data(kPageBytes, Data::random, rng), pages * kPageBytes).ok()) ++pages;
  EXPECT_GE(pages, 8);
}

TEST(LimitsMalloc, ADiskThatIsLargerIsRefusedAtTheStart) {
  BudgetedMemory memory(make_system_memory(), {.limit = kLimit, .probe = {}, .on_mark = {}});
  {
    Disk disk({.type = AllocatorType::malloc}, kLimit + 4096, memory, {});
    EXPECT_FALSE(disk.works());
    EXPECT_EQ(disk.status().errnum(), ENOMEM);
    EXPECT_NE(std::string(disk.status().message()).find("max-memory"), std::string::npos);
  }
  Disk disk({.type = AllocatorType::malloc}, kLimit, memory, {});
  EXPECT_TRUE(disk.works());
  EXPECT_EQ(memory.budget().used(), kLimit);
}

}  // namespace
}  // namespace ramdisk::conformance
