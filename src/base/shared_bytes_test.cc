// The copies that may race: they are right for every length, change nothing outside the range, and
// two at once make no byte that neither has written. That holds for each way to copy that this CPU
// has.

#include "base/shared_bytes.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/page.h"
#include "support/data.h"
#include "support/threads.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

constexpr size_t kMargin = 24;  // bytes on both sides that must not change
constexpr std::byte kGuard{0xee};

std::vector<size_t> lengths() {
  std::vector<size_t> list;
  for (size_t length = 0; length <= 70; ++length) list.push_back(length);
  for (size_t length : {127, 128, 129, 4095, 4096, 4097}) list.push_back(length);
  return list;
}

bool margins_untouched(const std::vector<std::byte>& bytes, size_t length) {
  const auto is_guard = [](std::byte b) { return b == kGuard; };
  return std::all_of(bytes.begin(), bytes.begin() + kMargin, is_guard) &&
         std::all_of(bytes.begin() + kMargin + length, bytes.end(), is_guard);
}

class SharedCopies : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override { copy_choice.fill(copy_variants()[GetParam()]); }
  void TearDown() override { copy_choice = before_; }

 private:
  const CopyChoice before_ = copy_choice;
};

INSTANTIATE_TEST_SUITE_P(Variants, SharedCopies, testing::Range(size_t{0}, copy_variants().size()),
                         [](const auto& test) { return copy_variants()[test.param].name; });

TEST_P(SharedCopies, CopyExactlyTheLength) {
  Rng rng(1);
  for (const size_t length : lengths()) {
    const conformance::Bytes from = make_data(length + 1, conformance::Data::random, rng);
    std::vector<std::byte> to(length + 2 * kMargin, kGuard);
    copy_to_shared(to.data() + kMargin, from.data(), length);
    EXPECT_TRUE(std::equal(from.begin(), from.begin() + length, to.begin() + kMargin)) << length;
    EXPECT_TRUE(margins_untouched(to, length)) << length;
    std::fill(to.begin(), to.end(), kGuard);
    copy_from_shared(to.data() + kMargin, from.data(), length);
    EXPECT_TRUE(std::equal(from.begin(), from.begin() + length, to.begin() + kMargin)) << length;
    EXPECT_TRUE(margins_untouched(to, length)) << length;
  }
}

// A copy has a head and a tail that depend on where source and target lie.
TEST_P(SharedCopies, AreRightAtEveryAlignment) {
  Rng rng(2);
  const conformance::Bytes data = make_data(2 * kPageBytes, conformance::Data::random, rng);
  alignas(kPageBytes) static std::array<std::byte, 4 * kPageBytes> source;
  alignas(kPageBytes) static std::array<std::byte, 4 * kPageBytes> target;
  for (const size_t length : {1, 31, 32, 127, 128, 129, 159, 160, 255, 256, 257, 512, 4096, 5000}) {
    for (size_t from = 0; from <= 64; from += from % 8 == 0 ? 1 : 7) {
      std::copy_n(data.begin(), length, source.begin() + from);
      for (size_t to = kMargin; to <= kMargin + 64; ++to) {
        target.fill(kGuard);
        copy_to_shared(target.data() + to, source.data() + from, length);
        const std::vector<std::byte> got(target.begin() + to - kMargin,
                                         target.begin() + to + length + kMargin);
        ASSERT_TRUE(std::equal(data.begin(), data.begin() + length, got.begin() + kMargin))
            << length << " from " << from << " to " << to;
        ASSERT_TRUE(margins_untouched(got, length)) << length << " from " << from << " to " << to;
      }
    }
  }
}

// Long copies are another choice than short ones.
TEST_P(SharedCopies, AreRightAroundTheLengthOfLongOnes) {
  Rng rng(3);
  const conformance::Bytes data = make_data(kLongCopy + 1, conformance::Data::random, rng);
  for (const size_t length : {kLongCopy - 1, kLongCopy, kLongCopy + 1}) {
    std::vector<std::byte> to(length + 2 * kMargin, kGuard);
    copy_to_shared(to.data() + kMargin, data.data(), length);
    EXPECT_TRUE(std::equal(data.begin(), data.begin() + length, to.begin() + kMargin)) << length;
    EXPECT_TRUE(margins_untouched(to, length)) << length;
    std::fill(to.begin(), to.end(), kGuard);
    copy_from_shared(to.data() + kMargin, data.data(), length);
    EXPECT_TRUE(std::equal(data.begin(), data.begin() + length, to.begin() + kMargin)) << length;
    EXPECT_TRUE(margins_untouched(to, length)) << length;
  }
}

