// Random histories at 90 to 100 % of small limits, each step compared with a model: alone, with
// memory that the system refuses at times, and with threads. See limit_history.h for what is
// checked.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "limit_history.h"
#include "support/threads.h"
#include "support/zstd_variants.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kMiB = 1 << 20;

struct LimitCase {
  const char* name;
  AllocatorOptions options;
};
void PrintTo(const LimitCase& one, std::ostream* out) {
  *out << one.name;
}

class LimitModel : public testing::TestWithParam<LimitCase> {
 protected:
  uint64_t limit(uint64_t room_mib) const {
    return least_limit(GetParam().options, hasty()) + room_mib * kMiB;
  }

  void run(uint64_t room_mib, uint64_t threads, uint64_t stream) {
    LimitedDisk disk(GetParam().options, limit(room_mib), hasty());
    ASSERT_TRUE(disk.disk().works()) << disk.disk().status().message();
    std::vector<std::unique_ptr<RandomChoices>> choices;
    std::vector<std::unique_ptr<LimitHistory>> histories;
    for (uint64_t i = 0; i < threads; ++i) {
      choices.push_back(std::make_unique<RandomChoices>(stream * 100 + i));
      histories.push_back(std::make_unique<LimitHistory>(disk, *choices[i], i, threads));
    }
    const int steps = scaled(120) / static_cast<int>(threads);
    EXPECT_EQ(run_threads(static_cast<int>(threads),
                          [&](int i) {
                            LimitHistory& history = *histories[static_cast<size_t>(i)];
                            std::string complaint = history.fill();
                            if (complaint.empty()) complaint = history.run(steps);
                            return complaint;
                          }),
              "");
    disk.allow();
    for (auto& history : histories) {
      std::printf("limit model | %s | %llu MiB, %llu threads | %s\n", GetParam().name,
                  static_cast<unsigned long long>(room_mib),
                  static_cast<unsigned long long>(threads), history->figures().c_str());
      EXPECT_EQ(history->verify(), "");
      EXPECT_EQ(history->account(), "");
    }
    EXPECT_EQ(disk.empty(), "");
    // The emptied disk behaves like a new one.
    RandomChoices again(stream + 7);
    LimitHistory last(disk, again, 0, 1);
    EXPECT_EQ(last.fill(), "");
    EXPECT_EQ(last.verify(), "");
  }
};

TEST_P(LimitModel, OneThread) {
  for (const uint64_t room : {8, 16}) {
    SCOPED_TRACE(std::to_string(room) + " MiB above the least limit");
    run(room, 1, room);
    if (HasFailure() || slow_build()) break;
  }
}

TEST_P(LimitModel, FourThreads) {
  for (const uint64_t room : {8, 24}) {
    SCOPED_TRACE(std::to_string(room) + " MiB above the least limit");
    run(room, 4, 50 + room);
    if (HasFailure() || slow_build()) break;
  }
}

std::vector<LimitCase> limit_cases() {
  std::vector<LimitCase> cases = {{"sparse", {.type = AllocatorType::sparse}}};
#ifdef RAMDISK_HAVE_ZSTD
  for (const ZstdVariant& variant : kZstdVariants) {
    cases.push_back({variant.name, options_of(variant)});
  }
#endif
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, LimitModel, testing::ValuesIn(limit_cases()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace ramdisk::conformance
