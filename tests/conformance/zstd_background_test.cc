// allocator=zstd during background work: cached pages are compressed, dictionaries are replaced,
// cold pages are recompressed and hot pages taken out of groups, and clients notice none of it.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "support/owner.h"
#include "support/session.h"
#include "support/threads.h"
#include "support/waiting.h"
#include "support/zstd_variants.h"
#include "zstd/zstd_disk.h"

namespace ramdisk::conformance {
namespace {

class ZstdBackground : public testing::TestWithParam<ZstdVariant> {
 protected:
  static constexpr uint64_t kDisk = (64 << 20) + 77;

  ZstdBackground() : disk_(options_of(GetParam()), kDisk, *memory_, hasty()) {
    EXPECT_TRUE(disk_.works()) << disk_.status().message();
  }

  // Expects that soon nothing is stored any more, and little memory is held.
  void expect_nothing_left() {
    ASSERT_TRUE(disk_->zero(kDisk, 0).ok());
    EXPECT_TRUE(comes_true([&] { return disk_->usage().stored_bytes == 0; }))
        << disk_->usage().stored_bytes << " bytes are left";
    EXPECT_TRUE(comes_true([&] { return disk_->usage().memory_bytes <= (8 << 20); }))
        << disk_->usage().memory_bytes << " bytes of memory";
    EXPECT_EQ(disk_->usage().stored_bytes, 0u);
  }

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Disk disk_;
};

TEST_P(ZstdBackground, RandomRequestsAgainstTheModel) {
  Rng rng(21);
  Session session(disk_, AllocatorType::zstd, kDisk);
  for (int round = 0; round < 3; ++round) {
    session.write(make_data(12 << 20, Data::text, rng), rng.below(4096));
    random_steps(session, Places(kDisk), scaled(200), 1 << 20, rng);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    session.check_everything();
    session.check_everything();  // pages that are read twice leave their group
    random_steps(session, Places(300000), scaled(1000), 9000, rng);
  }
  session.check_everything();
  expect_nothing_left();
}

// Every page has slices of many owners, while groups are made and divided.
TEST_P(ZstdBackground, ManyOwners) {
  for (const int threads : {1, 4, 12}) {
    const Slices slices{1000, 1021, threads, 240 / threads};
    std::vector<std::unique_ptr<Owner>> owners;
    for (int i = 0; i < threads; ++i) {
      owners.push_back(std::make_unique<Owner>(*disk_, slices, i, Owner::Habits{}));
    }
    EXPECT_EQ(run_threads(threads,
                          [&](int i) -> std::string {
                            std::string problem;
                            for (int n = 0; n < scaled(2000) && problem.empty(); ++n) {
                              problem = owners[i]->step();
                              if (n % 100 == 99) {
                                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                              }
                            }
                            return problem;
                          }),
              "");
    for (auto& owner : owners) EXPECT_EQ(owner->verify(), "");
    ASSERT_FALSE(HasFailure());
    expect_nothing_left();
  }
}

// Incompressible pages among compressible ones are recompressed with them when they are cold, and
// are overwritten in place at that moment.
TEST_P(ZstdBackground, PlainPagesWrittenWhileTheyAreRegrouped) {
  constexpr uint64_t kPages = 1024;
  Rng rng(22);
  std::vector<Bytes> pages;
  for (uint64_t i = 0; i < kPages; ++i) {
    pages.push_back(make_data(4096, i % 4 == 0 ? Data::random : Data::text, rng));
    ASSERT_TRUE(disk_->write(pages[i], i * 4096).ok());
  }
  for (int round = 0; round < scaled(300) && !HasFailure(); ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(rng.below(8000)));
    for (uint64_t i = 0; i < kPages; i += 4) {
      if (rng.chance(50)) continue;
      const uint64_t at = rng.chance(50) ? 0 : rng.below(4000);
      const size_t count = at == 0 ? 4096 : 1 + rng.below(4096 - at);
      const Bytes data = make_data(count, Data::random, rng);
      ASSERT_TRUE(disk_->write(data, i * 4096 + at).ok());
      std::copy(data.begin(), data.end(), pages[i].begin() + static_cast<ptrdiff_t>(at));
    }
    if (round % 4 != 3) continue;
    for (uint64_t i = 0; i < kPages; ++i) {
      ASSERT_EQ(first_difference(read_back(*disk_, 4096, i * 4096), pages[i], i * 4096), "")
          << "round " << round;
    }
  }
}

// A page that is rewritten constantly, such as a journal, is not compressed over and over.
TEST(ZstdQueue, AJournalIsCompressedOnce) {
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  const Environment environment{.memory = memory.get(),
                                .pace = {.tick = std::chrono::milliseconds(50)},
                                .trace_directories = {}};
  ZstdDisk disk(environment, 1 << 20, options_of(kZstdVariants[0]));
  ASSERT_TRUE(disk.get_ready().ok());
  ASSERT_TRUE(disk.after_fork().ok());
  Rng rng(23);
  const Bytes data = make_data(4 * 4096, Data::text, rng);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(disk.write(std::span(data).subspan(i % 4096, 4096), 8192).ok());
  }
  EXPECT_TRUE(comes_true([&] { return disk.totals().pages > 0; })) << "it waits for ever";
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_LE(disk.totals().pages, 5u);
  disk.stop();
}

INSTANTIATE_TEST_SUITE_P(All, ZstdBackground, testing::ValuesIn(kZstdVariants), name_of_variant);

}  // namespace
}  // namespace ramdisk::conformance
