// PageTable: one word for each page of a disk, which says where the page is kept. 0 means hole.
//
//   L1: RadixTree            L2: Directory (256 words, 1 MiB of disk)
//   ┌───────────────┐        ┌──────────────┐
//   │ directory 0  ─────────▶│ word, page 0 │──▶ whatever the allocator keeps there
//   │ directory 7  ───┐      │ word, page 1 │
//   └───────────────┘ │      └──────────────┘
//                     └─────▶ …
//
// A word is a payload (a multiple of 8, chosen by the allocator) and three flag bits. Readers load
// words without a lock; a thread that changes one holds its lock bit. A directory is made when a
// page in it is first written, and removed when its last page is.
//
// Invariants:
//   1. A word's payload changes only under the word's lock.
//   2. A directory is erased from the tree only while all its words are dead, and a word dies only
//      when it is empty and unlocked. So a thread that has locked a word has the one that is in
//      use.
//   3. A payload that is unlinked is the caller's to retire; readers may use it until they unpin.
//   4. stored_pages() is never more than the disk has: a page is counted once, under its lock.
//
// Thread contract: any thread, pinned where a Guard is asked for, and for as long as a payload is
// used. A thread that holds the locks of several words takes them in ascending order; structure_
// comes after them. A thread waits only for one that works on the same page, or that overwrites a
// SlotRun with this page in it, and for the O(log n) steps of adding or removing a directory.

#ifndef RAMDISK_TABLE_PAGE_TABLE_H
#define RAMDISK_TABLE_PAGE_TABLE_H

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/check.h"
#include "base/mutex.h"
#include "base/page.h"
#include "base/yield.h"
#include "ramdisk/status.h"
#include "table/radix_tree.h"
#include "table/slab_allocator.h"

namespace ramdisk {

class PageTable {
 public:
  // Small, so that a write far from all others costs little: 2 KiB and its own page.
  static constexpr unsigned kDirectoryShift = 8;
  static constexpr size_t kDirectoryPages = size_t{1} << kDirectoryShift;

  using Trace = std::function<void(const std::string&)>;

  class Slot;
  class SlotRun;
  class Cursor;

  // For disks of `disk_bytes` (0 to 2^63-1). `trace`, if not empty, is called for each directory
  // made and freed.
  PageTable(MemorySource& memory, Epoch& epoch, uint64_t disk_bytes, Trace trace);

  // Calls visit(page, payload) for each page of [first, end) that is not a hole, in ascending
  // order, until it returns false. Takes no lock: a page may change while it is visited. Costs O(1)
  // for each page in a directory that exists, and O(1) for each gap between two directories.
  template <typename Visit>
  void scan(uint64_t first, uint64_t end, const Epoch::Guard& guard, Visit visit) const;

  // As scan(), but does not count as an access; for extents and statistics.
  template <typename Visit>
  void look(uint64_t first, uint64_t end, const Epoch::Guard& guard, Visit visit) const;

  // Calls change(slot) for each page of [first, end) that is not a hole, in ascending order, with
  // the page locked; a Status that is not ok ends the walk and is returned. Directories that this
  // leaves empty are removed.
  template <typename Change>
  Status change(uint64_t first, uint64_t end, const Epoch::Guard& guard, Change change);

  // Removes the directory of `page` if it is empty: for a write that made it and then failed.
  void prune(uint64_t page, const Epoch::Guard& guard);

  // Finds cold directories: those that have not been used for a while. Time is a number that the
  // caller counts up. scan(), change() and the locks of a Cursor note it in the directories they
  // come to; look(), peek() and try_lock() do not. next_cold() examines up to `most` directories,
  // from that of `page` on, for one that was last used before `time` and has not been returned
  // since. Only one thread calls these.
  struct ColdDirectory {
    uint64_t next;   // page from which to go on; no_page when there are no more directories
    uint64_t first;  // first page of the directory found, or no_page
    bool later;      // a directory was passed over because it is not cold yet
  };
  static constexpr uint64_t no_page = UINT64_MAX;
  void set_time(uint32_t time) { time_.store(time, std::memory_order_relaxed); }
  ColdDirectory next_cold(uint64_t page, uint32_t time, int most, const Epoch::Guard& guard);

  // Makes next_cold() return the directory of `page` once more.
  void mark(uint64_t page, const Epoch::Guard& guard);

  // How many pages are not holes. Costs O(1).
  uint64_t stored_pages() const {
    uint64_t sum = 0;
    for (const Stripe& stripe : stored_) sum += stripe.pages.load(std::memory_order_relaxed);
    return sum;
  }
  uint64_t bytes_of(uint64_t pages) const {  // of the disk; its last page may be short
    return std::min(pages << kPageShift, disk_bytes_);
  }

