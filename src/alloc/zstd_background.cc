// What a compressing disk does beside requests: compresses what waits, cleans segments, trains
// dictionaries and regroups cold pages.

#include <time.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <new>

#include "alloc/zstd_allocator.h"
#include "core/shared_bytes.h"

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

// One piece of work. The first worker also does what only one may do, some of it before all else.
Workers::Rest ZstdAllocator::work(size_t worker) {
  try {
    return do_work(worker);
  } catch (const std::bad_alloc&) {
    return pace_.tick;
  }
}

Workers::Rest ZstdAllocator::do_work(size_t worker) {
  if (worker == 0 && (tick_if_due() || train_if_due())) return Workers::Rest::zero();
  if (compress_queued() || clean_segment(false)) return Workers::Rest::zero();
  second_chances_.store(0, std::memory_order_relaxed);
  return worker == 0 ? maintain() : Workers::kUntilWoken;
}

// Quiet is said first and the reasons against it are looked at after that: see note_work().
Workers::Rest ZstdAllocator::maintain() {
  Maintenance& m = maintenance_;
  if (!m.walked) return regroup_some();
  if (m.idle && queue_.empty() && !m.tidy) return tidy_up();
  if (queue_.empty() && m.tidy && !m.something_warm) {
    if (quiet_.exchange(true)) return Workers::kUntilWoken;
    m.something_warm = true;  // one more walk, for what came meanwhile
  }
  const auto rest = m.last_tick + pace_.tick - Clock::now();
  return std::max(Workers::Rest(1), std::chrono::duration_cast<Workers::Rest>(rest));
}

// When there is nothing to wait for, no gaps and no free memory are kept for what may come.
Workers::Rest ZstdAllocator::tidy_up() {
  if (clean_segment(true)) return Workers::Rest::zero();
  epoch_.collect();
  pages_.release_free_memory();
  maintenance_.tidy = true;
  // What another thread is giving back at this moment is seen at the next tick.
  maintenance_.something_warm = true;
  return Workers::Rest::zero();
}

bool ZstdAllocator::tick_if_due() {
  const auto now = Clock::now();
  if (now - maintenance_.last_tick < pace_.tick) return false;
  maintenance_.last_tick = now;
  tick();
  return true;
}

void ZstdAllocator::tick() {
  Maintenance& m = maintenance_;
  // A page is cold when nothing in its directory has been read or written for so many ticks.
  table_.set_time(pace_.cold_ticks + ++m.time);
  queue_.tick();
  limit_queue();
  const PackedPages::Totals totals = pages_.totals();
  const uint64_t stored = stored_pages_.load(std::memory_order_relaxed);
  const uint64_t memory = pages_.memory_bytes();
  m.idle = totals.pages == m.tick_pages && stored == m.tick_stored && memory == m.tick_memory;
  m.tick_pages = totals.pages;
  m.tick_stored = stored;
  m.tick_memory = memory;
  if (!m.idle) m.tidy = false;
  if (m.walked) {
    m.walked = !options_.recompress;
    m.something_warm = false;
  }
  {
    const Epoch::Guard guard(epoch_);
    pages_.dictionaries().sweep();
  }
  epoch_.collect();

  // Data that compresses much less well than it did when the dictionary was new wants another one.
  constexpr uint64_t kWindow = 2048;
  const uint64_t packed = totals.pages - m.last_totals.pages;
  if (packed < kWindow) return;
  const double bytes =
      static_cast<double>(totals.bytes - m.last_totals.bytes) / static_cast<double>(packed);
  m.last_totals = totals;
  if (m.usual_bytes == 0) m.usual_bytes = bytes;
  m.data_changed = bytes > 1.15 * m.usual_bytes;
}

// ---- the queue

// A fixed part of what is stored unless the user has said something else.
void ZstdAllocator::limit_queue() {
  constexpr uint64_t kLeast = 2 << 20;
  constexpr uint64_t kPart = 128;
  const uint64_t bytes = options_.cache.value_or(
      std::max(kLeast, stored_pages_.load(std::memory_order_relaxed) * kPageBytes / kPart));
  queue_.set_limit(bytes / kPageBytes);
  pages_.expect_plain(bytes);
}

