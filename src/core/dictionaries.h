// Dictionaries: the generations of dictionaries that the pages of one disk are compressed with.
//
// A page names its generation by a small number (0: compressed without one). New pages take the
// current generation; an older one is freed when no page is left that was compressed with it.
//
// Invariants:
//   1. users of a generation counts those who may still compress with it or have pages that say so.
//   2. A generation that is not current and has no users gets none any more; it is retired through
//      the epoch, because a pinned reader may still hold the word of a page that had it.
//
// Thread contract: get() for a generation that the caller is a user of, or found in a page while
// pinned; install() and sweep() by one thread at a time, the latter pinned; the rest from any
// thread.

#ifndef RAMDISK_CORE_DICTIONARIES_H
#define RAMDISK_CORE_DICTIONARIES_H

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

#include "core/check.h"
#include "core/codec.h"
#include "core/epoch.h"
#include "core/memory_source.h"

namespace ramdisk {

class Dictionaries final : public Epoch::Reclaimer {
 public:
  static constexpr unsigned kGenerations = 8;  // numbers, 0 included

  // `memory` is told how much they take.
  Dictionaries(MemorySource& memory, Epoch& epoch);
  ~Dictionaries() override;

  const Dictionary* get(unsigned generation) const {
    DCHECK(generation < kGenerations);
    return slots_[generation].dictionary.load(std::memory_order_acquire);
  }

  // The current generation, with the caller as one more user.
  unsigned join() noexcept;
  void join(unsigned generation) noexcept;  // of a generation that has a user
  void leave(unsigned generation) noexcept;

  unsigned current() const { return current_.load(std::memory_order_relaxed); }

  // Makes `dictionary` (nullptr: none) the current one. False, and nothing happens, when all
  // numbers are in use.
  bool install(std::unique_ptr<Dictionary> dictionary);

  // Frees generations that nobody uses.
  void sweep();

  size_t count() const;
  size_t memory_bytes() const { return memory_.load(std::memory_order_relaxed); }

  void reclaim(size_t index) noexcept override;

 private:
  enum class State { free, used, retired };
  struct alignas(64) Slot {
    std::atomic<const Dictionary*> dictionary{nullptr};
    std::atomic<uint64_t> users{0};
    std::atomic<State> state{State::free};
    size_t list = 0;  // of the epoch, while retired
  };

  void count_user(unsigned generation) noexcept;
  void charge(int64_t bytes) noexcept;

  MemorySource& memory_source_;
  Epoch& epoch_;
  std::array<Slot, kGenerations> slots_;
  std::atomic<unsigned> current_{0};
  std::atomic<size_t> memory_{0};
};

}  // namespace ramdisk

#endif
