#include "core/memory_source.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#if defined(__linux__)
#include <sys/mman.h>
#ifndef MADV_POPULATE_WRITE  // Linux 5.14; older headers lack the name
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED  // Linux 5.18
#define MADV_DONTNEED_LOCKED 24
#endif
#endif

#include "core/memory_lock.h"

namespace ramdisk {

namespace {

class PortableMemory final : public MemorySource {
 public:
  void* map(size_t bytes, size_t alignment, bool) override {
    if (bytes > SIZE_MAX - alignment) return nullptr;
    const size_t rounded = (bytes + alignment - 1) & ~(alignment - 1);  // aligned_alloc's rule
    void* base = std::aligned_alloc(alignment, rounded);
    if (base) std::memset(base, 0, bytes);
    return base;
  }

  void unmap(void* base, size_t) noexcept override { std::free(base); }
  bool populate(void*, size_t) override { return true; }
  bool discard(void*, size_t) noexcept override { return false; }
};

#if defined(__linux__)

class LinuxMemory final : public MemorySource {
 public:
  explicit LinuxMemory(MemoryOptions options) : options_(options) {}

  void* map(size_t bytes, size_t alignment, bool huge) override {
    // The kernel places mappings below one another, so after the first one of a size that is its
    // own alignment the next ones tend to fall into place.
    void* base = map_anywhere(bytes);
    if (base && reinterpret_cast<uintptr_t>(base) % alignment != 0) {
      munmap(base, bytes);
      base = map_aligned(bytes, alignment);
    }
    if (!base) return nullptr;
    if (huge) madvise(base, bytes, MADV_HUGEPAGE);  // only ever an optimisation
    if (!options_.dump) madvise(base, bytes, MADV_DONTDUMP);
    if (options_.lock && !lock_on_fault(base, bytes)) {
      munmap(base, bytes);
      return nullptr;
    }
    return base;
  }

  void unmap(void* base, size_t bytes) noexcept override {
    // Unmapping the middle of a mapping fails when the process has all the mappings it may
    // have: then at least the memory goes back.
    if (munmap(base, bytes) != 0) madvise(base, bytes, MADV_DONTNEED);
  }

  bool populate(void* base, size_t bytes) override {
    if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0) return true;
    // A kernel without the call faults the pages in when they are touched.
    if (errno == EINVAL) return true;
    discard(base, bytes);
    return false;
  }

  // Linux's khugepaged fills the holes of a range that is advised to be huge: within a minute a
  // disk of which 7/8 had been trimmed was back at its full size (Linux 6.18, 2026-11-21).
  void expect_holes(void* base, size_t bytes) noexcept override {
    madvise(base, bytes, MADV_NOHUGEPAGE);
  }

  // A huge page of which a part is discarded stays whole until memory runs short: the resident size
  // falls, but nobody else gets the memory. MADV_FREE splits it first (where it can). What nbdkit
  // itself has locked (--swap) stays.
  bool discard(void* base, size_t bytes) noexcept override {
    if (options_.lock) return madvise(base, bytes, MADV_DONTNEED_LOCKED) == 0;
    madvise(base, bytes, MADV_FREE);
    return madvise(base, bytes, MADV_DONTNEED) == 0;
  }

 private:
  static void* map_anywhere(size_t bytes) {
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return base == MAP_FAILED ? nullptr : base;
  }

  // Maps more than asked for and cuts off what lies outside.
  static void* map_aligned(size_t bytes, size_t alignment) {
    if (bytes > SIZE_MAX - alignment) return nullptr;
    void* base = map_anywhere(bytes + alignment);
    if (!base) return nullptr;
    const auto begin = reinterpret_cast<uintptr_t>(base);
    const uintptr_t aligned = (begin + alignment - 1) & ~(alignment - 1);
    const uintptr_t end = begin + bytes + alignment;
    if (aligned > begin) munmap(base, aligned - begin);
    if (end > aligned + bytes) {
      munmap(reinterpret_cast<void*>(aligned + bytes), end - (aligned + bytes));
    }
    return reinterpret_cast<void*>(aligned);
  }

  const MemoryOptions options_;
};

#endif

}  // namespace

std::unique_ptr<MemorySource> make_portable_memory() {
  return std::make_unique<PortableMemory>();
}

std::unique_ptr<MemorySource> make_system_memory([[maybe_unused]] MemoryOptions options) {
#if defined(__linux__)
  return std::make_unique<LinuxMemory>(options);
#else
  return make_portable_memory();
#endif
}

bool default_memory_is_portable() {
#if defined(__linux__)
  const char* choice = std::getenv("RAMDISK_MEMORY");
  return choice && std::string_view(choice) == "portable";
#else
  return true;
#endif
}

std::unique_ptr<MemorySource> make_default_memory(MemoryOptions options) {
  return default_memory_is_portable() ? make_portable_memory() : make_system_memory(options);
}

}  // namespace ramdisk