// Compresses the page that has waited longest, if it is time. False if there is nothing to do, or
// all that wait are being rewritten.
bool ZstdAllocator::compress_queued() {
  const std::optional<uint64_t> number = queue_.pop();
  if (!number) return false;
  const Epoch::Guard guard(epoch_);
  Cursor cursor(table_);
  const PageWord word(cursor.peek(*number));
  if (word.kind() != PageKind::plain || !word.queued() || word.claimed()) {
    queue_.leave();  // it has been trimmed, or is in the queue twice
    return true;
  }
  {
    // Written since it was queued, or right now: it waits once more, as what is rewritten all the
    // time should.
    Slot slot = cursor.try_lock(*number, word.bits());
    const bool wait = !slot || word.touched();
    if (slot) slot.unlock((wait ? word.as_untouched() : word.as_claimed()).bits());
    if (wait) {
      queue_.push(*number);
      return second_chances_.fetch_add(1, std::memory_order_relaxed) < queue_.size();
    }
  }
  second_chances_.store(0, std::memory_order_relaxed);
  const PageWord claimed = word.as_claimed();
  Buffer copy;
  copy_from_shared(copy.data(), word.page(), kPageBytes);
  Buffer buffer;
  const PackedPages::Packed packed = pages_.compress(copy, buffer);
  if (packed.plain()) {
    end_claim(*number, claimed, cursor);
    return true;
  }
  note_compressed(*number);
  const PageWord stored = pages_.store(*number, packed);
  if (stored != PageWord()) {
    if (Slot slot = cursor.try_lock(*number, claimed.bits())) {
      swap(slot, stored);
      queue_.leave();
      return true;
    }
    pages_.drop(stored);
  }
  end_claim(*number, claimed, cursor);
  return true;
}

// Takes back the mark on a page that stays as it is: for good, if it does not compress or there is
// no memory for the result, or until later, if it was written meanwhile.
void ZstdAllocator::end_claim(uint64_t number, PageWord claimed, Cursor& cursor) {
  Slot slot = cursor.lock_existing(number);
  PageWord now(slot ? slot.payload() : 0);
  if (now.as_untouched() != claimed) {  // it has been trimmed
    queue_.leave();
  } else if (now.touched()) {
    slot.unlock(now.as_untouched().as_unclaimed().bits());
    queue_.push(number);
  } else {
    slot.unlock(now.as_plain().bits());
    queue_.leave();
  }
}

// ---- cleaning

// False when there was nothing to clean, or no memory to clean with. A page that someone is at work
// on is left where it is.
bool ZstdAllocator::clean_segment(bool eager) {
  const Epoch::Guard guard(epoch_);
  Cursor cursor(table_);
  return pages_.store().clean(eager, [&](const StoredObject* object) {
    return object->group() ? move_group(*object, cursor) : move_object(*object, cursor);
  });
}

// At most so many segments; each with a pin of its own, so that they come back one by one.
void ZstdAllocator::clean(int segments) {
  while (segments-- > 0 && clean_segment(false)) {
  }
}

bool ZstdAllocator::move_object(const StoredObject& object, Cursor& cursor) {
  const PageWord word(cursor.peek(object.page()));
  if (!word.compressed() || word.stored() != &object) return true;
  Slot slot = cursor.try_lock(object.page(), word.bits());
  if (!slot) return true;
  const StoredObject* copy = pages_.store().add_moved(object);
  if (copy) swap(slot, pages_.word_for_copy(copy, word));
  return copy != nullptr;
}

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

// ---- groups

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

