#include "zstd/dictionaries.h"

#include <algorithm>

#include "base/check.h"
#include "base/yield.h"

namespace ramdisk {

Dictionaries::Dictionaries(MemorySource& memory, Epoch& epoch)
    : memory_source_(memory), epoch_(epoch) {
  slots_[0].state = State::used;
  epoch_.add_reclaimer(this);
}

Dictionaries::~Dictionaries() {
  for (Slot& slot : slots_) {
    if (slot.dictionary.load(std::memory_order_relaxed)) delete release(slot);
  }
}

// Counts the caller as a user first, then checks that the generation is still current. sweep()
// reads the users only after another generation has become current, so either sweep() sees this
// user, or this thread sees that the generation has changed. (All accesses are sequentially
// consistent.)
unsigned Dictionaries::ref() noexcept {
  for (;;) {
    const unsigned generation = current_.load(std::memory_order_seq_cst);
    RAMDISK_YIELD("Dictionaries::ref, before it is counted");
    count_user(generation);
    RAMDISK_YIELD("Dictionaries::ref, counted");
    if (current_.load(std::memory_order_seq_cst) == generation) return generation;
    unref(generation);
  }
}

void Dictionaries::count_user(unsigned generation) noexcept {
  if (generation > 0) slots_[generation].users.fetch_add(1, std::memory_order_seq_cst);
}

void Dictionaries::ref(unsigned generation) noexcept {
  DCHECK(generation < kGenerations);
  if (generation == 0) return;
  CHECK(slots_[generation].users.fetch_add(1, std::memory_order_seq_cst) > 0);
}

void Dictionaries::unref(unsigned generation) noexcept {
  DCHECK(generation < kGenerations);
  if (generation == 0) return;
  CHECK(slots_[generation].users.fetch_sub(1, std::memory_order_seq_cst) > 0);
}

unsigned Dictionaries::free_generation() const {
  unsigned generation = 1;
  while (generation < kGenerations &&
         slots_[generation].state.load(std::memory_order_acquire) != State::free) {
    ++generation;
  }
  return generation;
}

bool Dictionaries::install(std::unique_ptr<Dictionary> dictionary) {
  unsigned generation = 0;
  if (dictionary) {
    generation = free_generation();
    if (generation == kGenerations) return false;
    Slot& slot = slots_[generation];
    CHECK(!slot.dictionary.load(std::memory_order_relaxed));
    const size_t bytes = dictionary->memory_bytes();
    slot.paid = owner_pays_.exchange(false, std::memory_order_relaxed) ? 0 : bytes;
    if (slot.paid > 0 && !memory_source_.charge(slot.paid, Claim::optional)) return false;
    paid_.fetch_add(slot.paid, std::memory_order_relaxed);
    memory_.fetch_add(bytes, std::memory_order_relaxed);
    slot.dictionary.store(dictionary.release(), std::memory_order_release);
    slot.state.store(State::used, std::memory_order_relaxed);
  }
  RAMDISK_YIELD("Dictionaries::install, before it is current");
  current_.store(generation, std::memory_order_seq_cst);
  return true;
}

// Takes the dictionary out of its slot and stops counting its memory.
const Dictionary* Dictionaries::release(Slot& slot) noexcept {
  const Dictionary* dictionary = slot.dictionary.exchange(nullptr, std::memory_order_relaxed);
  CHECK(dictionary);
  memory_.fetch_sub(dictionary->memory_bytes(), std::memory_order_relaxed);
  paid_.fetch_sub(slot.paid, std::memory_order_relaxed);
  if (slot.paid > 0) {
    memory_source_.uncharge(slot.paid);
  } else {
    owner_pays_.store(true, std::memory_order_relaxed);
  }
  return dictionary;
}

size_t Dictionaries::count() const {
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return slot.dictionary.load(std::memory_order_relaxed) != nullptr;
  }));
}

void Dictionaries::sweep(const Epoch::Guard& guard) {
  const unsigned current = current_.load(std::memory_order_relaxed);
  for (unsigned generation = 1; generation < kGenerations; ++generation) {
    Slot& slot = slots_[generation];
    if (generation == current || slot.state.load(std::memory_order_relaxed) != State::used ||
        slot.users.load(std::memory_order_seq_cst) != 0) {
      continue;
    }
    RAMDISK_YIELD("Dictionaries::sweep, no users seen");
    slot.list = epoch_.retire_list(guard);
    slot.state.store(State::retired, std::memory_order_release);
  }
}

void Dictionaries::reclaim(size_t index) noexcept {
  for (Slot& slot : slots_) {
    if (slot.state.load(std::memory_order_acquire) != State::retired || slot.list != index) {
      continue;
    }
    delete release(slot);
    slot.state.store(State::free, std::memory_order_release);
  }
}

}  // namespace ramdisk
