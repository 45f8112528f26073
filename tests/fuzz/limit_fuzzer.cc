// Fuzzes a disk that is close to a small limit: see ../conformance/limit_history.h for what it does
// and what is checked. The first bytes choose the allocator, the limit, the pace and what the disk
// is filled with.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "conformance/limit_history.h"
#include "input.h"

#ifdef RAMDISK_HAVE_ZSTD
#include "support/zstd_variants.h"
#endif

namespace ramdisk::fuzz {
namespace {

using conformance::Choices;
using conformance::LimitedDisk;
using conformance::LimitHistory;

constexpr int kMostSteps = 40;
constexpr uint64_t kMiB = 1 << 20;

// As many bytes as the bound needs; an input that has ended chooses 0.
class InputChoices final : public Choices {
 public:
  explicit InputChoices(Input& input) : input_(input) {}
  uint64_t below(uint64_t bound) override {
    if (bound == 0) return 0;
    return (bound <= 256 ? input_.byte() : input_.two_bytes()) % bound;
  }
  bool ended() const override { return input_.empty(); }

 private:
  Input& input_;
};

AllocatorOptions choose_options(unsigned choice) {
#ifdef RAMDISK_HAVE_ZSTD
  if (choice > 0) return options_of(conformance::kZstdVariants[choice - 1]);
#else
  static_cast<void>(choice);
#endif
  return {.type = AllocatorType::sparse};
}

BackgroundTiming choose_pace(unsigned choice) {
#ifdef RAMDISK_HAVE_ZSTD
  if (choice > 0) return conformance::hasty();
#else
  static_cast<void>(choice);
#endif
  return {};
}

uint64_t least_limit_of(unsigned choice) {
  static std::map<unsigned, uint64_t> known;
  uint64_t& least = known[choice];
  if (least == 0) least = conformance::least_limit(choose_options(choice), {});
  return least;
}

// A complaint, or an empty text.
std::string run(Input input) {
  const unsigned choice = input.byte() % 6;
  const uint64_t limit = least_limit_of(choice) + (8 + input.byte() % 17) * kMiB;
  LimitedDisk disk(choose_options(choice), limit, choose_pace(input.byte() % 2));
  if (!disk.disk().works()) return disk.disk().status().message();
  InputChoices choices(input);
  LimitHistory history(disk, choices, 0, 1);
  std::string complaint = history.fill();
  if (complaint.empty()) complaint = history.run(kMostSteps);
  disk.allow();
  if (complaint.empty()) complaint = history.verify();
  if (complaint.empty()) complaint = history.account();
  return complaint.empty() ? disk.empty() : complaint;
}

}  // namespace
}  // namespace ramdisk::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  const std::string complaint = ramdisk::fuzz::run(ramdisk::fuzz::Input(data, count));
  if (complaint.empty()) return 0;
  std::fprintf(stderr, "%s\n", complaint.c_str());
  std::abort();
}
