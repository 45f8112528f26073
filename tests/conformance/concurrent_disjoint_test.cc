// Threads that write, zero and read different bytes of the same pages must never lose each other's
// bytes, even if the page is compressed again, freed or recreated meanwhile.

#include <gtest/gtest.h>

#include <memory>

#include "support/factory.h"
#include "support/owner.h"
#include "support/threads.h"

namespace ramdisk::conformance {
namespace {

struct Plan {
  int threads;
  uint64_t slice_bytes;
  int pages;  // roughly how many pages the threads share
  int steps;
};

class ConcurrentDisjoint : public testing::TestWithParam<DiskType> {
 protected:
  static constexpr uint64_t kDisk = 132 << 20;
  static constexpr uint64_t kPage = 4096;

  // Runs one thread first: a failure then has nothing to do with concurrency.
  void run_all(Disk& disk, uint64_t base, Owner::Habits habits) {
    for (const Plan& plan : kPlans) {
      SCOPED_TRACE(std::to_string(plan.threads) + " threads, slices of " +
                   std::to_string(plan.slice_bytes));
      run(disk, plan, base, habits);
      ASSERT_FALSE(HasFailure());
    }
  }

  void run(Disk& disk, const Plan& plan, uint64_t base, Owner::Habits habits) {
    const uint64_t round = plan.slice_bytes * plan.threads;
    const Slices slices{base, plan.slice_bytes, plan.threads,
                        static_cast<int>(std::max<uint64_t>(1, plan.pages * kPage / round))};
    std::vector<std::unique_ptr<Owner>> owners;
    for (int i = 0; i < plan.threads; ++i) {
      owners.push_back(std::make_unique<Owner>(*disk, slices, i, habits));
    }
    EXPECT_EQ(run_threads(plan.threads,
                          [&](int i) {
                            std::string problem;
                            for (int n = scaled(plan.steps); n > 0 && problem.empty(); --n) {
                              problem = owners[i]->step();
                            }
                            return problem;
                          }),
              "");
    for (auto& owner : owners) EXPECT_EQ(owner->verify(), "");
    // Zeroes whole pages, so that this needs no memory; the next run begins with an empty disk.
    const uint64_t from = base / kPage * kPage;
    const uint64_t last = (base + slices.bytes() - 1) / kPage;
    EXPECT_TRUE(disk->zero(std::min(kLargestDisk, (last + 1) * kPage) - from, from).ok());
  }

  static constexpr Plan kPlans[] = {
      {1, 509, 4, 1000},   {4, 509, 4, 1000},  {4, 2048, 2, 1000}, {8, 61, 2, 1000},
      {8, 512, 1, 1000},   {8, 6007, 20, 500}, {2, 2048, 1, 4000}, {8, 4096, 16, 1000},
      {3, 40000, 60, 200}, {8, 1, 1, 1000},
  };
};

TEST_P(ConcurrentDisjoint, BytesOfOthersStay) {
  Disk disk(GetParam(), kDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  // The pages lie on both sides of directory boundaries.
  for (const uint64_t base : {(2u << 20) - 2 * 4096 - 100, (128u << 20) - 4096}) {
    run_all(disk, base, {});
  }
}

TEST_P(ConcurrentDisjoint, AnyKindOfData) {
  Disk disk(GetParam(), kDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  run_all(disk, 4096, {.stamps = false});
}

TEST_P(ConcurrentDisjoint, AtTheEndOfTheLargestDisk) {
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator takes the memory of the whole disk";
  Disk disk(GetParam(), kLargestDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  const Plan plan{8, 509, 4, 2000};
  run(disk, plan, kLargestDisk - 4 * kPage - 123, {});
}

TEST_P(ConcurrentDisjoint, OneHotPage) {
  Disk disk(GetParam(), kDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  const Plan plan{15, kPage / 15, 1, 2000};
  run(disk, plan, 5 * kPage, {});
  run(disk, plan, 5 * kPage, {.stamps = false});
}

// A page is found all zero and freed while another thread writes to another part of it. Two threads
// that do nothing else reach this moment most often.
TEST_P(ConcurrentDisjoint, TugOfWarOverOnePage) {
  Disk disk(GetParam(), kDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  // Repeatedly writes, checks and zeroes `data`, whose last byte is not zero.
  const auto pull = [&](const Bytes& data, uint64_t offset) -> std::string {
    Bytes got(data.size());
    const int rounds = GetParam() == AllocatorType::zstd ? 8000 : data.size() > 8 ? 20000 : 60000;
    for (int n = scaled(rounds); n > 0; --n) {
      for (const bool write : {true, false}) {
        const Status status = write ? disk->write(data, offset) : disk->zero(data.size(), offset);
        if (!status.ok() || !disk->read(got, offset).ok()) return "a request failed";
        if (got.front() != (write ? data.front() : std::byte{0}) ||
            got.back() != (write ? data.back() : std::byte{0})) {
          return std::string(write ? "written" : "zeroed") + " bytes are " +
                 std::to_string(static_cast<int>(got.front())) + " to " +
                 std::to_string(static_cast<int>(got.back()));
        }
      }
    }
    return "";
  };
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{8}, kPage / 4}) {
    const int threads = bytes > 8 ? 4 : 2;
    EXPECT_EQ(run_threads(threads,
                          [&](int i) {
                            return pull(Bytes(bytes, static_cast<std::byte>(i + 1)),
                                        9 * kPage + i * bytes);
                          }),
              "");
  }
  // One thread owns nearly all of the page, and its only byte that is not zero comes last: until it
  // is written, the other thread may find the page empty.
  Bytes long_one(kPage - 8);
  long_one.back() = std::byte{1};
  EXPECT_EQ(run_threads(2,
                        [&](int i) {
                          return i == 0 ? pull(Bytes(1, std::byte{2}), 9 * kPage)
                                        : pull(long_one, 9 * kPage + 8);
                        }),
            "");
}

// Some requests fail, and no bytes are lost: neither those of the request nor those of its
// neighbours.
TEST_P(ConcurrentDisjoint, WhileMemoryFails) {
  FailingMemory memory;
  {
    Disk disk(GetParam(), kDisk, memory);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    memory.fail_one_in(2);
    for (const Plan& plan :
         {Plan{1, 509, 64, 1000}, Plan{8, 6007, 1000, 1000}, Plan{4, 40000, 1000, 300}}) {
      run(disk, plan, (2 << 20) - 5000, {.may_fail = true});
      ASSERT_FALSE(HasFailure());
      memory.fail_one_in(3);
    }
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  EXPECT_EQ(memory.misuse(), "");
}

// Freed memory that the system could not zero must be zeroed before it is used again, or its
// contents show up in other pages.
TEST_P(ConcurrentDisjoint, WhileDiscardIsRefused) {
  FailingMemory memory;
  memory.refuse_discard(true);
  Disk disk(GetParam(), kDisk, memory);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  run(disk, Plan{4, 40000, 3000, 600}, 4096, {});
  run(disk, Plan{8, 509, 300, 1000}, 0, {});
}

INSTANTIATE_TEST_SUITE_P(All, ConcurrentDisjoint,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::zeroed})),
                         name_of_disk);

}  // namespace
}  // namespace ramdisk::conformance
