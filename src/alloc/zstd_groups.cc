// Groups of a compressing disk: cold neighbours are compressed together and harder, and get places
// of their own again when they are read often or have lost some of their number.

#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "alloc/zstd_allocator.h"

namespace ramdisk {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kGroup = StoredObject::kGroupPages;

using Slots = std::array<PageTable::Slot, kGroup>;
using Words = std::array<PageWord, kGroup>;

// Tries to lock the pages of the group that begins with `first`, if they still have these words.
Slots lock_group(uint64_t first, const Words& words, PageTable::Cursor& cursor) {
  return {cursor.try_lock(first, words[0].bits()), cursor.try_lock(first + 1, words[1].bits()),
          cursor.try_lock(first + 2, words[2].bits()), cursor.try_lock(first + 3, words[3].bits())};
}

bool all_locked(const Slots& slots) {
  return std::all_of(slots.begin(), slots.end(), [](const auto& slot) { return bool(slot); });
}

// CPU time of the calling thread, in seconds.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

// ---- making them

// Looks for cold pages and compresses some of them again, four at a time and harder. It rests as
// long as it works, and longer when it had to wait for a CPU: others need it more.
Workers::Rest ZstdAllocator::regroup_some() {
  Maintenance& m = maintenance_;
  const PageTable::Settled found = find_settled();
  if (found.first != PageTable::no_page && begin_regrouping()) {
    const auto begin = Clock::now();
    const double cpu_begin = thread_seconds();
    m.tidy = false;
    if (!regroup_directory(found.first)) {
      m.walked = true;
      end_regrouping();
      return Workers::Rest::zero();
    }
    const std::chrono::duration<double> taken = Clock::now() - begin;
    if (squeezes_wanted_ != squeezes_done_) return Workers::Rest::zero();
    if (thread_seconds() - cpu_begin < 0.7 * taken.count()) return pace_.tick;
    return std::max(Workers::Rest(1), std::chrono::duration_cast<Workers::Rest>(taken));
  }
  if (m.walked) end_regrouping();
  return Workers::Rest(m.walked ? 0 : 1);
}

// Goes on with the walk over the disk.
PageTable::Settled ZstdAllocator::find_settled() {
  constexpr int kDirectories = 1000;
  Maintenance& m = maintenance_;
  const Epoch::Guard guard(epoch_);
  const uint32_t time = m.time + (m.squeezing ? pace_.cold_ticks : 0);
  const PageTable::Settled found = table_.next_settled(m.next_page, time, kDirectories);
  m.something_warm |= found.later;
  m.walked = found.next == PageTable::no_page;
  m.next_page = m.walked ? 0 : found.next;
  return found;
}

// The compressor for groups is large, so it is there only while there is work for it. False: no
// memory.
bool ZstdAllocator::begin_regrouping() {
  constexpr int kLevel = 9;
  Maintenance& m = maintenance_;
  if (m.compressor) return true;
  auto compressor =
      Compressor::make(std::max(kLevel, options_.level), StoredObject::kMaxGroupBytes);
  if (!compressor) return false;
  m.generation = pages_.dictionaries().join();
  const Dictionary* dictionary = pages_.dictionaries().get(m.generation);
  if (dictionary && !compressor->adopt(*dictionary)) {
    pages_.dictionaries().leave(m.generation);
    return false;
  }
  m.compressor_bytes = static_cast<int64_t>(compressor->memory_bytes());
  m.compressor = std::move(compressor);
  memory_.charge(m.compressor_bytes);
  return true;
}

void ZstdAllocator::end_regrouping() {
  Maintenance& m = maintenance_;
  if (m.squeezing) squeezes_done_ = m.squeeze;
  m.squeezing = false;
  if (!m.compressor) return;
  pages_.dictionaries().leave(m.generation);
  m.compressor.reset();
  memory_.charge(-m.compressor_bytes);
}

// False: memory has run out, and the rest of the directory is for another walk.
bool ZstdAllocator::regroup_directory(uint64_t first) {
  for (uint64_t i = 0; i < PageTable::kDirectoryPages; i += kGroup) {
    bool memory = regroup(first + i);
    while (!memory && clean_segment(true)) memory = regroup(first + i);
    if (memory) continue;
    const Epoch::Guard guard(epoch_);
    table_.reconsider(first);
    return false;
  }
  return true;
}

// Makes one of four pages, if that saves something. What stays by itself gets the new dictionary,
// or the old one would have to be kept for it. False: no memory.
bool ZstdAllocator::regroup(uint64_t first) {
  const Epoch::Guard guard(epoch_);
  Cursor cursor(table_);
  Reader reader(pages_);
  const Grouped grouped = make_group(first, reader, cursor);
  if (grouped != Grouped::no) return grouped == Grouped::yes;
  for (uint64_t number = first; number < first + kGroup; ++number) {
    const PageWord word(cursor.peek(number));
    if (word.kind() == PageKind::object && word.generation() != maintenance_.generation) {
      unpack_page(number, word, reader, cursor, false);
    }
  }
  return true;
}

ZstdAllocator::Grouped ZstdAllocator::make_group(uint64_t first, Reader& reader, Cursor& cursor) {
  Words words;
  std::array<std::byte, StoredObject::kMaxGroupBytes> pages;
  size_t before = 0;
  for (unsigned i = 0; i < kGroup; ++i) {
    words[i] = PageWord(cursor.peek(first + i));
    if (words[i].kind() == PageKind::object) {
      before += words[i].stored()->footprint();
    } else if (words[i].kind() == PageKind::plain && !words[i].queued()) {
      before += kPageBytes;
    } else {
      return Grouped::no;
    }
    const Page page(pages.data() + i * kPageBytes, kPageBytes);
    if (!reader.load(words[i], page).ok()) return Grouped::no;
  }
  // The first byte notes which pages are read.
  std::array<std::byte, StoredObject::kMaxGroupBytes> frame;
  frame[0] = std::byte{0};
  const size_t worth = std::min(before - before / 32, frame.size());
  const size_t length =
      maintenance_.compressor->compress(std::span(frame).subspan(1, worth - 1), pages, nullptr);
  if (length == 0) return Grouped::no;
  const PageWord group =
      pages_.store_group(first, std::span(frame).first(length + 1), maintenance_.generation);
  if (group == PageWord()) return Grouped::no_memory;
  Slots slots = lock_group(first, words, cursor);
  // A plain page may have been overwritten in place, under the same word.
  bool all = all_locked(slots);
  for (unsigned i = 0; i < kGroup && all; ++i) {
    all = words[i].kind() != PageKind::plain ||
          std::memcmp(&pages[i * kPageBytes], words[i].page(), kPageBytes) == 0;
  }
  if (all) pages_.note_regrouped();
  for (unsigned i = 0; i < kGroup; ++i) {
    if (all) {
      swap(slots[i], group.member(i));
    } else {
      pages_.drop(group.member(i));
    }
  }
  return all ? Grouped::yes : Grouped::no;
}

// ---- moving them and taking them apart

// A group of which pages have been dropped is not worth its room: the others get their own again.
bool ZstdAllocator::move_group(const StoredObject& group, Cursor& cursor) {
  Words words;
  unsigned members = 0;
  for (unsigned i = 0; i < kGroup; ++i) {
    words[i] = PageWord(cursor.peek(group.page() + i));
    if (words[i].compressed() && words[i].stored() == &group) ++members;
  }
  if (members == 0) return true;
  if (members < kGroup) {
    Reader reader(pages_);
    bool memory = true;
    for (unsigned i = 0; i < kGroup && memory; ++i) {
      if (words[i].compressed() && words[i].stored() == &group) {
        memory = unpack_page(group.page() + i, words[i], reader, cursor, true);
      }
    }
    return memory;
  }
  Slots slots = lock_group(group.page(), words, cursor);
  if (!all_locked(slots)) return true;
  const StoredObject* copy = pages_.store().add_moved(group);
  if (!copy) return false;
  for (unsigned i = 0; i < kGroup; ++i) swap(slots[i], pages_.word_for_copy(copy, words[i]));
  return true;
}

// Gives a page of a group, which is read often, a place of its own. Pinned.
void ZstdAllocator::unpack(uint64_t number, Reader& reader) {
  note_work();
  Cursor cursor(table_);
  const PageWord word(cursor.peek(number));
  if (word.kind() == PageKind::group) unpack_page(number, word, reader, cursor, false);
}

// Gives a page, found under `word`, a place of its own, unless something else has become of it.
// False: no memory, or it is damaged.
bool ZstdAllocator::unpack_page(uint64_t number, PageWord word, Reader& reader, Cursor& cursor,
                                bool for_cleaner) {
  Buffer page;
  if (!reader.load(word, page).ok()) return false;
  Buffer buffer;
  const bool queued = !for_cleaner && queue_.has_room();
  PageWord fresh;
  if (!queued) {
    const PackedPages::Packed packed = pages_.compress(page, buffer);
    fresh = for_cleaner ? pages_.store_moved(number, packed) : pages_.store(number, packed);
    if (fresh == PageWord()) return false;
  }
  Slot slot = cursor.try_lock(number, word.bits());
  if (queued) return !slot || swap_queued(slot, page);
  if (slot) {
    swap(slot, fresh);
  } else {
    pages_.drop(fresh);
  }
  return true;
}

}  // namespace ramdisk
