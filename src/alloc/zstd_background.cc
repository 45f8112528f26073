// What a compressing disk does beside requests, and when: compresses what waits, cleans segments,
// keeps no more memory than it needs. Groups and dictionaries are in files of their own.

#include <algorithm>
#include <new>

#include "alloc/zstd_allocator.h"
#include "core/shared_bytes.h"

namespace ramdisk {

namespace {

using Clock = std::chrono::steady_clock;

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
  if (worker == 0) {
    if (tick_if_due() || train_if_due()) return Workers::Rest::zero();
  }
  if (give_back_trimmed()) return Workers::Rest::zero();
  if (compress_queued(Claim::data)) return Workers::Rest::zero();
  const Effort effort = memory_.pressed() ? Effort::tight : Effort::usual;
  if (clean_segment(effort) == Cleaning::done) return Workers::Rest::zero();
  second_chances_.store(0, std::memory_order_relaxed);
  return worker == 0 ? maintain() : Workers::kUntilWoken;
}

// Quiet is said first and the reasons against it are looked at after that: see note_work().
Workers::Rest ZstdAllocator::maintain() {
  Maintenance& m = maintenance_;
  if (!m.walked) return regroup_some();
  if (m.renew_page != PageTable::no_page) return Workers::Rest(renew_some() ? 0 : 1);
  if (m.idle && queue_.empty() && !m.tidy) return tidy_up();
  if (queue_.empty() && m.tidy && !m.something_warm && !trimmed_) {
    if (quiet_.exchange(true)) return Workers::kUntilWoken;
    m.something_warm = true;  // one more walk, for what came meanwhile
  }
  const auto rest = m.last_tick + pace_.tick - Clock::now();
  return std::max(Workers::Rest(1), std::chrono::duration_cast<Workers::Rest>(rest));
}

// When there is nothing to wait for, no gaps and no free memory are kept for what may come.
Workers::Rest ZstdAllocator::tidy_up() {
  if (clean_segment(Effort::all) == Cleaning::done) return Workers::Rest::zero();
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
  advance_time();
  queue_.tick();
  limit_queue();
  const PackedPages::Totals totals = pages_.totals();
  const uint64_t stored = table_.stored_pages();
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
  watch_data(totals);
}

// A page is cold when nothing in its directory has been read or written for so many ticks: the time
// that the page table notes is ahead of ours by that.
void ZstdAllocator::advance_time() {
  table_.set_time(pace_.cold_ticks + ++maintenance_.time);
}

// ---- the queue

// A fixed part of what is stored unless the user has said something else.
void ZstdAllocator::limit_queue() {
  constexpr uint64_t kLeast = 2 << 20;
  constexpr uint64_t kPart = 128;
  const uint64_t stored = table_.stored_pages() * kPageBytes;
  const uint64_t bytes =
      memory_.pressed() ? 0 : options_.cache.value_or(std::max(kLeast, stored / kPart));
  queue_.set_limit(bytes / kPageBytes);
  pages_.expect_plain(bytes);
}

// Compresses the page that has waited longest, if it is time. False if there is nothing to do, or
// all that wait are being rewritten.
bool ZstdAllocator::compress_queued(Claim claim) {
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
    end_claim(*number, claimed, false, cursor);
    return true;
  }
  note_compressed(*number);
  const PageWord stored = pages_.store(*number, packed, claim);
  if (stored == PageWord()) {
    end_claim(*number, claimed, true, cursor);
    return false;
  }
  if (Slot slot = cursor.try_lock(*number, claimed.bits())) {
    swap(slot, stored);
    queue_.leave();
    return true;
  }
  pages_.drop(stored);
  end_claim(*number, claimed, false, cursor);
  return true;
}

// Takes back the mark on a page that stays as it is: for good, if it does not compress, or until
// `later`, if there is no memory for the result or it was written meanwhile.
void ZstdAllocator::end_claim(uint64_t number, PageWord claimed, bool later, Cursor& cursor) {
  Slot slot = cursor.lock_existing(number);
  PageWord now(slot ? slot.payload() : 0);
  if (now.as_untouched() != claimed) {  // it has been trimmed
    queue_.leave();
  } else if (later || now.touched()) {
    slot.unlock(now.as_untouched().as_unclaimed().bits());
    queue_.push(number);
  } else {
    slot.unlock(now.as_plain().bits());
    queue_.leave();
  }
}

// ---- cleaning

// A page that someone is at work on is left where it is.
ZstdAllocator::Cleaning ZstdAllocator::clean_segment(Effort effort) {
  if (!pages_.store().worth_cleaning(effort)) return Cleaning::nothing;
  const Epoch::Guard guard(epoch_);
  Cursor cursor(table_);
  return pages_.store().clean(effort, [&](const StoredObject* object) {
    return object->group() ? move_group(*object, cursor) : move_object(*object, cursor);
  });
}

// At most so many segments; each with a pin of its own, so that they come back one by one.
void ZstdAllocator::clean(int segments) {
  while (segments-- > 0 && clean_segment(Effort::usual) == Cleaning::done) {
  }
}

ZstdAllocator::Moved ZstdAllocator::move_object(const StoredObject& object, Cursor& cursor) {
  const PageWord word(cursor.peek(object.page()));
  if (!word.compressed() || word.stored() != &object) return Moved::left;
  Slot slot = cursor.try_lock(object.page(), word.bits());
  if (!slot) return Moved::left;
  const StoredObject* copy = pages_.store().add_copy(object);
  if (!copy) return Moved::no_memory;
  swap(slot, pages_.word_for_copy(copy, word));
  return Moved::yes;
}

}  // namespace ramdisk
