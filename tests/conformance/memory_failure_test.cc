// Memory that runs out: at each call in turn, permanently, at a limit, and when it cannot be
// returned to the system.

#include <gtest/gtest.h>

#include <cstring>

#include "support/session.h"
#include "support/waiting.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kDisk = (6 << 20) + 123;

// Checks after each test that all memory has been returned, and that the source was used as its
// contract says.
class MemoryFailure : public testing::TestWithParam<DiskType> {
 protected:
  void TearDown() override {
    EXPECT_EQ(memory_.mapped_bytes(), 0u);
    EXPECT_EQ(memory_.misuse(), "");
  }

  FailingMemory memory_;
  Rng rng_{8};
};

// Makes a few requests of every kind, over several slabs and directories.
void short_life(Session& session, Rng& rng) {
  for (const uint64_t offset : {0, 5 << 20, (2 << 20) - 5000, 1 << 20, 3 << 20}) {
    session.try_write(make_data(400000, rng.pick(kAllData), rng), offset);
    session.try_write(make_data(100, Data::text, rng), offset + 1000);
    session.try_zero(10000, offset + 50000);
    session.try_zero(700, offset + 300);
    session.check_around(1, offset);
  }
}

// Makes the first call fail, then, with another disk, the second, and so on.
TEST_P(MemoryFailure, EachCallInTurn) {
  bool all_failed = false;
  const uint64_t skipped = slow_build() ? 3 : 0;
  for (uint64_t nth = 0; !all_failed && !HasFailure(); nth += 1 + (nth > 8 ? skipped : 0)) {
    SCOPED_TRACE("call " + std::to_string(nth) + " fails");
    memory_.fail_once(nth);
    Disk disk(GetParam(), kDisk, memory_);
    if (!disk.works()) {
      EXPECT_TRUE(disk.status().errnum() == ENOMEM || disk.status().errnum() == ENOSPC);
    } else {
      Session session(disk, GetParam(), kDisk);
      short_life(session, rng_);
      memory_.allow();
      session.write(make_data(1 << 20, Data::mixed, rng_), 12345);
      session.check_everything();
    }
    disk.stop();
    all_failed = memory_.calls() <= nth;
    EXPECT_EQ(memory_.mapped_bytes(), 0u);
  }
  EXPECT_GT(memory_.failures(), 0u);
}

TEST_P(MemoryFailure, EveryCallFromTheNthOn) {
  uint64_t failures = 0;
  for (const uint64_t nth : {0, 1, 3, 8, 21}) {
    SCOPED_TRACE("calls from " + std::to_string(nth) + " on fail");
    Disk disk(GetParam(), kDisk, memory_);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    Session session(disk, GetParam(), kDisk);
    memory_.fail_from(nth);
    short_life(session, rng_);
    failures = memory_.failures();

    // No memory is left, but stored data can be read, and whole pages can be zeroed.
    session.check_everything();
    for (const Range& range : {Range{0, 64 << 10}, Range{1 << 20, 1 << 20}}) {
      if (GetParam().base == Base::data) {  // needs memory for marks
        session.try_zero(range.count, range.offset);
      } else {
        session.zero(range.count, range.offset);
      }
    }
    session.check_everything();

    memory_.allow();
    short_life(session, rng_);
    session.write(make_data(2 << 20, Data::random, rng_), 1 << 20);
    session.check_everything();
  }
  // malloc has allocated everything before.
  EXPECT_EQ(failures > 0, has_holes(GetParam()));
}

TEST_P(MemoryFailure, AtRandomAllTheTime) {
  Disk disk(GetParam(), kDisk, memory_);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kDisk);
  const Places places(kDisk);
  for (int step = 0; step < scaled(600) && !HasFailure(); ++step) {
    memory_.fail_one_in(1 + step % 4);
    const Range range = places.next(1 << 20, rng_);
    if (rng_.chance(60)) {
      session.try_write(make_data(range.count, rng_.pick(kAllData), rng_), range.offset);
    } else {
      session.try_zero(range.count, range.offset);
    }
    session.check_around(range.count, range.offset);
    if (step % 50 == 49) session.try_zero(kDisk, 0);
  }
  memory_.allow();
  session.check_everything();
}