// Looks for cold pages and compresses some of them again, four at a time and harder. It rests as
// long as it works, and longer when it had to wait for a CPU: others need it more.
Workers::Rest ZstdAllocator::regroup_some() {
  Maintenance& m = maintenance_;
  const PageTable::Settled found = find_settled();
  if (found.first != PageTable::no_page && begin_regrouping()) {
    const auto begin = Clock::now();
    const double cpu_begin = thread_seconds();
    for (uint64_t i = 0; i < PageTable::kDirectoryPages; i += kGroup) regroup(found.first + i);
    m.tidy = false;
    const std::chrono::duration<double> taken = Clock::now() - begin;
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
  const PageTable::Settled found = table_.next_settled(m.next_page, m.time, kDirectories);
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
  m.compressor = std::move(compressor);
  return true;
}

void ZstdAllocator::end_regrouping() {
  Maintenance& m = maintenance_;
  if (!m.compressor) return;
  pages_.dictionaries().leave(m.generation);
  m.compressor.reset();
}

// Makes one of four pages, if that saves something. What stays by itself gets the new dictionary,
// or the old one would have to be kept for it.
void ZstdAllocator::regroup(uint64_t first) {
  const Epoch::Guard guard(epoch_);
  Cursor cursor(table_);
  Reader reader(pages_);
  if (make_group(first, reader, cursor)) return;
  for (uint64_t number = first; number < first + kGroup; ++number) {
    const PageWord word(cursor.peek(number));
    if (word.kind() == PageKind::object && word.generation() != maintenance_.generation) {
      unpack_page(number, word, reader, cursor, false);
    }
  }
}

bool ZstdAllocator::make_group(uint64_t first, Reader& reader, Cursor& cursor) {
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
      return false;
    }
    const Page page(pages.data() + i * kPageBytes, kPageBytes);
    if (!reader.load(words[i], page).ok()) return false;
  }
  // The first byte notes which pages are read.
  std::array<std::byte, StoredObject::kMaxGroupBytes> frame;
  frame[0] = std::byte{0};
  const size_t worth = std::min(before - before / 32, frame.size());
  const size_t length =
      maintenance_.compressor->compress(std::span(frame).subspan(1, worth - 1), pages, nullptr);
  if (length == 0) return false;
  const PageWord group =
      pages_.store_group(first, std::span(frame).first(length + 1), maintenance_.generation);
  if (group == PageWord()) return false;
  Slots slots = lock_group(first, words, cursor);
  // A plain page may have been overwritten in place, under the same word.
  bool all = all_locked(slots);
  for (unsigned i = 0; i < kGroup && all; ++i) {
    all = words[i].kind() != PageKind::plain ||
          std::memcmp(&pages[i * kPageBytes], words[i].page(), kPageBytes) == 0;
  }
  for (unsigned i = 0; i < kGroup; ++i) {
    if (all) {
      swap(slots[i], group.member(i));
    } else {
      pages_.drop(group.member(i));
    }
  }
  return all;
}

// ---- dictionaries

// The first dictionary is wanted soon, so it is one that takes little time to make; a better one
// can wait for a moment when there is time.
bool ZstdAllocator::train_if_due() {
  constexpr uint32_t kPatience = 30;  // ticks
  Maintenance& m = maintenance_;
  if (recent_.added() < m.next_training && !m.data_changed) return false;
  const bool first = m.next_training == kFirstTraining;
  if (!first && !m.idle && m.time - m.last_training < kPatience) return false;
  m.last_training = m.time;
  m.next_training = first ? kSecondTraining : recent_.added() * pace_.training_growth;
  m.data_changed = false;
  m.usual_bytes = 0;
  train(first);
  return true;
}

// Takes the new dictionary if it gains something on pages that it was not made from.
void ZstdAllocator::train(bool quickly) {
  constexpr size_t kLeastPages = 256;
  constexpr size_t kValidateOneIn = 8;
  std::vector<std::byte> samples;
  std::vector<std::byte> validation;
  const size_t count = recent_.size();
  samples.reserve(count * kPageBytes);
  for (size_t i = 0; i < count; ++i) {
    const Epoch::Guard guard(epoch_);
    const PageWord word(Cursor(table_).peek(recent_[i]));
    if (!word.compressed()) continue;
    Buffer page;
    Reader reader(pages_);
    if (!reader.load(word, page).ok()) continue;
    auto& pages = i % kValidateOneIn == 0 ? validation : samples;
    pages.insert(pages.end(), page.begin(), page.end());
  }
  if (samples.size() < kLeastPages * kPageBytes) return;
  std::unique_ptr<Dictionary> dictionary = quickly ? Dictionary::collect(samples, options_.level)
                                                   : Dictionary::train(samples, options_.level);
  if (!dictionary) return;
  const unsigned generation = pages_.dictionaries().join();
  size_t with = 0;
  size_t without = 0;
  for (size_t at = 0; at < validation.size(); at += kPageBytes) {
    const Data page(validation.data() + at, kPageBytes);
    with += pages_.packed_bytes(page, dictionary.get());
    without += pages_.packed_bytes(page, pages_.dictionaries().get(generation));
  }
  pages_.dictionaries().leave(generation);
  constexpr size_t kLeastGain = 200;  // one in so many bytes
  if (with + without / kLeastGain < without) {
    pages_.dictionaries().install(std::move(dictionary));
  }
}

}  // namespace ramdisk
