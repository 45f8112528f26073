// Where memory comes from and where it goes back to: the operating system.
//
// All memory that grows with the content of a disk comes from here, so that it can be counted and
// limited, so that a test can make it fail, and so that the code above does not know which system
// it runs on.
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

  // Maps `bytes` of zeroed memory aligned to `alignment`; nullptr when that fails. Both are
  // multiples of the system's page size, and `alignment` is a power of two. With `huge` the memory
  // is backed by huge pages where the system has them; then it should be populated in large pieces.
  // Without, it never is, so that touching a page takes no more than that page. address_fits()
  // holds for the range.
  virtual void* map(size_t bytes, size_t alignment, bool huge) = 0;

  // Unmaps a whole range that map() returned.
  virtual void unmap(void* base, size_t bytes) noexcept = 0;

  // Makes memory present before it is touched, which is much cheaper than a page fault for every
  // page. The whole range has never been populated, or has been discarded since. Returns false when
  // there is no memory for it; what had become present is then discarded, where the system can.
  virtual bool populate(void* base, size_t bytes) = 0;

  // Announces that parts of a mapped range are about to be discarded, so that the system does not
  // make huge pages there again by itself, which would fill the holes. Only advice.
  virtual void expect_holes(void*, size_t) noexcept {}

  // Returns the memory of a page-aligned part of a mapped range to the system and keeps its
  // addresses, which read as zeroes afterwards. Returns false when the system cannot do it (locked
  // memory, or no such call); the content is then unspecified.
  virtual bool discard(void* base, size_t bytes) noexcept = 0;

  // ---- for sources that count (see BudgetedMemory)

  // As populate(), but also fails when the limit leaves no room for this claim.
  virtual bool populate_for(Claim, void* base, size_t bytes) { return populate(base, bytes); }

  // Counts memory that the disk is about to allocate elsewhere. Returns false, and counts nothing,
  // when there is no room for it.
  virtual bool charge(uint64_t, Claim) noexcept { return true; }
  virtual void uncharge(uint64_t) noexcept {}

  // Whether memory that is free, but still counted, may be used for this claim.
  virtual bool may_use(Claim) noexcept { return true; }

  // Reserves this many bytes of the limit for Claim::reclaim. Called at the start.
  virtual void keep_for_reclaim(uint64_t) noexcept {}

  // The limit that the user gave, in bytes; UINT64_MAX if there is none.
  virtual uint64_t limit_bytes() const noexcept { return UINT64_MAX; }

  // How many more bytes may be allocated, and what sets that, for people: a literal.
  virtual uint64_t room() noexcept { return UINT64_MAX; }
  virtual const char* what_bounds_room() const noexcept { return "nothing"; }

  // Whether there may be new pages, or pages may grow, if the disk then needs this many bytes in
  // all. Both refuse before the limit is reached, so that something is left for changes.
  virtual bool admits_new(uint64_t) noexcept { return true; }
  virtual bool admits_growth(uint64_t, bool /*much*/) noexcept { return true; }

  // Whether memory is so short that the disk should keep its content in less of it.
  virtual bool under_pressure() noexcept { return false; }

  // Whether memory may become short before what is stored now has been replaced: there is a limit
  // that a user has chosen, or half of all that there may be has been taken.
  virtual bool may_become_short() noexcept { return false; }
};

// Something that the system refuses and that the disk can do without.
struct MemoryRefusal {
  const char* call;     // what was called, for people
  const char* without;  // how the disk does without it, for people
  int errnum;           // what the system said
  bool promised;        // a promise to users is broken; if not, the disk only works less well
};

struct MemoryOptions {
  bool lock = false;  // never swapped out; mapping fails where the system does not allow that
  bool dump = true;   // included in a core dump

  // Called once for each kind of call that is refused, on any thread, which may hold locks.
  void (*on_refusal)(const MemoryRefusal&) noexcept = nullptr;
};

// Memory from the system's own calls (mmap and madvise).
std::unique_ptr<MemorySource> make_system_memory(MemoryOptions options = {});

// Memory from standard C++ alone, for systems without those calls: it cannot be populated ahead,
// and parts of a range cannot be discarded.
std::unique_ptr<MemorySource> make_portable_memory();

// make_system_memory() where the system has its calls, else make_portable_memory(). The environment
// variable RAMDISK_MEMORY=portable forces the latter, which ignores the options.
std::unique_ptr<MemorySource> make_default_memory(MemoryOptions options = {});
bool default_memory_is_portable();

}  // namespace ramdisk

#endif