  uint64_t held_bytes() const { return directories_.held_bytes() + nodes_.held_bytes(); }

 private:
  static constexpr uint64_t kLocked = 1;
  static constexpr uint64_t kWaiters = 2;  // a thread sleeps until the lock is released
  static constexpr uint64_t kDead = 4;     // the only bit set: the directory is being removed
  static constexpr uint64_t kFlags = 7;
  using Word = std::atomic<uint64_t>;

  struct Directory : RadixTree::Entry {
    std::atomic<uint32_t> used{0};  // words with a payload; relaxed, a hint for remove_if_empty()
    mutable std::atomic<uint32_t> last_use{0};  // a time; relaxed, a hint for next_cold()
    uint32_t reported_cold = UINT32_MAX;        // the last_use at which it was last returned
    alignas(64) std::array<Word, kDirectoryPages> words{};
  };
  // A part of stored_pages(), for every sixteenth directory, so that writers of different ones
  // seldom meet. All changes for one page are made to one stripe, in their order, so a stripe never
  // exceeds what its directories hold and never falls below 0.
  struct alignas(64) Stripe {
    std::atomic<uint64_t> pages{0};
  };

  static constexpr size_t kDirectoryBytes = (sizeof(Directory) + 63) / 64 * 64;

  static uint64_t payload_of(uint64_t word) { return word & ~kFlags; }
  static bool lock_word(Word& word) noexcept;  // false: dead
  // Release pairs with the acquire of scan() and lock_word(): what the payload refers to is
  // complete.
  static void unlock_word(Word& word, uint64_t payload) noexcept {
    const uint64_t before = word.exchange(payload, std::memory_order_release);
    CHECK(before & kLocked);
    if (before & kWaiters) wake(word);
  }
  static void wake(Word& word) noexcept;

  Directory* find(uint64_t key) const { return static_cast<Directory*>(tree_.find(key)); }
  Directory* next(uint64_t key) const { return static_cast<Directory*>(tree_.next(key)); }
  Directory* find_or_create(uint64_t key) EXCLUDES(structure_);
  void remove_if_empty(Directory* directory, const Epoch::Guard& guard) EXCLUDES(structure_);
  Stripe& stripe_of(const Directory* directory) { return stored_[directory->key % stored_.size()]; }
  void note_use(const Directory* directory) const {
    const uint32_t now = time_.load(std::memory_order_relaxed);
    if (directory->last_use.load(std::memory_order_relaxed) != now) {
      directory->last_use.store(now, std::memory_order_relaxed);
    }
  }
  template <typename Visit, typename Enter>
  void walk(uint64_t first, uint64_t end, Visit visit, Enter enter) const;
  static bool kill_words(Directory* directory) noexcept;
  void trace(const char* what, uint64_t key) const;

  SlabAllocator directories_;
  SlabAllocator nodes_;
  const Trace trace_;
  Mutex structure_;  // held while a directory is added or removed
  RadixTree tree_;   // changed under structure_, read without it
  std::atomic<uint32_t> time_{0};
  const uint64_t disk_bytes_;
  std::array<Stripe, 16> stored_{};
};

// One page, locked until unlock() is called or the slot is destroyed; or empty (false).
class PageTable::Slot {
 public:
  Slot() = default;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (word_) unlock_word(*word_, payload_);
  }

  explicit operator bool() const { return word_ != nullptr; }
  uint64_t page() const { return page_; }
  uint64_t payload() const { return payload_; }  // 0: hole

  // Unlocks the page and makes `payload`, a multiple of 8, what readers find from now on. After
  // this the caller retires the old one, if it is another.
  void unlock(uint64_t payload) {
    CHECK(word_ && (payload & kFlags) == 0);
    DCHECK(payload_of(word_->load(std::memory_order_relaxed)) == payload_);
    if ((payload == 0) != (payload_ == 0)) {
      const int change = payload ? 1 : -1;
      [[maybe_unused]] const uint32_t before =
          directory_->used.fetch_add(change, std::memory_order_relaxed);
      DCHECK(payload ? before < kDirectoryPages : before > 0);
      stripe_->pages.fetch_add(change, std::memory_order_relaxed);
    }
    unlock_word(*word_, payload);
    word_ = nullptr;
  }

 private:
  friend class PageTable;
  friend class Cursor;
  Slot(PageTable& table, Directory* directory, uint64_t page)
      : directory_(directory),
        stripe_(&table.stripe_of(directory)),
        word_(&directory->words[page % kDirectoryPages]),
        page_(page),
        payload_(payload_of(word_->load(std::memory_order_relaxed))) {
    DCHECK(word_->load(std::memory_order_relaxed) & kLocked);
    DCHECK(page >> kDirectoryShift == directory->key);
  }