TEST(SharedBytes, ZeroesExactlyTheLength) {
  for (const size_t length : lengths()) {
    std::vector<std::byte> to(length + 2 * kMargin, kGuard);
    zero_shared(to.data() + kMargin, length);
    EXPECT_TRUE(conformance::all_zero({to.data() + kMargin, length})) << length;
    EXPECT_TRUE(margins_untouched(to, length)) << length;
  }
}

// One bit anywhere makes the range not zero; what lies beside it does not count.
TEST(SharedBytes, FindsOneBitAnywhere) {
  for (const size_t length : lengths()) {
    std::vector<std::byte> bytes(kMargin, kGuard);
    bytes.resize(kMargin + length);
    bytes.resize(kMargin + length + kMargin, kGuard);
    std::byte* const begin = bytes.data() + kMargin;
    EXPECT_TRUE(is_zero_shared(begin, length)) << length;
    for (size_t i = 0; i < length; ++i) {
      begin[i] = std::byte{1} << i % 8;
      ASSERT_FALSE(is_zero_shared(begin, length)) << length << ", byte " << i;
      begin[i] = std::byte{0};
    }
  }
}

// A repeated value must not pass for zero because it equals itself shifted.
TEST(SharedBytes, RepeatedBytesAreNotZero) {
  for (const size_t length : lengths()) {
    if (length == 0) continue;
    for (const int value : {1, 0x80, 0xff}) {
      const std::vector<std::byte> bytes(length, static_cast<std::byte>(value));
      ASSERT_FALSE(is_zero_shared(bytes.data(), length)) << length;
    }
  }
}

#if !defined(__SANITIZE_THREAD__) && defined(__linux__)

// Two pages; the first read of the second one faults, and the fault fills both with ones.
class ChangesWhenSeen {
 public:
  ChangesWhenSeen() {
    void* const base =
        mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(base, MAP_FAILED);
    base_ = static_cast<std::byte*>(base);
    struct sigaction action {};
    action.sa_handler = change;
    sigaction(SIGSEGV, &action, &before_);
  }
  ~ChangesWhenSeen() {
    sigaction(SIGSEGV, &before_, nullptr);
    munmap(base_, 2 * kBytes);
  }

  // The last `zeroes` bytes of the first page are zero; what follows is ones.
  const std::byte* prepare(size_t zeroes) {
    mprotect(base_, 2 * kBytes, PROT_READ | PROT_WRITE);
    std::fill_n(base_, 2 * kBytes, std::byte{1});
    std::fill_n(base_ + kBytes - zeroes, zeroes, std::byte{0});
    mprotect(base_ + kBytes, kBytes, PROT_NONE);
    return base_ + kBytes - zeroes;
  }

 private:
  static constexpr size_t kBytes = 64 << 10;  // a page of the system, at least

  static void change(int) {
    mprotect(base_ + kBytes, kBytes, PROT_READ | PROT_WRITE);
    std::fill_n(base_, 2 * kBytes, std::byte{1});
  }

  static inline std::byte* base_;
  struct sigaction before_ {};
};

// At no moment is all of it zero: first its end is not, then nothing is.
TEST(SharedBytes, WhatNeverWasZeroIsNotTakenForIt) {
  ChangesWhenSeen pages;
  for (size_t zeroes = 1; zeroes < kPageBytes; ++zeroes) {
    ASSERT_FALSE(is_zero_shared(pages.prepare(zeroes), kPageBytes)) << zeroes;
  }
}

#endif

// Also shows that the thread sanitizer accepts these copies.
void race(int threads) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  std::vector<std::byte> page(kPageBytes, std::byte{1});
  const int rounds = scaled(400);
  unit::run_threads(threads, [&](int i) {
    const std::vector<std::byte> mine(kPageBytes, static_cast<std::byte>(i + 1));
    std::vector<std::byte> seen(kPageBytes);
    Rng rng(100 + static_cast<uint64_t>(i));
    for (int round = 0; round < rounds; ++round) {
      const size_t offset = rng.below(kPageBytes);
      const size_t length = 1 + rng.below(kPageBytes - offset);
      if (rng.chance(20)) {
        zero_shared(page.data() + offset, length);
      } else {
        copy_to_shared(page.data() + offset, mine.data(), length);
      }
      is_zero_shared(page.data(), kPageBytes);
      copy_from_shared(seen.data(), page.data(), kPageBytes);
      const auto known = [&](std::byte b) { return std::to_integer<int>(b) <= threads; };
      ASSERT_TRUE(std::all_of(seen.begin(), seen.end(), known));
    }
  });
}

TEST_P(SharedCopies, MixOnlyWhatWasWrittenWhenTheyRace) {
  race(1);
  race(4);
}

}  // namespace
}  // namespace ramdisk
