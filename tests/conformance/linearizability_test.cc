// Many threads make overlapping requests for several pages and for parts of pages. Every byte that
// a read returns must be allowed by the rules in history.h. A disk is empty at first, or a clone of
// a base with content, which the history takes for writes that ended before all others began.

#include <gtest/gtest.h>

#include <barrier>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>

#include "disk/clone_disk.h"
#include "history.h"
#include "support/factory.h"
#include "support/threads.h"
#include "unit/at_yield.h"
#ifdef RAMDISK_HAVE_ZSTD
#include "support/zstd_variants.h"
#endif

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kDisk = 130 << 20;

struct Load {
  int threads;
  uint64_t base;  // start of the region
  uint64_t bytes;
  int steps;       // of all threads together
  int rounds = 1;  // with a pause between them
};

// Takes the steps of one thread. All threads pause together, or the disk would never be idle.
std::string take_steps(Log& log, const Load& load, std::barrier<>& round) {
  std::string problem;
  for (int r = 0; r < load.rounds; ++r) {
    const int steps = scaled(load.steps) / load.threads / load.rounds;
    for (int n = 0; n < steps && problem.empty(); ++n) problem = log.step();
    round.arrive_and_wait();
    if (load.rounds > 1) std::this_thread::sleep_for(std::chrono::milliseconds(8));
  }
  return problem;
}

// What a disk has around a region before the threads begin.
struct Start {
  std::vector<Request> writes;  // in the region, all of them with the id 0
  Bytes before;                 // 64 KiB on either side of it
  Bytes behind;
};
constexpr uint64_t kAround = 65536;

uint64_t bytes_before(const Load& load) {
  return load.base > kAround ? kAround : 0;
}

Start empty_start(const Load& load) {
  return {{}, Bytes(bytes_before(load)), Bytes(kAround)};
}

void run(Allocator& disk, const Load& load, const Start& start) {
  SCOPED_TRACE(std::to_string(load.threads) + " threads at " + std::to_string(load.base));
  Times times;
  std::vector<Request> all = start.writes;
  if (!all.empty()) times.writes = 1;
  for (Request& write : all) {
    write.begin = ++times.now;
    write.end = ++times.now;
  }
  std::vector<std::unique_ptr<Log>> logs;
  for (int i = 0; i < load.threads; ++i) {
    logs.push_back(std::make_unique<Log>(disk, load.base, load.bytes, times, i));
  }
  std::barrier round(load.threads);
  EXPECT_EQ(run_threads(load.threads, [&](int i) { return take_steps(*logs[i], load, round); }),
            "");
  // A last read runs alone, so it must see the last writes.
  for (auto& log : logs) all.insert(all.end(), log->requests().begin(), log->requests().end());
  ASSERT_GE(all.size(), start.writes.size() + static_cast<size_t>(load.threads));
  const uint64_t now = times.now + 1;
  all.push_back({Request::Kind::read, now, now + 1, 0, load.bytes, 0,
                 read_back(disk, load.bytes, load.base)});
  EXPECT_EQ(judge(all, load.bytes), "");
  // The disk outside the region has not changed.
  EXPECT_EQ(read_back(disk, start.behind.size(), load.base + load.bytes), start.behind);
  EXPECT_EQ(read_back(disk, start.before.size(), load.base - start.before.size()), start.before);
}

void run(Disk& disk, const Load& load) {
  ASSERT_TRUE(disk.works()) << disk.status().message();
  run(*disk, load, empty_start(load));
}

class Linearizability : public testing::TestWithParam<DiskType> {
 protected:
  void run_load(const Load& load) {
    Disk disk(GetParam(), kDisk);
    run(disk, load);
  }
};

TEST_P(Linearizability, OneThread) {
  run_load({1, (1 << 20) - 9000, 20000, 2000});
}

TEST_P(Linearizability, FourThreadsOverADirectoryEdge) {
  run_load({4, (1 << 20) - 9000, 20000, 4000});
  run_load({4, (128 << 20) - 9000, 20000, 4000});
}

TEST_P(Linearizability, EightThreads) {
  run_load({8, (2 << 20) - 12000, 24000, 12000});
}

TEST_P(Linearizability, SixteenThreadsOnOnePage) {
  run_load({16, 8192, 4096, 16000});
}

INSTANTIATE_TEST_SUITE_P(All, Linearizability,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::zeroed})),
                         name_of_disk);

#ifdef RAMDISK_HAVE_ZSTD
// Pages that background threads compress, put into groups and take out again have the same contents
// before, meanwhile and afterwards.
class ZstdLinearizability : public testing::TestWithParam<ZstdVariant> {
 protected:
  void run_load(const Load& load) {
    const std::unique_ptr<MemorySource> memory = make_system_memory();
    Disk disk(options_of(GetParam()), kDisk, *memory, hasty());
    run(disk, load);
  }
};

