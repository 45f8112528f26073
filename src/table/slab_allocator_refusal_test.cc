// A full SlabAllocator refuses at once: however many slabs there are, it searches none of them. It
// would search under the mutex, so with many gigabytes every refused write would hold up the
// others.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ostream>
#include <string>

#include "table/slab_allocator.h"

namespace ramdisk {
namespace {

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
constexpr bool kSanitized = true;  // a large range then needs much more memory than its headers
#else
constexpr bool kSanitized = false;
#endif

// Hands out one range of addresses, piece by piece, and touches none of it. The range is the
// largest of these sizes that the system allows: 64 GiB to 256 MiB.
class OneRange final : public MemorySource {
 public:
  OneRange() {
    bytes_ = kSanitized || sizeof(void*) < 8 ? kLeast : kLeast << 8;
    for (; bytes_ >= kLeast; bytes_ /= 2) {
      base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (base_ != MAP_FAILED) break;
    }
    // Otherwise each header would take 2 MiB. A kernel without huge pages refuses, and needs no
    // advice.
    if (works()) madvise(base_, bytes_, MADV_NOHUGEPAGE);
    next_ = reinterpret_cast<uintptr_t>(base_);
  }
  ~OneRange() override {
    if (works()) munmap(base_, bytes_);
  }

  bool works() const { return base_ != MAP_FAILED; }
  bool forbid() { return mprotect(base_, bytes_, PROT_NONE) == 0; }
  size_t bytes() const { return bytes_; }

  void* map(size_t bytes, size_t alignment, bool) override {
    const uintptr_t at = (next_ + alignment - 1) & ~(alignment - 1);
    const uintptr_t end = reinterpret_cast<uintptr_t>(base_) + bytes_;
    if (at > end || bytes > end - at) return nullptr;
    next_ = at + bytes;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the address came from a pointer
    return reinterpret_cast<void*>(at);
  }
  void unmap(void*, size_t) noexcept override {}
  bool populate(void*, size_t) override { return true; }
  bool discard(void*, size_t) noexcept override { return false; }

 private:
  static constexpr size_t kLeast = size_t{256} << 20;
  void* base_ = MAP_FAILED;
  size_t bytes_ = 0;
  uintptr_t next_ = 0;
};

struct Kind {
  const char* name;
  size_t block_bytes;
  SlabAllocator::Growth growth;
};
std::string name_of_kind(const testing::TestParamInfo<Kind>& info) {
  return info.param.name;
}
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

// Ends the process: with 0 if an allocator that is full refuses without touching its slabs.
[[noreturn]] void fill_and_refuse(const Kind& kind) {
  using Clock = std::chrono::steady_clock;
  constexpr int kTimes = 10'000;
  OneRange memory;
  Epoch epoch;
  if (!memory.works()) _exit(2);
  SlabAllocator slabs(memory, epoch, kind.block_bytes, SlabAllocator::kKeep, kind.growth);
  while (slabs.allocate(SIZE_MAX).count > 0) {
  }
  const size_t per_slab =
      (SlabAllocator::kSlabBytes - SlabAllocator::kHeaderBytes) / kind.block_bytes;
  const size_t full = slabs.taken_blocks() / per_slab;
  if (full < memory.bytes() / SlabAllocator::kSlabBytes - 1) _exit(3);
  if (slabs.taken_blocks() != full * per_slab) _exit(4);
  if (!memory.forbid()) _exit(5);
  const auto begin = Clock::now();
  for (int i = 0; i < kTimes; ++i) {
    if (slabs.allocate(1).count > 0) _exit(6);
  }
  const std::chrono::duration<double, std::nano> taken = Clock::now() - begin;
  for (int i = 0; i < kTimes; ++i) slabs.release_free();
  std::printf("%s: %zu full slabs, %.0f ns a refused call\n", kind.name, full,
              taken.count() / kTimes);
  std::fflush(stdout);
  _exit(0);
}

class SlabAllocatorRefusalDeathTest : public testing::TestWithParam<Kind> {};

TEST_P(SlabAllocatorRefusalDeathTest, LooksAtNoSlab) {
  EXPECT_EXIT(fill_and_refuse(GetParam()), testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(All, SlabAllocatorRefusalDeathTest,
                         testing::Values(Kind{"pages", 4096, SlabAllocator::Growth::slab},
                                         Kind{"parts_of_pages", 2112, SlabAllocator::Growth::slab},
                                         Kind{"segments", 64 << 10, SlabAllocator::Growth::block}),
                         name_of_kind);

}  // namespace
}  // namespace ramdisk
