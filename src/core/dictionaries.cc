#include "core/dictionaries.h"

#include <algorithm>

#include "core/check.h"
#include "core/yield.h"

namespace ramdisk {

Dictionaries::Dictionaries(MemorySource& memory, Epoch& epoch)
    : memory_source_(memory), epoch_(epoch) {
  slots_[0].state = State::used;
  epoch_.add_reclaimer(this);
}

Dictionaries::~Dictionaries() {
  charge(-static_cast<int64_t>(memory_bytes()));
  for (Slot& slot : slots_) delete slot.dictionary.load(std::memory_order_relaxed);
}

// Counts itself first and looks again: sweep() looks at the users only after another generation has
// become current, so either it sees this one or this one sees the other. (All accesses are
// sequentially consistent.)
unsigned Dictionaries::join() noexcept {
  for (;;) {
    const unsigned generation = current_.load(std::memory_order_seq_cst);
    RAMDISK_YIELD("Dictionaries::join, before it is counted");
    count_user(generation);
    RAMDISK_YIELD("Dictionaries::join, counted");
    if (current_.load(std::memory_order_seq_cst) == generation) return generation;
    leave(generation);
  }
}

void Dictionaries::count_user(unsigned generation) noexcept {
  if (generation > 0) slots_[generation].users.fetch_add(1, std::memory_order_seq_cst);
}

void Dictionaries::join(unsigned generation) noexcept {
  DCHECK(generation < kGenerations);
  if (generation == 0) return;
  CHECK(slots_[generation].users.fetch_add(1, std::memory_order_seq_cst) > 0);
}

void Dictionaries::leave(unsigned generation) noexcept {
  DCHECK(generation < kGenerations);
  if (generation == 0) return;
  CHECK(slots_[generation].users.fetch_sub(1, std::memory_order_seq_cst) > 0);
}

bool Dictionaries::install(std::unique_ptr<Dictionary> dictionary) {
  unsigned generation = 0;
  if (dictionary) {
    generation = 1;
    while (slots_[generation].state.load(std::memory_order_acquire) != State::free) {
      if (++generation == kGenerations) return false;
    }
    Slot& slot = slots_[generation];
    CHECK(!slot.dictionary.load(std::memory_order_relaxed));
    charge(static_cast<int64_t>(dictionary->memory_bytes()));
    slot.dictionary.store(dictionary.release(), std::memory_order_release);
    slot.state.store(State::used, std::memory_order_relaxed);
  }
  RAMDISK_YIELD("Dictionaries::install, before it is current");
  current_.store(generation, std::memory_order_seq_cst);
  return true;
}

void Dictionaries::charge(int64_t bytes) noexcept {
  DCHECK(bytes >= 0 || memory_bytes() >= static_cast<size_t>(-bytes));
  memory_.fetch_add(static_cast<size_t>(bytes), std::memory_order_relaxed);
  memory_source_.charge(bytes);
}

size_t Dictionaries::count() const {
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return slot.dictionary.load(std::memory_order_relaxed) != nullptr;
  }));
}

void Dictionaries::sweep() {
  const unsigned current = current_.load(std::memory_order_relaxed);
  for (unsigned generation = 1; generation < kGenerations; ++generation) {
    Slot& slot = slots_[generation];
    if (generation == current || slot.state.load(std::memory_order_relaxed) != State::used ||
        slot.users.load(std::memory_order_seq_cst) != 0) {
      continue;
    }
    RAMDISK_YIELD("Dictionaries::sweep, no users seen");
    slot.list = epoch_.retire_list();
    slot.state.store(State::retired, std::memory_order_release);
  }
}

void Dictionaries::reclaim(size_t index) noexcept {
  for (Slot& slot : slots_) {
    if (slot.state.load(std::memory_order_acquire) != State::retired || slot.list != index) {
      continue;
    }
    const Dictionary* dictionary = slot.dictionary.exchange(nullptr, std::memory_order_relaxed);
    CHECK(dictionary);
    charge(-static_cast<int64_t>(dictionary->memory_bytes()));
    delete dictionary;
    slot.state.store(State::free, std::memory_order_release);
  }
}

}  // namespace ramdisk