  Directory* directory_ = nullptr;
  Stripe* stripe_ = nullptr;
  Word* word_ = nullptr;
  uint64_t page_ = 0;
  uint64_t payload_ = 0;
};

// Some neighbouring pages that are stored, locked until the run is destroyed, to overwrite what
// their payloads refer to. A lock that is released has to wait until what was copied before is in
// the caches, so pages that are locked together are copied faster than one by one.
class PageTable::SlotRun {
 public:
  static constexpr size_t kMost = 8;  // pages: more would gain little, and others wait for them

  SlotRun(const SlotRun&) = delete;
  SlotRun& operator=(const SlotRun&) = delete;
  ~SlotRun() {
    for (size_t i = 0; i < count_; ++i) unlock_word(words_[i], payload(i));
  }

  size_t count() const { return count_; }
  uint64_t payload(size_t i) const {
    DCHECK(i < count_);
    return payload_of(words_[i].load(std::memory_order_relaxed));
  }

 private:
  friend class Cursor;
  SlotRun() = default;
  SlotRun(Word* words, size_t most);

  Word* words_ = nullptr;
  size_t count_ = 0;
};

// Locks pages for writing, one after the other, and remembers the directory of the last one. Lives
// no longer than the guard.
class PageTable::Cursor {
 public:
  Cursor(PageTable& table, const Epoch::Guard&) : table_(table) {}

  // Locks `page`, and makes its directory if there is none. The slot is empty if there is no memory
  // for that.
  Slot lock(uint64_t page);

  // The payload that `page` has now, without its lock; 0: hole.
  uint64_t peek(uint64_t page);

  // As lock(), but creates no directory: the slot is empty if there is none.
  Slot lock_existing(uint64_t page);

  // Locks the pages from `page` on that are stored, at most `most` and SlotRun::kMost, and no more
  // than are in one directory. The run is empty if `page` is a hole.
  SlotRun lock_stored(uint64_t page, size_t most);

  // Locks `page` if it has this payload and nobody holds its lock; never waits.
  Slot try_lock(uint64_t page, uint64_t payload);

 private:
  bool go_to(uint64_t key);
  Slot lock(uint64_t page, bool create);

  PageTable& table_;
  Directory* directory_ = nullptr;
};

template <typename Visit>
void PageTable::scan(uint64_t first, uint64_t end, const Epoch::Guard&, Visit visit) const {
  walk(first, end, visit, [this](const Directory* directory) { note_use(directory); });
}

template <typename Visit>
void PageTable::look(uint64_t first, uint64_t end, const Epoch::Guard&, Visit visit) const {
  walk(first, end, visit, [](const Directory*) {});
}

template <typename Visit, typename Enter>
void PageTable::walk(uint64_t first, uint64_t end, Visit visit, Enter enter) const {
  while (first < end) {
    const Directory* directory = next(first >> kDirectoryShift);
    if (!directory) return;
    const uint64_t base = directory->key << kDirectoryShift;
    if (base >= end) return;
    enter(directory);
    DCHECK(base + kDirectoryPages > first);
    const uint64_t stop = std::min(end, base + kDirectoryPages);
    for (uint64_t page = std::max(first, base); page < stop; ++page) {
      const uint64_t payload =
          payload_of(directory->words[page - base].load(std::memory_order_acquire));
      if (payload != 0 && !visit(page, payload)) return;
    }
    first = base + kDirectoryPages;
  }
}

template <typename Change>
Status PageTable::change(uint64_t first, uint64_t end, const Epoch::Guard& guard, Change change) {
  while (first < end) {
    Directory* directory = next(first >> kDirectoryShift);
    if (!directory) break;
    const uint64_t base = directory->key << kDirectoryShift;
    if (base >= end) break;
    note_use(directory);
    DCHECK(base + kDirectoryPages > first);
    const uint64_t stop = std::min(end, base + kDirectoryPages);
    for (uint64_t page = std::max(first, base); page < stop; ++page) {
      Word& word = directory->words[page - base];
      // A page that is only now being written for the first time is ordered after this call.
      if (payload_of(word.load(std::memory_order_relaxed)) == 0) continue;
      if (!lock_word(word)) continue;  // dead: a hole
      Slot slot(*this, directory, page);
      if (slot.payload() == 0) continue;
      if (Status status = change(slot); !status.ok()) return status;
    }
    if (directory->used.load(std::memory_order_relaxed) == 0) remove_if_empty(directory, guard);
    first = base + kDirectoryPages;
  }
  return {};
}

}  // namespace ramdisk

#endif
