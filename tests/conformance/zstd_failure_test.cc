// allocator=zstd when memory fails at each point of a request in turn, and constantly in the
// background.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <thread>

#include "failing_new.h"
#include "support/session.h"
#include "support/zstd_variants.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kDisk = 64 << 20;

class ZstdFailure : public testing::TestWithParam<ZstdVariant> {
 protected:
  void TearDown() override {
    allow_others_new();
    EXPECT_EQ(memory_.mapped_bytes(), 0u);
    EXPECT_EQ(memory_.misuse(), "");
  }

  FailingMemory memory_;
  Rng rng_{31};
};

// Training, recompression and all other background work that needs memory has to wait.
TEST_P(ZstdFailure, BackgroundWorkWithoutMemory) {
  const std::unique_ptr<MemorySource> memory = make_system_memory();  // needs no operator new
  Disk disk(options_of(GetParam()), kDisk, *memory, hasty());
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, AllocatorType::zstd, kDisk);
  fail_others_new();
  session.write(make_data(8 << 20, Data::text, rng_), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  session.check_everything();
  session.check_everything();
  random_steps(session, Places(kDisk), scaled(200), 1 << 20, rng_);
  allow_others_new();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  random_steps(session, Places(kDisk), scaled(200), 1 << 20, rng_);
  session.check_everything();
}

// Writes pages of every kind at places that need separate directories, and overwrites them in whole
// and in part.
void requests(Session& session, Rng& rng) {
  const uint64_t places[] = {0, (1 << 20) - 2 * 4096, 32 << 20, kDisk - 5 * 4096};
  for (const uint64_t place : places) {
    for (const Data kind : {Data::text, Data::random, Data::word, Data::text}) {
      session.try_write(make_data(4 * 4096, kind, rng), place);
      session.try_write(make_data(100, Data::text, rng), place + 4000);
      session.try_write(make_data(9000, Data::mixed, rng), place + 1000);
      session.try_zero(500, place + 2 * 4096 + 77);
    }
  }
}

// The n-th request for memory from the system fails, for every possible n.
TEST_P(ZstdFailure, EveryCallForMemoryInTurn) {
  uint64_t calls = 1;
  uint64_t failures = 0;
  for (uint64_t nth = 0; nth < calls && !HasFailure(); ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth) + " fails");
    Disk disk(options_of(GetParam()), kDisk, memory_, hasty());
    ASSERT_TRUE(disk.works()) << disk.status().message();
    Session session(disk, AllocatorType::zstd, kDisk);
    Rng rng(32);
    memory_.fail_once(nth);
    requests(session, rng);
    // Background threads make such requests, too, and their number varies.
    calls = std::min<uint64_t>(std::max(calls, memory_.calls()), slow_build() ? 20 : 100);
    failures = memory_.failures();
    memory_.allow();
    session.check_everything();
    requests(session, rng);
    session.check_everything();
  }
  EXPECT_GT(failures, 5u);
}

// The n-th operator new of a write to one page fails, for every possible n. The page then has its
// old or its new contents, and its neighbours are unchanged.
TEST_P(ZstdFailure, EveryNewOfAWriteInTurn) {
  Disk disk(options_of(GetParam()), kDisk, memory_, hasty());
  ASSERT_TRUE(disk.works()) << disk.status().message();
  constexpr uint64_t kPage = 4096;
  for (const Data before : {Data::zeroes, Data::text, Data::random, Data::word}) {
    for (const bool cold : {false, true}) {
      for (const uint64_t at : {uint64_t{0}, uint64_t{700}}) {
        for (uint64_t nth = 0, reached = 1; reached; ++nth) {
          Bytes old = make_data(4 * kPage, before, rng_);
          ASSERT_TRUE(disk->write(old, 0).ok());
          if (cold) std::this_thread::sleep_for(std::chrono::milliseconds(10));
          const Bytes data = make_data(at ? 1000 : kPage, Data::text, rng_);
          Status status;
          fail_own_new(nth);
          try {
            status = disk->write(data, kPage + at);
          } catch (const std::bad_alloc&) {
            status = Status::no_memory();
          }
          reached = end_own_new();
          ASSERT_LT(nth, 100u);
          Bytes fresh = old;
          std::copy(data.begin(), data.end(), fresh.begin() + static_cast<ptrdiff_t>(kPage + at));
          const Bytes now = read_back(*disk, 4 * kPage, 0);
          EXPECT_TRUE(now == fresh || (!status.ok() && now == old)) << "call " << nth;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ZstdFailure, testing::ValuesIn(kZstdVariants), name_of_variant);

}  // namespace
}  // namespace ramdisk::conformance
