// Dictionaries: the generations of dictionaries with which the pages of one disk are compressed.
//
// A page names its generation by a small number; 0 means that it was compressed without a
// dictionary. New pages use the current generation; an older one is freed when no page compressed
// with it is left.
//
// Invariants:
//   1. The users of a generation are the threads that may still compress with it and the pages
//      compressed with it.
//   2. A generation that is not current and has no users never gets a user again. It is retired
//      through the epoch, because a pinned reader may still hold the entry of a page that used it.
//
// Thread contract: get() is for a generation of which the caller is a user, or which it found in a
// page entry while pinned. One thread at a time calls install() and sweep(); any thread may call
// the others.

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
  static constexpr unsigned kGenerations = 8;  // including 0, no dictionary

  // The dictionaries are charged to `memory`, except for one, whose memory the owner has already
  // charged.
  Dictionaries(MemorySource& memory, Epoch& epoch);
  ~Dictionaries() override;

  const Dictionary* get(unsigned generation) const {
    DCHECK(generation < kGenerations);
    return slots_[generation].dictionary.load(std::memory_order_acquire);
  }

  // Returns the current generation and counts the caller as one more user of it.
  unsigned ref() noexcept;
  void ref(unsigned generation) noexcept;  // of a generation that already has a user
  void unref(unsigned generation) noexcept;

  unsigned current() const { return current_.load(std::memory_order_relaxed); }

  // Makes `dictionary` the current one; nullptr means none. Returns false and changes nothing if
  // all generations are in use or there is no memory for another one.
  bool install(std::unique_ptr<Dictionary> dictionary);

  // Whether a generation is free for another dictionary.
  bool has_free_generation() const { return free_generation() < kGenerations; }

  // Retires the generations that have no users and are not current.
  void sweep(const Epoch::Guard& guard);

  size_t count() const;
  size_t memory_bytes() const { return memory_.load(std::memory_order_relaxed); }
  size_t paid_bytes() const {
    return paid_.load(std::memory_order_relaxed);
  }  // charged to memory_source_

  void reclaim(size_t index) noexcept override;

 private:
  enum class State { free, used, retired };
  struct alignas(64) Slot {
    std::atomic<const Dictionary*> dictionary{nullptr};
    std::atomic<uint64_t> users{0};
    std::atomic<State> state{State::free};
    size_t list = 0;  // the epoch's retire list, while retired
    size_t paid = 0;  // bytes charged to memory_source_
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
  std::atomic<bool> owner_pays_{true};  // whether the next dictionary is the owner's
};

}  // namespace ramdisk

#endif