// When the system has no memory left, the disk accepts writes again after part of it is trimmed.
TEST_P(MemoryFailure, AFullDiskWorksAgainAfterATrim) {
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator takes all its memory at the start";
  constexpr uint64_t kLarge = 32 << 20;
  constexpr uint64_t kPiece = 256 << 10;
  Disk disk(GetParam(), kLarge, memory_);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLarge);
  memory_.limit(memory_.held_bytes() + (14 << 20));
  for (int round = 0; round < (slow_build() ? 2 : 3); ++round) {
    uint64_t full = 0;
    while (full < kLarge && session.try_write(make_data(kPiece, Data::random, rng_), full)) {
      full += kPiece;
    }
    ASSERT_LT(full, kLarge) << "the limit was never reached";
    ASSERT_GT(full, 4u << 20) << "the limit should hold more than this";
    session.check_everything();
    session.zero(full / 2, 0);
    for (uint64_t at = 0; at < full / 4; at += kPiece) {
      session.write(make_data(kPiece, Data::random, rng_), at);
    }
    session.check_everything();
    session.zero(kLarge, 0);
  }
}

// Only scattered pages are trimmed, so that no piece of memory larger than a page becomes free.
TEST_P(MemoryFailure, AFullDiskWorksAgainAfterAScatteredTrim) {
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator takes all its memory at the start";
  constexpr uint64_t kLarge = 32 << 20;
  constexpr uint64_t kPage = 4096;
  Disk disk(GetParam(), kLarge, memory_);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLarge);
  memory_.limit(memory_.held_bytes() + (14 << 20));
  uint64_t full = 0;
  while (full < kLarge && session.try_write(make_data(kPage, Data::random, rng_), full)) {
    full += kPage;
  }
  ASSERT_LT(full, kLarge) << "the limit was never reached";
  uint64_t trimmed = 0;
  for (uint64_t at = 0; at < full; at += 10 * kPage, trimmed += kPage) session.zero(kPage, at);
  for (uint64_t at = 0; at < trimmed / 4; at += kPage) {
    session.write(make_data(kPage, Data::random, rng_), at * 10);
  }
  session.check_everything();
}

// A page that was not requested from the system first, but is touched all the same, may make the
// system kill the server.
TEST_P(MemoryFailure, WhatIsRefusedIsNotTakenAnotherWay) {
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator takes all its memory at the start";
  constexpr uint64_t kLarge = 24 << 20;
  constexpr uint64_t kPiece = 256 << 10;
  Disk disk(GetParam(), kLarge, memory_);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLarge);
  session.write(make_data(kLarge, Data::random, rng_), 0);
  // Scattered pages stay, so that memory is returned in small pieces.
  for (uint64_t at = 0; at < kLarge; at += kPiece) session.zero(kPiece - 4096, at);
  // A background thread may be reading the trimmed pages, and may have to wait for a CPU.
  EXPECT_TRUE(comes_true([&] { return memory_.resident_bytes() < kLarge / 2; }));
  const size_t before = memory_.resident_bytes();
  ASSERT_LT(before, kLarge / 2);
  memory_.fail_from(0);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t at = 0; at < kLarge; at += kPiece) {
      session.try_write(make_data(kPiece, Data::random, rng_), at);
    }
  }
  EXPECT_LE(memory_.resident_bytes(), before + (4 << 20));
  memory_.allow();
  session.check_everything();
}

