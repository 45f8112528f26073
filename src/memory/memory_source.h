// Where memory comes from and where it goes back to: the operating system.
//
// Everything that grows with the content of a disk comes through here, so that it can be counted
// and limited, so that a test can make it fail, and so that the code above does not know which
// system it runs on.
//
// Thread contract: every function may be called from any thread at any time.

#ifndef RAMDISK_MEMORY_MEMORY_SOURCE_H
#define RAMDISK_MEMORY_MEMORY_SOURCE_H

#include <cstddef>
#include <cstdint>
#include <memory>

#include "memory/claim.h"

namespace ramdisk {

// Tables keep addresses and flags in one word, so a source hands out no address that needs more
// bits than this. Systems give higher ones only to programs that ask for them; some kernels of
// machines with five levels of page tables have been less careful.
inline constexpr unsigned kAddressBits = 48;

constexpr bool address_fits(uintptr_t base, size_t bytes) {
  const uint64_t first = base;
  const uint64_t last = bytes > 0 ? first + (bytes - 1) : first;
  return first <= last && last >> kAddressBits == 0;
}

class MemorySource {
 public:
  virtual ~MemorySource() = default;

  // `bytes` of zeroed memory aligned to `alignment`, or nullptr. Both are multiples of the
  // system's page size, and `alignment` is a power of two. With `huge` the memory is backed by huge
  // pages where the system has them; then it should be populated in large pieces. Without, it never
  // is, so that a page of it takes no more than a page. The addresses are such that
  // address_fits() holds.
  virtual void* map(size_t bytes, size_t alignment, bool huge) = 0;

  // Gives back a whole range that map() returned.
  virtual void unmap(void* base, size_t bytes) noexcept = 0;

  // Makes memory present before it is touched: much cheaper than one page fault a page. The range
  // has not been populated, or has been discarded since, as a whole. False when there is no memory
  // for it; what became present of it has then gone back, where the system can.
  virtual bool populate(void* base, size_t bytes) = 0;

  // Says that parts of a mapped range are about to be discarded, so that the system does not make
  // huge pages there again by itself, which would take the memory back. Only advice.
  virtual void expect_holes(void*, size_t) noexcept {}

  // Gives back the memory of a page-aligned part of a mapped range and keeps its addresses: it
  // reads as zeroes afterwards. False when the system cannot do it (locked memory, or no such
  // call); the content is then unspecified.
  virtual bool discard(void* base, size_t bytes) noexcept = 0;

  // ---- for sources that count (see BudgetedMemory)

  // As populate(), for a purpose: false, too, when there is no room for that within the limit.
  virtual bool populate_for(Claim, void* base, size_t bytes) { return populate(base, bytes); }

  // Counts memory that the disk takes elsewhere, before it is taken. False, and nothing is counted,
  // when there is no room for it.
  virtual bool charge(uint64_t, Claim) noexcept { return true; }
  virtual void uncharge(uint64_t) noexcept {}

  // Whether memory that is free but counted may be used for this.
  virtual bool may_use(Claim) noexcept { return true; }

  // So many bytes of the limit are for Claim::reclaim alone. Called at the start.
  virtual void keep_for_reclaim(uint64_t) noexcept {}

  // The limit that the user gave, in bytes; UINT64_MAX if there is none.
  virtual uint64_t limit_bytes() const noexcept { return UINT64_MAX; }

  // How many bytes more may be taken.
  virtual uint64_t room() noexcept { return UINT64_MAX; }

  // Whether there may be pages that are not there yet, or pages may grow, if the disk then needs so
  // many bytes in all. Before all is taken this ends, so that something is left for changes.
  virtual bool admits_new(uint64_t) noexcept { return true; }
  virtual bool admits_growth(uint64_t, bool /*much*/) noexcept { return true; }

  // Whether it is time to keep what there is in less memory.
  virtual bool under_pressure() noexcept { return false; }
};

// Something that the system refuses and that the disk can do without.
struct MemoryRefusal {
  const char* call;     // what was called, for people
  const char* without;  // how the disk does without it, for people
  int errnum;           // what the system said
  bool promised;        // a promise to users is broken; otherwise it is only less good
};

struct MemoryOptions {
  bool lock = false;  // never in swap; mapping fails where the system does not allow that
  bool dump = true;   // part of a core dump

  // Called once for each call that is refused, from any thread, which may hold locks.
  void (*on_refusal)(const MemoryRefusal&) noexcept = nullptr;
};

// Memory from the system's own calls (mmap and madvise).
std::unique_ptr<MemorySource> make_system_memory(MemoryOptions options = {});

// Memory by standard C++ alone, for systems without those calls: nothing is populated ahead and
// parts of a range cannot be given back.
std::unique_ptr<MemorySource> make_portable_memory();

// make_system_memory() where there is one, else make_portable_memory(). The environment variable
// RAMDISK_MEMORY=portable forces the latter, which knows no options.
std::unique_ptr<MemorySource> make_default_memory(MemoryOptions options = {});
bool default_memory_is_portable();

}  // namespace ramdisk

#endif
