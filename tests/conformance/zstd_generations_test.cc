// Generations of dictionaries end, so that one is always free for the next dictionary: pages that
// were written once and are cold by now do not keep an old one forever.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "support/zstd_variants.h"
#include "zstd/zstd_disk.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPage = 4096;

// Words that no other kind of data has.
std::vector<std::string> words_of(uint64_t kind) {
  Rng rng(900 + kind);
  std::vector<std::string> words(300);
  for (std::string& word : words) {
    for (uint64_t i = 6 + rng.below(8); i > 0; --i) word += static_cast<char>('0' + rng.below(64));
  }
  return words;
}

// Neighbours begin with the same noise, so that grouping them is worthwhile.
Bytes page_of(const std::vector<std::string>& words, uint64_t number, Rng& rng) {
  Rng shared(number / StoredObject::kGroupPages);
  std::string text(600, ' ');
  fill(std::as_writable_bytes(std::span(text)), Data::random, shared);
  while (text.size() < kPage) text += rng.pick(words);
  Bytes page(kPage);
  std::memcpy(page.data(), text.data(), kPage);
  return page;
}

// Writes consecutive pages of one kind.
class Writer {
 public:
  Writer(ZstdDisk& disk, uint64_t kind)
      : disk_(disk), words_(words_of(kind)), number_(kind << 20), rng_(kind) {}

  // Writes pages and returns the bytes that each took on average when it was compressed by itself.
  double write(uint64_t pages) {
    const auto before = disk_.totals();
    for (uint64_t i = 0; i < pages; ++i, ++number_) {
      EXPECT_TRUE(disk_.write(page_of(words_, number_, rng_), number_ * kPage).ok());
    }
    const auto after = disk_.totals();
    return static_cast<double>(after.bytes - before.bytes) /
           static_cast<double>(after.pages - before.pages);
  }

 private:
  ZstdDisk& disk_;
  const std::vector<std::string> words_;
  uint64_t number_;  // number of the next page
  Rng rng_;
};

uint64_t grouped_pages(const ZstdDisk& disk) {
  uint64_t pages = 0;
  for (const auto& generation : disk.statistics().generations) pages += generation.grouped_pages;
  return pages;
}

// A page takes 2,750 to 2,790 bytes if no dictionary has its words. (What the first pages of a kind
// take cannot serve as the measure: the disk may learn from them while they are written.)
constexpr double kLearned = 2085;  // bytes

// Teaches the disk the words: writes until a dictionary has them, and then just enough to keep the
// disk busy until most of these pages are in groups.
void write_kind(ZstdDisk& disk, uint64_t kind) {
  constexpr uint64_t kFew = 100;  // pages
  constexpr int kPatience = 300;  // looks, a twentieth of a second apart
  constexpr auto kLook = std::chrono::milliseconds(50);
  Writer writer(disk, kind);
  const double first = writer.write(kFew);
  double now = first;
  int looks = 0;
  for (; looks < kPatience && now > kLearned; ++looks) {
    std::this_thread::sleep_for(kLook);
    now = writer.write(kFew);
  }
  std::printf("kind %d: %.0f bytes a page at first, %.0f after %d looks\n", static_cast<int>(kind),
              first, now, looks);
  EXPECT_LE(now, kLearned) << "no dictionary knows the words of kind " << kind;
  for (looks = 0; looks < kPatience; ++looks) {
    if (grouped_pages(disk) > disk.usage().stored_bytes / kPage * 3 / 4) break;
    std::this_thread::sleep_for(kLook);
    writer.write(1);
  }
}

// Writes more kinds of data, one after the other, than there are generations. Each kind in turn
// gets a dictionary with its words, and is cold and in groups when the next kind follows.
TEST(ZstdGenerations, ThereIsAlwaysOneMore) {
  if (slow_build()) GTEST_SKIP() << "this compresses too much for a build with a sanitizer";
  constexpr uint64_t kKinds = 12;
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  BackgroundTiming pace = hasty();
  pace.training_growth = 1;  // train whenever there is something new
  const Environment environment{.memory = memory.get(), .pace = pace, .trace_directories = {}};
  ZstdDisk disk(environment, uint64_t{1} << 40, options_of(kZstdVariants[1]));
  ASSERT_TRUE(disk.get_ready().ok());
  ASSERT_TRUE(disk.after_fork().ok());
  for (uint64_t kind = 0; kind < kKinds && !HasFailure(); ++kind) write_kind(disk, kind);
  disk.stop();
}

}  // namespace
}  // namespace ramdisk::conformance
