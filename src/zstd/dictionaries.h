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
// pinned; install() and sweep() by one thread at a time; the others from any thread.

#ifndef RAMDISK_ZSTD_DICTIONARIES_H
#define RAMDISK_ZSTD_DICTIONARIES_H

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

#include "base/check.h"
#include "memory/memory_source.h"
#include "table/epoch.h"
#include "zstd/codec.h"

namespace ramdisk {

class Dictionaries final : public Epoch::Reclaimer {
 public:
  static constexpr unsigned kGenerations = 8;  // numbers, 0 included

  // `memory` is asked for what they take, except for one of them: that is paid for by the owner.
  Dictionaries(MemorySource& memory, Epoch& epoch);
  ~Dictionaries() override;

  const Dictionary* get(unsigned generation) const {
    DCHECK(generation < kGenerations);
    return slots_[generation].dictionary.load(std::memory_order_acquire);
  }

  // The current generation, with the caller as one more user.
  unsigned ref() noexcept;
  void ref(unsigned generation) noexcept;  // of a generation that has a user
  void unref(unsigned generation) noexcept;

  unsigned current() const { return current_.load(std::memory_order_relaxed); }

  // Makes `dictionary` (nullptr: none) the current one. False, and nothing happens, when all
  // numbers are in use, or there is no memory for one more.
  bool install(std::unique_ptr<Dictionary> dictionary);

  // Whether there is a number for one more.
  bool has_free_generation() const { return free_generation() < kGenerations; }

  // Frees generations that nobody uses.
  void sweep(const Epoch::Guard& guard);

  size_t count() const;
  size_t memory_bytes() const { return memory_.load(std::memory_order_relaxed); }
  size_t paid_bytes() const { return paid_.load(std::memory_order_relaxed); }  // those asked for

  void reclaim(size_t index) noexcept override;

 private:
  enum class State { free, used, retired };
  struct alignas(64) Slot {
    std::atomic<const Dictionary*> dictionary{nullptr};
    std::atomic<uint64_t> users{0};
    std::atomic<State> state{State::free};
    size_t list = 0;  // of the epoch, while retired
    size_t paid = 0;  // bytes that memory_source_ has counted
  };

  void count_user(unsigned generation) noexcept;
  unsigned free_generation() const;
  const Dictionary* release(Slot& slot) noexcept;

  MemorySource& memory_source_;
  Epoch& epoch_;
  std::array<Slot, kGenerations> slots_;
  std::atomic<unsigned> current_{0};
  std::atomic<size_t> memory_{0};
  std::atomic<size_t> paid_{0};
  std::atomic<bool> owner_pays_{true};  // for the next one
};

}  // namespace ramdisk

#endif
