// Many clones of one base: each has its own content, none sees another, and the base stays as it
// is. The other suites run on single clones, too (see support/factory.h).

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "disk/clone_disk.h"
#include "memory/budgeted_memory.h"
#include "support/owner.h"
#include "support/session.h"
#include "support/threads.h"

namespace ramdisk::conformance {
namespace {

class Clones : public testing::TestWithParam<AllocatorType> {
 protected:
  std::unique_ptr<Allocator> clone_of(Allocator& base, uint64_t bytes, MemorySource& memory) {
    AllocatorOptions options;
    options.type = GetParam();
    auto made = make_clone(base, bytes, options, {.memory = &memory});
    EXPECT_TRUE(made.ok() && made.value()->get_ready().ok() && made.value()->after_fork().ok());
    return std::move(made.value());
  }
};

// Makes random requests to a clone and compares all of it with a model, without the test framework.
std::string live(Allocator& clone, Bytes model, int steps, Rng rng) {
  const uint64_t bytes = model.size();
  for (int n = 0; n < steps; ++n) {
    const uint64_t offset = rng.below(bytes);
    const uint64_t count = 1 + rng.below(std::min<uint64_t>(bytes - offset, 50000));
    Bytes data(count);
    if (rng.chance(60)) fill(data, rng.pick(kAllData), rng);
    const bool zeroes = all_zero(data) && rng.chance(80);
    const Status status = zeroes ? clone.zero(count, offset) : clone.write(data, offset);
    if (!status.ok()) return status.message();
    std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(offset));
    const uint64_t look = rng.below(bytes);
    Bytes got(std::min<uint64_t>(bytes - look, 70000));
    if (!clone.read(got, look).ok()) return "a read failed";
    std::string problem = first_difference(got, std::span(model).subspan(look, got.size()), look);
    if (!problem.empty()) return "step " + std::to_string(n) + ": " + problem;
  }
  ExtentList list;
  if (!clone.extents(bytes, 0, list).ok()) return "extents failed";
  if (std::string problem = check_cover(list.list(), bytes, 0); !problem.empty()) return problem;
  for (const Extent& extent : list.list()) {
    if (extent.kind == ExtentKind::data) continue;
    if (!all_zero(std::span(model).subspan(extent.offset, extent.length))) {
      return to_string(extent) + ", but there is data";
    }
  }
  Bytes got(bytes);
  return clone.read(got, 0).ok() ? first_difference(got, model, 0) : "the last read failed";
}

TEST_P(Clones, TwentyAtOnceEachWithAModelOfItsOwn) {
  constexpr int kClones = 20;
  constexpr uint64_t kBytes = (2 << 20) + 4321;
  const auto memory = make_system_memory();
  BaseDisk base(GetParam(), kBytes, load_ranges);
  const Bytes before = read_back(base, kBytes, 0);
  const std::vector<Extent> extents_before = extents_of(base, kBytes, 0);
  ASSERT_FALSE(all_zero(before));
  std::vector<std::unique_ptr<Allocator>> clones;
  for (int i = 0; i < kClones; ++i) clones.push_back(clone_of(base, kBytes, *memory));
  EXPECT_EQ(run_threads(kClones,
                        [&](int i) { return live(*clones[i], before, scaled(300), Rng(700 + i)); }),
            "");
  EXPECT_EQ(read_back(base, kBytes, 0), before);
  EXPECT_EQ(extents_of(base, kBytes, 0), extents_before);
  // One that comes later sees the base, too.
  const auto late = clone_of(base, kBytes, *memory);
  EXPECT_EQ(read_back(*late, kBytes, 0), before);
  for (auto& clone : clones) clone->stop();
}

// Threads of one clone write parts of the same pages, which are copied from the base meanwhile: no
// byte is lost, neither one of another thread nor one of the base.
TEST_P(Clones, PartsOfPagesThatAreBeingCopied) {
  constexpr uint64_t kBytes = 8 << 20;
  const auto memory = make_system_memory();
  for (const uint64_t slice : {61, 509, 2048, 5000}) {
    SCOPED_TRACE("slices of " + std::to_string(slice));
    constexpr int kOwners = 8;
    const Slices slices{4096 * 60 - 100, slice, kOwners, static_cast<int>(1 + 60000 / slice)};
    const auto owners_of = [&](Allocator& disk) {
      std::vector<std::unique_ptr<Owner>> owners;
      for (int i = 0; i < kOwners; ++i) {
        owners.push_back(std::make_unique<Owner>(disk, slices, i, Owner::Habits{}));
      }
      return owners;
    };
    BaseDisk base(GetParam(), kBytes, [&](Allocator& disk, uint64_t) {
      for (auto& owner : owners_of(disk)) EXPECT_EQ(owner->write_all(), "");
    });
    for (int round = 0; round < scaled(12); ++round) {
      const auto clone = clone_of(base, kBytes, *memory);
      auto owners = owners_of(*clone);
      for (auto& owner : owners) owner->begin_with(base);
      EXPECT_EQ(run_threads(kOwners,
                            [&](int i) {
                              std::string problem;
                              for (int n = 0; n < 40 && problem.empty(); ++n) {
                                problem = owners[i]->step();
                              }
                              return problem;
                            }),
                "");
      for (auto& owner : owners) EXPECT_EQ(owner->verify(), "");
      clone->stop();
      ASSERT_FALSE(HasFailure());
    }
  }
}

// The first change of all comes from many threads at once.
TEST_P(Clones, OneLayerForManyFirstWrites) {
  constexpr uint64_t kBytes = 1 << 20;
  constexpr uint64_t kPart = 1000;
  BaseDisk base(GetParam(), kBytes, load_everywhere);
  for (int round = 0; round < scaled(40); ++round) {
    const auto memory = make_system_memory();
    const auto clone = clone_of(base, kBytes, *memory);
    Bytes expected = read_back(base, kBytes, 0);
    EXPECT_EQ(run_threads(8,
                          [&](int i) -> std::string {
                            const Bytes data(kPart, static_cast<std::byte>(i));
                            const Status status = clone->write(data, i * kPart);
                            return status.ok() ? "" : status.message();
                          }),
              "");
    for (uint64_t i = 0; i < 8; ++i) {
      std::fill_n(expected.begin() + static_cast<ptrdiff_t>(i * kPart), kPart,
                  static_cast<std::byte>(i));
    }
    EXPECT_EQ(read_back(*clone, kBytes, 0), expected);
    clone->stop();
  }
}

// Clones share a limit: when it is reached, each refuses and keeps what it has, and what one trims
// another can use.
TEST_P(Clones, AtTheLimit) {
  constexpr uint64_t kMiB = 1 << 20;
  constexpr uint64_t kBytes = 256 * kMiB;
  BudgetedMemory memory(make_system_memory(), {.limit = 40 * kMiB, .probe = {}, .on_mark = {}});
  BaseDisk base(GetParam(), kBytes, load_ranges);
  const auto first = clone_of(base, kBytes, memory);
  const auto second = clone_of(base, kBytes, memory);
  Session one(*first, kBytes, {});
  one.begin_with(base);
  Session two(*second, kBytes, {});
  two.begin_with(base);
  Rng rng(71);
  two.write(make_data(kMiB, Data::random, rng), 100);
  uint64_t at = 64 * kMiB;
  while (at < kBytes - kMiB && one.try_write(make_data(kMiB, Data::random, rng), at)) at += kMiB;
  ASSERT_LT(at, kBytes - kMiB) << "the limit was never reached";
  EXPECT_LE(memory.budget().used(), 40 * kMiB);
  EXPECT_EQ(memory.budget().why().errnum(), ENOSPC);
  bool refused = false;
  for (int i = 0; i < 8; ++i) {
    if (!two.try_write(make_data(kMiB, Data::random, rng), (100 + i) * kMiB)) refused = true;
  }
  EXPECT_TRUE(refused);
  one.check_everything();
  two.check_everything();
  one.zero(kBytes, 0);
  two.write(make_data(6 * kMiB, Data::random, rng), 100 * kMiB);
  one.check_everything();
  two.check_everything();
  first->stop();
  second->stop();
}

INSTANTIATE_TEST_SUITE_P(All, Clones, testing::ValuesIn(sparse_allocators()), name_of_type);

}  // namespace
}  // namespace ramdisk::conformance
