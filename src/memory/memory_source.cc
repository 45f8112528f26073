#include "memory/memory_source.h"

#include <array>
#include <atomic>
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

#include "memory/memory_lock.h"

namespace ramdisk {

namespace {

class PortableMemory final : public MemorySource {
 public:
  void* map(size_t bytes, size_t alignment, bool) override {
    if (bytes > SIZE_MAX - alignment) return nullptr;
    const size_t rounded = (bytes + alignment - 1) & ~(alignment - 1);  // aligned_alloc's rule
    void* base = std::aligned_alloc(alignment, rounded);
    if (base && !address_fits(reinterpret_cast<uintptr_t>(base), bytes)) {
      std::free(base);
      return nullptr;
    }
    if (base) std::memset(base, 0, bytes);
    return base;
  }

  void unmap(void* base, size_t) noexcept override { std::free(base); }
  bool populate(void*, size_t) override { return true; }
  bool discard(void*, size_t) noexcept override { return false; }
};

#if defined(__linux__)

// Advice to the system that it may refuse: old kernels do not know all of it, and a sandbox may
// forbid any. In the order of kAdvice.
enum class Advice { populate, huge, small, free, discard, discard_locked, no_dump, count };

struct AdviceText {
  int number;  // for madvise
  const char* call;
  const char* without;
  bool promised;
};

constexpr const char* kKept = "memory goes back to the system only in pieces of 2 MiB";
constexpr std::array<AdviceText, static_cast<size_t>(Advice::count)> kAdvice{{
    {MADV_POPULATE_WRITE, "madvise(MADV_POPULATE_WRITE)",
     "pages are touched one by one, which is slower", false},
    {MADV_HUGEPAGE, "madvise(MADV_HUGEPAGE)", "huge pages are left to the system", false},
    {MADV_NOHUGEPAGE, "madvise(MADV_NOHUGEPAGE)",
     "a system that always makes huge pages takes more memory for the disk than it counts", false},
    {MADV_FREE, "madvise(MADV_FREE)", "a huge page that is discarded in part may stay whole",
     false},
    {MADV_DONTNEED, "madvise(MADV_DONTNEED)", kKept, true},
    {MADV_DONTNEED_LOCKED, "madvise(MADV_DONTNEED_LOCKED)", kKept, false},
    {MADV_DONTDUMP, "madvise(MADV_DONTDUMP)", "a core dump of the process would hold the disk",
     true},
}};

// Whether the system does not know the call or forbids it, and so will not allow it later either.
// Any other errno means that there is no memory.
bool refused_for_good(int errnum) {
  return errnum == EINVAL || errnum == ENOSYS || errnum == EPERM || errnum == EACCES;
}

class LinuxMemory final : public MemorySource {
 public:
  explicit LinuxMemory(MemoryOptions options) : options_(options) {}

  void* map(size_t bytes, size_t alignment, bool huge) override {
    // The kernel places mappings below one another. Where size and alignment are equal, one mapping
    // that is aligned makes the next ones likely to be aligned, too.
    void* base = map_anywhere(bytes);
    if (base && reinterpret_cast<uintptr_t>(base) % alignment != 0) {
      munmap(base, bytes);
      base = map_aligned(bytes, alignment);
    }
    if (!base) return nullptr;
    advise(base, bytes, huge ? Advice::huge : Advice::small);
    if (!options_.dump) advise(base, bytes, Advice::no_dump);
    if (options_.lock && !lock(base, bytes)) {
      munmap(base, bytes);
      return nullptr;
    }
    return base;
  }

  void unmap(void* base, size_t bytes) noexcept override {
    // Unmapping the middle of a mapping fails when the process has all the mappings it may have:
    // then at least the memory is returned.
    if (munmap(base, bytes) != 0) advise(base, bytes, Advice::discard);
  }

  bool populate(void* base, size_t bytes) override {
    if (advise(base, bytes, Advice::populate)) return true;
    if (!refused(Advice::populate)) {
      discard(base, bytes);
      return false;
    }
    touch(base, bytes);
    return true;
  }

  // Linux's khugepaged fills the holes of a range that is advised to be huge: within a minute a
  // disk of which 7/8 had been trimmed was back at its full size (Linux 6.18, 2026-11-21).
  void expect_holes(void* base, size_t bytes) noexcept override {
    advise(base, bytes, Advice::small);
  }

  // A huge page that is discarded in part stays whole until memory runs short: the resident size
  // falls, but nobody else gets the memory. MADV_FREE splits the page first (where it can). Memory
  // that nbdkit itself has locked (--swap) is not discarded.
  bool discard(void* base, size_t bytes) noexcept override {
    if (options_.lock) return advise(base, bytes, Advice::discard_locked);
    advise(base, bytes, Advice::free);
    return advise(base, bytes, Advice::discard);
  }

 private:
  bool refused(Advice advice) const noexcept {
    return refused_[static_cast<size_t>(advice)].load(std::memory_order_relaxed);
  }

  // Advice that the system does not know or forbids is not tried again.
  bool advise(void* base, size_t bytes, Advice advice) noexcept {
    const AdviceText& text = kAdvice[static_cast<size_t>(advice)];
    if (refused(advice)) return false;
    if (madvise(base, bytes, text.number) == 0) return true;
    const int errnum = errno;
    // Discarding locked memory (nbdkit --swap) gives EINVAL, as the manual says.
    const bool promised = text.promised && !(advice == Advice::discard && errnum == EINVAL);
    if (!refused_for_good(errnum) && !promised) return false;
    // Relaxed: the flag guards no other data. The exchange picks the thread that reports.
    const bool before =
        refused_[static_cast<size_t>(advice)].exchange(true, std::memory_order_relaxed);
    if (!before) report({text.call, text.without, errnum, promised});
    return false;
  }

  bool lock(void* base, size_t bytes) noexcept {
    const MemoryLock locked = lock_memory(base, bytes);
    if (locked == MemoryLock::at_once &&
        !reported_lock_.exchange(true, std::memory_order_relaxed)) {
      report({"mlock2(MLOCK_ONFAULT)", "memory is locked, and taken, in pieces of 2 MiB", errno,
              false});
    }
    return locked != MemoryLock::none;
  }

  void report(const MemoryRefusal& refusal) const noexcept {
    if (options_.on_refusal) options_.on_refusal(refusal);
  }

  // Makes pages present that the system does not populate. The store comes without a load before
  // it, for which the system would first map its page of zeroes, and changes no page that has
  // content.
  static void touch(void* base, size_t bytes) noexcept {
    auto* const bytes_of = static_cast<unsigned char*>(base);
    for (size_t at = 0; at < bytes; at += 4096) {
      unsigned char zero = 0;
      __atomic_compare_exchange_n(bytes_of + at, &zero, static_cast<unsigned char>(0), false,
                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
  }

  void* map_anywhere(size_t bytes) const noexcept {
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    if (address_fits(reinterpret_cast<uintptr_t>(base), bytes)) return base;
    munmap(base, bytes);
    report({"mmap", "addresses of more than 48 bits are of no use", EOVERFLOW, true});
    return nullptr;
  }

  // Maps more than asked for and cuts off what lies outside.
  void* map_aligned(size_t bytes, size_t alignment) const noexcept {
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
  std::array<std::atomic<bool>, static_cast<size_t>(Advice::count)> refused_{};
  std::atomic<bool> reported_lock_{false};
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