TEST_P(ZstdLinearizability, FourThreads) {
  run_load({4, (1 << 20) - 16384, 300000, 12000, 30});
}

TEST_P(ZstdLinearizability, EightThreadsOnAGroup) {
  run_load({8, 16384, 16384, 16000, 30});
}

INSTANTIATE_TEST_SUITE_P(All, ZstdLinearizability, testing::ValuesIn(kZstdVariants),
                         name_of_variant);

// Clones of one base, two at a time. The background threads of all three disks are as busy. A clone
// lives for a short time, because what has to be right is how its pages become its own.
class ZstdCloneLinearizability : public testing::TestWithParam<ZstdVariant> {
 protected:
  void run_load(const Load& load) {
    const unit::AtYield slow(&linger);
    const std::unique_ptr<MemorySource> memory = make_system_memory();
    const AllocatorOptions options = options_of(GetParam());
    Start start;
    const BaseDisk::Load fill = [&](Allocator& disk, uint64_t) { start = load_start(disk, load); };
    BaseDisk base(options, kDisk, fill, hasty());
    run_threads(2, [&](int) {
      for (int life = 0; life < 12; ++life) {
        auto clone = make_clone(base, kDisk, options, {.memory = memory.get(), .pace = hasty()});
        ASSERT_TRUE(clone.ok() && clone.value()->get_ready().ok() &&
                    clone.value()->after_fork().ok());
        run(*clone.value(), load, start);
        clone.value()->stop();
      }
    });
    // Nobody has changed the base.
    for (const Request& write : start.writes) {
      const Bytes now = read_back(base, write.count, load.base + write.offset);
      EXPECT_EQ(first_difference(now, content_of(write), load.base + write.offset), "");
    }
  }

 private:
  // Fills three pages of four in the region and around it.
  static Start load_start(Allocator& disk, const Load& load) {
    Start start = empty_start(load);
    const uint64_t first = (load.base - start.before.size()) / kPageBytes;
    const uint64_t end = (load.base + load.bytes + start.behind.size()) / kPageBytes;
    for (uint64_t page = first; page < end; ++page) {
      if (page % 4 == 3) continue;
      Bytes data(kPageBytes);
      for (uint64_t i = 0; i < kPageBytes; ++i) {
        data[i] = written_byte(0, page * kPageBytes + i - load.base);
      }
      EXPECT_TRUE(disk.write(data, page * kPageBytes).ok());
    }
    const uint64_t region_end = load.base + load.bytes;
    start.before = read_back(disk, start.before.size(), load.base - start.before.size());
    start.behind = read_back(disk, start.behind.size(), region_end);
    for (uint64_t at = load.base; at < region_end;) {
      const uint64_t stop = std::min(region_end, (at / kPageBytes + 1) * kPageBytes);
      if (at / kPageBytes % 4 != 3) {
        start.writes.push_back({Request::Kind::write, 0, 0, at - load.base, stop - at, 0, {}});
      }
      at = stop;
    }
    return start;
  }

