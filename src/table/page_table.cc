#include "table/page_table.h"

#include <algorithm>
#include <new>

namespace ramdisk {

namespace {

// How many times to look at a locked word before sleeping. A page is copied in well under a
// microsecond.
constexpr int kSpins = 100;

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

PageTable::PageTable(MemorySource& memory, Epoch& epoch, uint64_t disk_bytes, Trace trace)
    : directories_(memory, epoch, kDirectoryBytes),
      nodes_(memory, epoch, RadixTree::kNodeBytes),
      trace_(std::move(trace)),
      tree_(nodes_, (disk_bytes >> (kPageShift + kDirectoryShift)) + 1),
      disk_bytes_(disk_bytes) {}

// Acquire pairs with the release of unlock_word(): this thread sees what the last owner did. An
// unlock wakes every sleeper, so the thread that gets the lock need not remember the others: they
// set kWaiters again before they go back to sleep.
bool PageTable::lock_word(Word& word) noexcept {
  uint64_t now = word.load(std::memory_order_relaxed);
  for (int spins = 0;;) {
    if (now & kDead) {
      DCHECK(now == kDead);
      return false;
    }
    if (!(now & kLocked)) {
      if (word.compare_exchange_weak(now, now | kLocked, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
        return true;
      }
    } else if (spins < kSpins) {
      ++spins;
      pause_cpu();
      now = word.load(std::memory_order_relaxed);
    } else if ((now & kWaiters) ||
               word.compare_exchange_weak(now, now | kWaiters, std::memory_order_relaxed)) {
      word.wait(now | kWaiters, std::memory_order_relaxed);
      now = word.load(std::memory_order_relaxed);
    }
  }
}

void PageTable::wake(Word& word) noexcept {
  word.notify_all();
}

// Returns false if there is no such directory.
bool PageTable::Cursor::go_to(uint64_t key) {
  if (!directory_ || directory_->key != key) directory_ = table_.find(key);
  return directory_ != nullptr;
}

PageTable::Slot PageTable::Cursor::lock(uint64_t page) {
  return lock(page, true);
}

PageTable::Slot PageTable::Cursor::lock_existing(uint64_t page) {
  return lock(page, false);
}

PageTable::Slot PageTable::Cursor::lock(uint64_t page, bool create) {
  const uint64_t key = page >> kDirectoryShift;
  for (;;) {
    if (!go_to(key) && create) directory_ = table_.find_or_create(key);
    if (!directory_) return {};
    table_.note_use(directory_);
    if (lock_word(directory_->words[page % kDirectoryPages])) return {table_, directory_, page};
    // The word is dead: look again when the thread that is removing the directory has finished or
    // given up.
    MutexLock wait(table_.structure_);
    directory_ = nullptr;
  }
}

uint64_t PageTable::Cursor::peek(uint64_t page) {
  const uint64_t key = page >> kDirectoryShift;
  if (!go_to(key)) return 0;
  return payload_of(directory_->words[page % kDirectoryPages].load(std::memory_order_acquire));
}

PageTable::SlotRun::SlotRun(Word* words, size_t most) : words_(words) {
  for (; count_ < most; ++count_) {
    Word& word = words[count_];
    if (payload_of(word.load(std::memory_order_relaxed)) == 0 || !lock_word(word)) return;
    if (payload_of(word.load(std::memory_order_relaxed)) == 0) {
      unlock_word(word, 0);
      return;
    }
  }
}

PageTable::SlotRun PageTable::Cursor::lock_stored(uint64_t page, size_t most) {
  if (!go_to(page >> kDirectoryShift)) return {};
  table_.note_use(directory_);
  const size_t first = page % kDirectoryPages;
  most = std::min({most, SlotRun::kMost, kDirectoryPages - first});
  return {&directory_->words[first], most};
}

PageTable::Slot PageTable::Cursor::try_lock(uint64_t page, uint64_t payload) {
  const uint64_t key = page >> kDirectoryShift;
  if (!go_to(key)) return {};
  DCHECK((payload & kFlags) == 0);
  Word& word = directory_->words[page % kDirectoryPages];
  if (!word.compare_exchange_strong(payload, payload | kLocked, std::memory_order_acquire,
                                    std::memory_order_relaxed)) {
    return {};
  }
  return {table_, directory_, page};
}

// Called when there was no directory a moment ago, so one is made before the tree is asked again.
PageTable::Directory* PageTable::find_or_create(uint64_t key) {
  const SlabAllocator::Run run = directories_.allocate(1);
  if (!run.base) return nullptr;
  DCHECK(reinterpret_cast<uintptr_t>(run.base) % alignof(Directory) == 0);
  Directory* directory = new (run.base) Directory;
  directory->key = key;
  RadixTree::Entry* present = nullptr;
  {
    MutexLock lock(structure_);
    present = tree_.insert(directory);
  }
  if (present == directory) {
    trace("made", key);
  } else {
    directories_.free({run.base, 1, false});
  }
  return static_cast<Directory*>(present);
}

// Makes all words dead. If it fails, those that are dead by then are made empty again.
bool PageTable::kill_words(Directory* directory) noexcept {
  for (size_t i = 0; i < kDirectoryPages; ++i) {
    uint64_t empty = 0;
    if (directory->words[i].compare_exchange_strong(empty, kDead, std::memory_order_acquire,
                                                    std::memory_order_relaxed)) {
      continue;
    }
    while (i-- > 0) {
      DCHECK(directory->words[i].load(std::memory_order_relaxed) == kDead);
      directory->words[i].store(0, std::memory_order_release);
    }
    return false;
  }
  return true;
}

void PageTable::remove_if_empty(Directory* directory, const Epoch::Guard& guard) {
  const uint64_t key = directory->key;
  {
    MutexLock lock(structure_);
    if (find(key) != directory || !kill_words(directory)) return;
    CHECK(directory->used.load(std::memory_order_relaxed) == 0);
    tree_.erase(key, guard);
  }
  std::byte* block = reinterpret_cast<std::byte*>(directory);
  directories_.retire({&block, 1}, guard);
  trace("freed", key);
}

void PageTable::prune(uint64_t page, const Epoch::Guard& guard) {
  Directory* directory = find(page >> kDirectoryShift);
  if (directory && directory->used.load(std::memory_order_relaxed) == 0) {
    remove_if_empty(directory, guard);
  }
}

void PageTable::mark(uint64_t page, const Epoch::Guard&) {
  if (Directory* directory = find(page >> kDirectoryShift)) directory->reported_cold = UINT32_MAX;
}

PageTable::ColdDirectory PageTable::next_cold(uint64_t page, uint32_t time, int most,
                                              const Epoch::Guard&) {
  uint64_t key = page >> kDirectoryShift;
  bool later = false;
  for (; most > 0; --most) {
    Directory* directory = next(key);
    if (!directory) return {no_page, no_page, later};
    key = directory->key + 1;
    const uint32_t last_use = directory->last_use.load(std::memory_order_relaxed);
    if (last_use == directory->reported_cold) continue;
    if (last_use >= time) {
      later = true;
      continue;
    }
    directory->reported_cold = last_use;
    return {key << kDirectoryShift, directory->key << kDirectoryShift, later};
  }
  return {key << kDirectoryShift, no_page, later};
}

void PageTable::trace(const char* what, uint64_t key) const {
  if (!trace_) return;
  trace_(std::string("directory ") + what + ": offset " +
         std::to_string(key << (kDirectoryShift + kPageShift)));
}

}  // namespace ramdisk
