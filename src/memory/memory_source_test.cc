// MemorySource: what the interface promises, for memory from the system and for portable memory.

#include "memory/memory_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"

namespace ramdisk {
namespace {

using conformance::all_zero;
using conformance::FailingMemory;

constexpr size_t kPage = 4096;
constexpr size_t kMebibyte = size_t{1} << 20;

// Each of make_system_memory() and make_portable_memory(); called `source` in every test.
class Source : public testing::TestWithParam<bool> {
 protected:
  bool portable() const { return GetParam(); }
  const std::unique_ptr<MemorySource> source =
      GetParam() ? make_portable_memory() : make_system_memory();
};

INSTANTIATE_TEST_SUITE_P(Both, Source, testing::Bool(),
                         [](const auto& test) { return test.param ? "Portable" : "System"; });

// A mapped range that is unmapped when it is destroyed.
class Range {
 public:
  Range(MemorySource& source, size_t bytes, size_t alignment, bool huge)
      : source_(source),
        base_(static_cast<std::byte*>(source.map(bytes, alignment, huge))),
        bytes_(bytes) {}
  ~Range() {
    if (base_) source_.unmap(base_, bytes_);
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

  std::byte* base() const { return base_; }
  std::span<std::byte> all() const { return {base_, bytes_}; }

 private:
  MemorySource& source_;
  std::byte* const base_;
  const size_t bytes_;
};

TEST_P(Source, MemoryIsZeroedAndAligned) {
  for (const size_t bytes : {kPage, 3 * kPage, kMebibyte, 2 * kMebibyte, 5 * kMebibyte}) {
    for (const size_t alignment : {kPage, 2 * kPage, 2 * kMebibyte, 4 * kMebibyte}) {
      for (const bool huge : {false, true}) {
        SCOPED_TRACE(std::to_string(bytes) + " by " + std::to_string(alignment));
        const Range range(*source, bytes, alignment, huge);
        ASSERT_NE(range.base(), nullptr);
        ASSERT_EQ(reinterpret_cast<uintptr_t>(range.base()) % alignment, 0u);
        ASSERT_TRUE(all_zero(range.all()));
        unit::fill_pattern(range.all(), 1);
        ASSERT_TRUE(unit::has_pattern(range.all(), 1));
      }
    }
  }
}

// Memory that was unmapped and is handed out again holds nothing of its old content.
TEST_P(Source, MemoryIsZeroedTheSecondTimeToo) {
  for (int i = 0; i < 20; ++i) {
    const Range range(*source, 64 * kPage, kPage, false);
    ASSERT_NE(range.base(), nullptr);
    ASSERT_TRUE(all_zero(range.all()));
    std::fill(range.all().begin(), range.all().end(), std::byte{0xff});
  }
}

TEST_P(Source, RangesDoNotOverlap) {
  std::vector<std::unique_ptr<Range>> ranges;
  for (uint64_t i = 0; i < 30; ++i) {
    const size_t alignment = i % 2 ? kPage : 2 * kMebibyte;
    ranges.push_back(std::make_unique<Range>(*source, (i % 5 + 1) * 8 * kPage, alignment, false));
    ASSERT_NE(ranges.back()->base(), nullptr);
    unit::fill_pattern(ranges.back()->all(), i);
    if (i % 3 == 2) ranges[i / 2].reset();
  }
  for (uint64_t i = 0; i < ranges.size(); ++i) {
    if (!ranges[i]) continue;
    EXPECT_TRUE(unit::has_pattern(ranges[i]->all(), i));
  }
}

TEST_P(Source, PopulateKeepsWhatIsThere) {
  const Range range(*source, kMebibyte, kPage, false);
  ASSERT_NE(range.base(), nullptr);
  unit::fill_pattern(range.all().first(3 * kPage), 1);
  EXPECT_TRUE(source->populate(range.base(), kMebibyte));
  EXPECT_TRUE(unit::has_pattern(range.all().first(3 * kPage), 1));
  EXPECT_TRUE(all_zero(range.all().subspan(3 * kPage)));
}

TEST_P(Source, DiscardedPartReadsAsZeroesOrWasRefused) {
  const Range range(*source, 16 * kPage, kPage, false);
  ASSERT_NE(range.base(), nullptr);
  unit::fill_pattern(range.all().first(4 * kPage), 1);
  unit::fill_pattern(range.all().subspan(4 * kPage, 8 * kPage), 2);
  unit::fill_pattern(range.all().subspan(12 * kPage), 3);
  const bool discarded = source->discard(range.base() + 4 * kPage, 8 * kPage);
  EXPECT_FALSE(portable() && discarded) << "standard C++ has no way to do it";
  if (discarded) {
    EXPECT_TRUE(all_zero(range.all().subspan(4 * kPage, 8 * kPage)));
  }
  EXPECT_TRUE(unit::has_pattern(range.all().first(4 * kPage), 1));
  EXPECT_TRUE(unit::has_pattern(range.all().subspan(12 * kPage), 3));
  unit::fill_pattern(range.all().subspan(4 * kPage, 8 * kPage), 4);
  EXPECT_TRUE(unit::has_pattern(range.all().subspan(4 * kPage, 8 * kPage), 4));
}

// Sums that do not fit must not wrap around to something small.
TEST_P(Source, AbsurdSizesAreRefused) {
  for (const size_t alignment : {2 * kPage, 2 * kMebibyte}) {
    EXPECT_EQ(source->map(SIZE_MAX - kPage + 1, alignment, false), nullptr);
    EXPECT_EQ(source->map(SIZE_MAX - alignment + kPage, alignment, true), nullptr);
  }
}

#if defined(__linux__)

TEST(SystemMemory, MoreThanTheAddressSpaceIsRefused) {
  const auto source = make_system_memory();
  // Most of 64 bits are never used for addresses; all of 32 are, except for the system's own part.
  constexpr size_t kTooMuch = sizeof(size_t) > 4 ? SIZE_MAX / 4 + 1 : SIZE_MAX - 32 * kMebibyte + 1;
  EXPECT_EQ(source->map(kTooMuch, kPage, false), nullptr);
  EXPECT_EQ(source->map(kTooMuch, 2 * kMebibyte, true), nullptr);
}

// Checks by the system's own account that memory is present before it is touched, and gone after it
// was discarded.
TEST(SystemMemory, PopulateAndDiscardAreReal) {
  for (const bool huge : {false, true}) {
    SCOPED_TRACE(huge ? "huge" : "small");
    FailingMemory memory;  // for its look at what is resident
    void* base = memory.map(4 * kMebibyte, 2 * kMebibyte, huge);
    ASSERT_NE(base, nullptr);
    EXPECT_EQ(memory.resident_bytes(), 0u) << "mapping alone takes no memory";
    ASSERT_TRUE(memory.populate(base, 4 * kMebibyte));
    if (memory.resident_bytes() == 0) GTEST_SKIP() << "SKIP: this kernel does not populate";
    EXPECT_EQ(memory.resident_bytes(), 4 * kMebibyte);
    EXPECT_TRUE(memory.discard(base, 2 * kMebibyte));
    EXPECT_EQ(memory.resident_bytes(), 2 * kMebibyte);
    memory.unmap(base, 4 * kMebibyte);
    EXPECT_EQ(memory.misuse(), "");
  }
}

TEST(SystemMemory, OnePageOfAHugeOneCanBeDiscarded) {
  const auto source = make_system_memory();
  const Range range(*source, 2 * kMebibyte, 2 * kMebibyte, true);
  ASSERT_NE(range.base(), nullptr);
  ASSERT_TRUE(source->populate(range.base(), 2 * kMebibyte));
  unit::fill_pattern(range.all(), 9);
  ASSERT_TRUE(source->discard(range.base() + 7 * kPage, kPage));
  EXPECT_TRUE(all_zero(range.all().subspan(7 * kPage, kPage)));
  // The pattern of a page depends on its place, so compare with a whole one.
  std::vector<std::byte> whole(2 * kMebibyte);
  unit::fill_pattern(whole, 9);
  EXPECT_TRUE(std::equal(whole.begin(), whole.begin() + 7 * kPage, range.base()));
  EXPECT_TRUE(std::equal(whole.begin() + 8 * kPage, whole.end(), range.base() + 8 * kPage));
}

#endif

// Whether the default source can discard memory, which tells the two apart.
bool default_can_discard() {
  const auto source = make_default_memory();
  const Range range(*source, kPage, kPage, false);
  return source->discard(range.base(), kPage);
}

TEST(DefaultMemory, EnvironmentForcesThePortableOne) {
  const char* before = std::getenv("RAMDISK_MEMORY");
  const std::string saved = before ? before : "";
  setenv("RAMDISK_MEMORY", "portable", 1);
  EXPECT_FALSE(default_can_discard());
#if defined(__linux__)
  setenv("RAMDISK_MEMORY", "something else", 1);
  EXPECT_TRUE(default_can_discard());
  unsetenv("RAMDISK_MEMORY");
  EXPECT_TRUE(default_can_discard());
#endif
  before ? setenv("RAMDISK_MEMORY", saved.c_str(), 1) : unsetenv("RAMDISK_MEMORY");
}

}  // namespace
}  // namespace ramdisk