// A write far from all others that gets memory for its directory, but none for its page, frees the
// directory again.
TEST_P(MemoryFailure, FailedWritesLeaveNoDirectories) {
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator has no directories";
  int lines = 0;
  Disk disk(GetParam(), kLargestDisk, memory_, [&](const std::string&) { ++lines; });
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLargestDisk);
  session.write(make_data(4096, Data::random, rng_), 0);
  memory_.fail_from(0);
  uint64_t full = 4096;
  while (full < (1 << 20) && session.try_write(make_data(4096, Data::random, rng_), full)) {
    full += 4096;
  }
  ASSERT_EQ(lines, 1) << "all this is in one directory";
  for (uint64_t i = 1; i < 31; ++i) {
    EXPECT_FALSE(session.try_write(make_data(4095, Data::random, rng_), i << 58));
  }
  EXPECT_GT(lines, 1) << "no directory was ever made";
  EXPECT_EQ(lines % 2, 1) << "one made first; later as many freed as made";
  EXPECT_EQ(disk->usage().stored_bytes, full);
  session.check_everything();
}

// Memory that cannot be discarded keeps its old contents, and pages that use it again must not show
// them.
TEST_P(MemoryFailure, DiscardThatIsRefused) {
  memory_.refuse_discard(true);
  constexpr uint64_t kLarge = (24 << 20) + 5;
  Disk disk(GetParam(), kLarge, memory_);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLarge);
  const Places places(kLarge);
  for (int round = 0; round < (slow_build() ? 1 : 2) && !HasFailure(); ++round) {
    session.write(make_data(kLarge, Data::random, rng_), 0);
    // Zeroes scattered pages: enough for an attempt to return their memory, but not enough to empty
    // a slab.
    for (uint64_t at = 0; at + 5000 < kLarge; at += 12288) session.zero(5000, at);
    for (uint64_t at = 0; at + 5000 < kLarge; at += 12288) {
      session.write(make_data(1 + rng_.below(100), Data::text, rng_), at);
    }
    session.check_everything();
    session.zero(kLarge, 0);
    random_steps(session, places, scaled(100), 1 << 20, rng_);
  }
}

// Without huge pages, populate and discard, all memory must still be returned.
TEST_P(MemoryFailure, PortableMemoryIsAllGivenBack) {
  FailingMemory portable(make_portable_memory());
  {
    Disk disk(GetParam(), kDisk, portable);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    Session session(disk, GetParam(), kDisk);
    random_steps(session, Places(kDisk), scaled(200), 1 << 20, rng_);
  }
  EXPECT_EQ(portable.mapped_bytes(), 0u);
  EXPECT_EQ(portable.misuse(), "");
}

INSTANTIATE_TEST_SUITE_P(All, MemoryFailure,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::data, Base::zeroed})),
                         name_of_disk);

// The tests above rely on FailingMemory, so it is tested itself.
TEST(FailingMemorySource, FailsAndCounts) {
  FailingMemory memory;
  constexpr size_t kBytes = 1 << 20;
  memory.fail_once(1);
  void* first = memory.map(kBytes, 4096, false);
  ASSERT_NE(first, nullptr);
  EXPECT_FALSE(memory.populate(first, kBytes));
  EXPECT_TRUE(memory.populate(first, kBytes));
  // On a kernel without the populate call, memory becomes resident only when it is touched.
  if (memory.resident_bytes() <= 4096) std::memset(first, 1, kBytes);
  EXPECT_EQ(memory.resident_bytes(), kBytes);
  EXPECT_TRUE(memory.discard(first, kBytes / 2));
  EXPECT_EQ(memory.held_bytes(), kBytes / 2);
  EXPECT_EQ(memory.mapped_bytes(), kBytes);
  memory.limit(kBytes);
  EXPECT_EQ(memory.map(kBytes, 4096, false), nullptr);
  memory.allow();
  memory.fail_from(0);
  EXPECT_EQ(memory.map(kBytes, 4096, false), nullptr);
  EXPECT_EQ(memory.failures(), 3u);
  EXPECT_EQ(memory.misuse(), "");
  memory.unmap(first, kBytes);
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  memory.unmap(first, kBytes);
  EXPECT_NE(memory.misuse(), "");
}

}  // namespace
}  // namespace ramdisk::conformance