  // Between two steps of a clone, now and then, others get ahead.
  static void linger(std::string_view place) {
    thread_local unsigned passed = 0;
    if (place.starts_with("CloneDisk::") && ++passed % 4 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  static Bytes content_of(const Request& write) {
    Bytes bytes(write.count);
    for (uint64_t i = 0; i < write.count; ++i) {
      bytes[i] = written_byte(write.id, write.offset + i);
    }
    return bytes;
  }
};

TEST_P(ZstdCloneLinearizability, FourThreads) {
  run_load({4, (1 << 20) - 16384, 300000, 600, 3});
}

TEST_P(ZstdCloneLinearizability, EightThreadsOnAGroup) {
  run_load({8, 16384, 16384, 600, 3});
}

INSTANTIATE_TEST_SUITE_P(All, ZstdCloneLinearizability, testing::ValuesIn(kZstdVariants),
                         name_of_variant);
#endif

// Tests the judge itself: it must accept what is possible and reject what is not.
class HistoryJudge : public testing::Test {
 protected:
  using Kind = Request::Kind;
  static constexpr std::byte kZero{0};

  static Request write(uint64_t id, uint64_t begin, uint64_t end) {
    return {Kind::write, begin, end, 0, 1, id, {}};
  }
  static Request zero(uint64_t begin, uint64_t end) {
    return {Kind::zero, begin, end, 0, 1, 0, {}};
  }
  static Request read(std::byte seen, uint64_t begin, uint64_t end) {
    return {Kind::read, begin, end, 0, 1, 0, {seen}};
  }
  static bool fine(std::vector<Request> requests) { return judge(requests, 1).empty(); }

  const std::byte one_ = written_byte(1, 0);
  const std::byte two_ = written_byte(2, 0);
};

TEST_F(HistoryJudge, LetsThroughWhatMayBe) {
  EXPECT_TRUE(fine({read(kZero, 1, 2)}));
  EXPECT_TRUE(fine({write(1, 1, 2), read(one_, 3, 4)}));
  EXPECT_TRUE(fine({write(1, 1, 4), read(one_, 2, 3)}));                  // being written
  EXPECT_TRUE(fine({write(1, 1, 4), read(kZero, 2, 3)}));                 // not yet
  EXPECT_TRUE(fine({write(1, 1, 3), write(2, 2, 4), read(one_, 5, 6)}));  // either may be last
  EXPECT_TRUE(fine({write(1, 1, 3), write(2, 2, 4), read(two_, 5, 6)}));
  EXPECT_TRUE(fine({write(1, 1, 2), write(2, 4, 5), read(one_, 3, 6)}));  // began before
}

TEST_F(HistoryJudge, NoticesWhatMayNot) {
  ASSERT_NE(one_, two_);
  EXPECT_FALSE(fine({read(one_, 1, 2)}));
  EXPECT_FALSE(fine({write(1, 1, 2), read(kZero, 3, 4)}));                 // lost
  EXPECT_FALSE(fine({write(1, 1, 2), write(2, 3, 4), read(one_, 5, 6)}));  // old
  EXPECT_FALSE(fine({write(1, 1, 2), zero(3, 4), read(one_, 5, 6)}));      // came back
  EXPECT_FALSE(fine({read(one_, 1, 2), write(1, 3, 4)}));                  // too early
}

// A write that has been seen is known, whether it has ended or not.
TEST_F(HistoryJudge, LetsThroughReadsInTheOrderOfWrites) {
  EXPECT_TRUE(fine({write(1, 1, 8), read(kZero, 2, 3), read(one_, 4, 5), read(one_, 6, 7)}));
  // Reads that overlap may disagree.
  EXPECT_TRUE(fine({write(1, 1, 8), read(one_, 2, 5), read(kZero, 4, 6)}));
  // So may reads of writes that overlap.
  EXPECT_TRUE(fine({write(1, 1, 9), write(2, 2, 10), read(two_, 3, 4), read(one_, 5, 6)}));
  // One zero may have been seen, or the other: nothing is known of the later one.
  EXPECT_TRUE(
      fine({zero(1, 2), write(1, 3, 10), zero(4, 11), read(kZero, 5, 6), read(one_, 7, 8)}));
}

TEST_F(HistoryJudge, NoticesReadsAgainstTheOrderOfWrites) {
  EXPECT_FALSE(fine({write(1, 1, 6), read(one_, 2, 3), read(kZero, 4, 5)}));
  EXPECT_FALSE(fine({write(1, 1, 2), write(2, 3, 8), read(two_, 4, 5), read(one_, 6, 7)}));
  EXPECT_FALSE(fine({write(1, 1, 2), zero(3, 8), read(kZero, 4, 5), read(one_, 6, 7)}));
  // What a read saw is known to a read that began after it ended, and still counts when that one
  // ends.
  EXPECT_FALSE(fine({write(1, 1, 2), write(2, 3, 10), read(two_, 4, 5), read(one_, 6, 11)}));
}

TEST_F(HistoryJudge, JudgesEachByteAlone) {
  const auto at = [](Request request, uint64_t offset) {
    request.offset = offset;
    return request;
  };
  EXPECT_EQ(judge({write(1, 1, 2), at(read(kZero, 3, 4), 1)}, 2), "");
  EXPECT_NE(judge({write(1, 1, 2), at(read(one_, 3, 4), 1)}, 2), "");
  Request both = read(one_, 3, 4);
  both.count = 2;
  both.seen.push_back(kZero);
  EXPECT_EQ(judge({write(1, 1, 2), both}, 2), "");
  both.seen[1] = one_;
  EXPECT_NE(judge({write(1, 1, 2), both}, 2), "");
}

// Stamps distinguish writes that can be in progress together, and neighbouring places.
TEST(WrittenByte, IsItsOwn) {
  for (uint64_t id = 0; id < 300; ++id) {
    EXPECT_NE(written_byte(id, 0), std::byte{0});
    for (uint64_t later = id + 1; later < id + 255; ++later) {
      ASSERT_NE(written_byte(id, 40), written_byte(later, 40));
    }
    for (uint64_t place = 1; place < 255; ++place) {
      ASSERT_NE(written_byte(id, 0), written_byte(id, place * 8));
    }
  }
}

}  // namespace
}  // namespace ramdisk::conformance
