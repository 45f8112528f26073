// make_system_memory() where the system refuses what the disk can do without, and where it gives
// unusable addresses: what is asked for, what is reported, and what the content is.

#include <gtest/gtest.h>

#include "memory/memory_source.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "support/data.h"
#include "unit/system_calls.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

namespace ramdisk {
namespace {

using unit::SystemCalls;

constexpr size_t kPage = 4096;
constexpr size_t kSlab = size_t{2} << 20;

std::vector<MemoryRefusal> refusals;

void note_refusal(const MemoryRefusal& refusal) noexcept {
  refusals.push_back(refusal);
}

class MemoryRefusalTest : public testing::Test {
 protected:
  void SetUp() override { refusals.clear(); }

  std::unique_ptr<MemorySource> source(bool lock = false, bool dump = false) {
    return make_system_memory({.lock = lock, .dump = dump, .on_refusal = note_refusal});
  }

  SystemCalls calls;
};

size_t resident_pages(void* base, size_t bytes) {
  std::vector<unsigned char> present(bytes / kPage);
  mincore(base, bytes, present.data());
  return static_cast<size_t>(
      std::count_if(present.begin(), present.end(), [](unsigned char p) { return p & 1; }));
}

// The errors by which a kernel says that it will never allow a call.
constexpr int kRefusals[] = {EPERM, ENOSYS, EINVAL};

// The pages are there, and zero, as if they had been populated.
TEST_F(MemoryRefusalTest, PagesThatCannotBePopulatedAreTouched) {
  for (const int errnum : kRefusals) {
    for (const bool huge : {false, true}) {
      SCOPED_TRACE(std::to_string(errnum) + (huge ? ", huge" : ""));
      SetUp();
      calls.refuse_advice(MADV_POPULATE_WRITE, errnum);
      const auto memory = source();
      void* base = memory->map(kSlab, kSlab, huge);
      ASSERT_NE(base, nullptr);
      EXPECT_TRUE(memory->populate(base, kSlab / 2));
      EXPECT_GE(resident_pages(base, kSlab), kSlab / 2 / kPage);
      if (!huge) {
        EXPECT_EQ(resident_pages(base, kSlab), kSlab / 2 / kPage);
      }
      EXPECT_TRUE(conformance::all_zero({static_cast<std::byte*>(base), kSlab}));
      ASSERT_EQ(refusals.size(), 1u);
      EXPECT_NE(std::string(refusals[0].call).find("POPULATE_WRITE"), std::string::npos);
      EXPECT_EQ(refusals[0].errnum, errnum);
      EXPECT_FALSE(refusals[0].promised);
      memory->unmap(base, kSlab);
    }
  }
}

TEST_F(MemoryRefusalTest, WhatIsRefusedOnceIsNotAskedAgain) {
  calls.refuse_advice(MADV_POPULATE_WRITE, EPERM);
  const auto memory = source();
  std::byte* base = static_cast<std::byte*>(memory->map(kSlab, kSlab, false));
  ASSERT_NE(base, nullptr);
  const size_t before = calls.advice(MADV_POPULATE_WRITE).size();
  for (size_t i = 0; i < 8; ++i) EXPECT_TRUE(memory->populate(base + i * kPage, kPage));
  EXPECT_EQ(calls.advice(MADV_POPULATE_WRITE).size(), before + 1);
  EXPECT_EQ(refusals.size(), 1u);
  memory->unmap(base, kSlab);
}

// Touching the pages anyway would end the process.
TEST_F(MemoryRefusalTest, AShortageStaysAFailure) {
  for (const int errnum : {ENOMEM, EFAULT, EHWPOISON, EAGAIN}) {
    SCOPED_TRACE(errnum);
    calls.refuse_advice(MADV_POPULATE_WRITE, errnum);
    const auto memory = source();
    void* base = memory->map(kSlab, kSlab, false);
    ASSERT_NE(base, nullptr);
    EXPECT_FALSE(memory->populate(base, kSlab));
    EXPECT_EQ(resident_pages(base, kSlab), 0u);
    calls.refuse_advice(MADV_POPULATE_WRITE, 0);
    EXPECT_TRUE(memory->populate(base, kSlab)) << "memory has come back";
    memory->unmap(base, kSlab);
  }
  EXPECT_TRUE(refusals.empty());
}

TEST_F(MemoryRefusalTest, ADiscardThatIsRefusedSaysSo) {
  for (const int errnum : kRefusals) {
    SCOPED_TRACE(errnum);
    SetUp();
    calls.refuse_advice(MADV_DONTNEED, errnum);
    const auto memory = source();
    std::byte* base = static_cast<std::byte*>(memory->map(kSlab, kSlab, false));
    ASSERT_NE(base, nullptr);
    EXPECT_FALSE(memory->discard(base, kPage));
    EXPECT_FALSE(memory->discard(base, kPage));
    ASSERT_EQ(refusals.size(), 1u);
    // EINVAL is what locked memory gives, and that is the user's own choice.
    EXPECT_EQ(refusals[0].promised, errnum != EINVAL);
    memory->unmap(base, kSlab);
  }
}

TEST_F(MemoryRefusalTest, WithoutTheOthersEverythingWorks) {
  for (const int advice : {MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_FREE, MADV_DONTDUMP}) {
    for (const int errnum : kRefusals) {
      SCOPED_TRACE(std::to_string(advice) + " " + std::to_string(errnum));
      SetUp();
      calls.refuse_advice(advice, errnum);
      const auto memory = source();
      for (const bool huge : {false, true}) {
        std::byte* base = static_cast<std::byte*>(memory->map(kSlab, kSlab, huge));
        ASSERT_NE(base, nullptr);
        EXPECT_TRUE(memory->populate(base, kSlab));
        unit::fill_pattern({base, kSlab}, 1);
        memory->expect_holes(base, kSlab);
        EXPECT_TRUE(memory->discard(base + kPage, kPage));
        EXPECT_TRUE(conformance::all_zero({base + kPage, kPage}));
        memory->unmap(base, kSlab);
      }
      ASSERT_EQ(refusals.size(), 1u);
      EXPECT_EQ(refusals[0].promised, advice == MADV_DONTDUMP);
      calls.refuse_advice(advice, 0);
    }
  }
}

TEST_F(MemoryRefusalTest, NothingIsSaidWhereNothingIsRefused) {
  const auto memory = source(false, true);
  void* base = memory->map(kSlab, kSlab, true);
  ASSERT_NE(base, nullptr);
  EXPECT_TRUE(memory->populate(base, kSlab));
  memory->unmap(base, kSlab);
  for (const MemoryRefusal& refusal : refusals) {
    EXPECT_EQ(refusal.errnum, EINVAL) << refusal.call << ": a kernel may lack it, but not more";
  }
}

// ---- locking

TEST_F(MemoryRefusalTest, LockingFallsBackToMlock) {
  {
    const auto memory = source(true);
    void* base = memory->map(kPage, kPage, false);
    if (!base) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
    memory->unmap(base, kPage);
  }
  for (const int errnum : kRefusals) {
    SCOPED_TRACE(errnum);
    SetUp();
    calls.refuse_mlock2(errnum);
    const auto memory = source(true);
    void* base = memory->map(kPage, kPage, false);
    ASSERT_NE(base, nullptr);
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_NE(std::string(refusals[0].call).find("mlock2"), std::string::npos);
    EXPECT_EQ(refusals[0].errnum, errnum);
    memory->unmap(base, kPage);
  }
}

TEST_F(MemoryRefusalTest, WithoutAnyLockNothingIsMapped) {
  for (const int errnum : kRefusals) {
    calls.refuse_mlock2(errnum);
    calls.refuse_mlock(errnum);
    EXPECT_EQ(source(true)->map(kPage, kPage, false), nullptr);
  }
}

// ---- huge pages only where they are wanted

// Where huge pages are the default, a small mapping would take 2 MiB for its first page.
TEST_F(MemoryRefusalTest, SmallMappingsAreAdvisedAgainstHugePages) {
  const auto memory = source();
  for (const size_t bytes : {kPage, kSlab, 2 * kSlab}) {
    const size_t before = calls.advice(MADV_NOHUGEPAGE).size();
    void* base = memory->map(bytes, kSlab, false);
    ASSERT_NE(base, nullptr);
    const auto advice = calls.advice(MADV_NOHUGEPAGE);
    ASSERT_EQ(advice.size(), before + 1);
    EXPECT_EQ(advice.back().base, reinterpret_cast<uintptr_t>(base));
    EXPECT_EQ(advice.back().bytes, bytes);
    memory->unmap(base, bytes);
  }
  EXPECT_TRUE(calls.advice(MADV_HUGEPAGE).empty());
}

// Checks the advice by the system's own account: "nh" among the flags of the mapping.
TEST_F(MemoryRefusalTest, TheSystemKnowsThatSmallMappingsAreSmall) {
  const auto memory = source();
  void* base = memory->map(kSlab, kSlab, false);
  ASSERT_NE(base, nullptr);
  const auto address = reinterpret_cast<uintptr_t>(base);
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  std::string flags;
  for (std::string line; std::getline(maps, line);) {
    unsigned long long first = 0, end = 0;
    char rest = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx %c", &first, &end, &rest) == 3) {
      here = first <= address && address < end;
    } else if (here && line.starts_with("VmFlags:")) {
      flags = line + " ";
    }
  }
  memory->unmap(base, kSlab);
  if (flags.empty()) GTEST_SKIP() << "SKIP: no /proc/self/smaps with VmFlags";
  if (!refusals.empty()) GTEST_SKIP() << "SKIP: a kernel without huge pages";
  EXPECT_NE(flags.find(" nh "), std::string::npos) << flags;
}

// ---- addresses

TEST(AddressFits, UpToTheHighestBit) {
  constexpr uint64_t kEnd = uint64_t{1} << kAddressBits;
  if (sizeof(uintptr_t) == 4) {
    EXPECT_TRUE(address_fits(0xfffff000u, kPage));
    return;
  }
  EXPECT_TRUE(address_fits(kPage, kPage));
  EXPECT_TRUE(address_fits(static_cast<uintptr_t>(kEnd - kPage), kPage));
  EXPECT_FALSE(address_fits(static_cast<uintptr_t>(kEnd - kPage), kPage + 1));
  EXPECT_FALSE(address_fits(static_cast<uintptr_t>(kEnd), kPage));
  EXPECT_FALSE(address_fits(static_cast<uintptr_t>(kEnd), 0));
  EXPECT_FALSE(address_fits(static_cast<uintptr_t>(kEnd << 8), kPage));
  EXPECT_FALSE(address_fits(kPage, SIZE_MAX)) << "wraps around";
}

TEST_F(MemoryRefusalTest, AnAddressThatDoesNotFitIsRefused) {
  if (sizeof(uintptr_t) == 4) GTEST_SKIP() << "SKIP: addresses of 32 bits always fit";
  const auto memory = source();
  constexpr uint64_t kHigh = uint64_t{1} << kAddressBits;
  for (const uint64_t address : {kHigh, kHigh << 6, kHigh - kSlab}) {
    calls.map_at(static_cast<uintptr_t>(address));
    EXPECT_EQ(memory->map(2 * kSlab, kSlab, false), nullptr);
    EXPECT_EQ(memory->map(2 * kSlab, kSlab, true), nullptr);
  }
  calls.map_at(0);
  void* base = memory->map(kSlab, kSlab, false);
  EXPECT_NE(base, nullptr);
  if (base) memory->unmap(base, kSlab);
  ASSERT_FALSE(refusals.empty());
  EXPECT_TRUE(refusals.front().promised);
}

}  // namespace
}  // namespace ramdisk

#endif
