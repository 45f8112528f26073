#include "zstd/compactor.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <span>
#include <utility>

#include "base/patience.h"
#include "base/shared_bytes.h"
#include "base/yield.h"

namespace ramdisk {

Compactor::Outcome Compactor::compact_some(Claim claim) {
  const std::optional<uint64_t> oldest = state_.write_cache.pop();
  if (!oldest) return Outcome::nothing;
  WriteCache::Neighbours neighbours;
  const size_t others = state_.write_cache.pop_neighbours(*oldest, neighbours);
  const Epoch::Guard guard(state_.epoch);
  PageTable::Cursor cursor(state_.table, guard);
  Batch batch;
  unsigned put_back_now = claim_page(*oldest, batch, cursor) == Claimed::put_back;
  for (const uint64_t number : std::span(neighbours).first(others)) {
    put_back_now += claim_page(number, batch, cursor) == Claimed::put_back;
  }
  if (batch.count == 0) return put_back_now <= others ? Outcome::done : put_back(put_back_now);
  put_back_.store(0, std::memory_order_relaxed);
  return compact(batch, claim, cursor, guard);
}

// Whether there may be others than those that are being rewritten.
Compactor::Outcome Compactor::put_back(unsigned count) {
  const bool others =
      put_back_.fetch_add(count, std::memory_order_relaxed) < state_.write_cache.size();
  return others ? Outcome::done : Outcome::nothing;
}

// Adds a page that was taken out of the write cache to the batch, and marks it as being compressed.
// put_back: it was written since it was cached, or is being written now. gone: it was trimmed, or
// is in the write cache twice. (If it is in the batch already, it has been replaced since it was
// claimed, and what was claimed then is dead.)
Compactor::Claimed Compactor::claim_page(uint64_t number, Batch& batch, PageTable::Cursor& cursor) {
  const PageEntry now(cursor.peek(number));
  if (now.kind() != PageKind::plain || !now.cached() || now.claimed()) {
    state_.write_cache.release();
    return Claimed::gone;
  }
  PageTable::Slot slot = cursor.try_lock(number, now.bits());
  if (!slot || now.touched()) {
    if (slot) slot.unlock(now.as_untouched().bits());
    state_.write_cache.push(number);
    return Claimed::put_back;
  }
  slot.unlock(now.as_claimed().bits());
  const uint64_t index = number % StoredObject::kGroupPages;
  batch.first = number - index;
  if (std::exchange(batch.entries[index], now.as_claimed()) == PageEntry()) {
    ++batch.count;
  } else {
    state_.write_cache.release();
  }
  RAMDISK_YIELD("Compactor::claim_page, claimed");
  return Claimed::yes;
}

// Compresses without holding the pages' locks, so that writes to them need not wait; what was
// written meanwhile stays in the write cache.
Compactor::Outcome Compactor::compact(const Batch& batch, Claim claim, PageTable::Cursor& cursor,
                                      const Epoch::Guard& guard) {
  if (batch.count > 1 && state_.may_group() && compact_together(batch, claim, cursor, guard)) {
    return Outcome::done;
  }
  Outcome outcome = Outcome::done;
  for (unsigned i = 0; i < batch.entries.size(); ++i) {
    if (batch.entries[i] == PageEntry()) continue;
    if (compact_single(batch.first + i, batch.entries[i], claim, cursor, guard) ==
        Outcome::no_memory) {
      outcome = Outcome::no_memory;
    }
  }
  return outcome;
}

// Returns false, and changes nothing, if that gains nothing or there is no memory.
bool Compactor::compact_together(const Batch& batch, Claim claim, PageTable::Cursor& cursor,
                                 const Epoch::Guard& guard) {
  GroupContents contents;
  for (unsigned i = 0; i < batch.entries.size(); ++i) {
    if (batch.entries[i] == PageEntry()) continue;
    copy_from_shared(contents.add(i).data(), batch.entries[i].page(), kPageBytes);
  }
  PageStore::GroupBuffer frame;
  const PageStore::Group group =
      state_.pages.compress_group(batch.first, contents.pages(), contents.all(),
                                  std::span(frame).first(PageStore::worthy_frame(contents.size())));
  if (group.frame.empty()) return false;
  state_.note_compressed(batch.first + static_cast<unsigned>(std::countr_zero(group.pages)));
  const PageEntry stored = state_.pages.store_group(group, claim, guard);
  if (stored == PageEntry()) return false;
  for (unsigned i = 0; i < batch.entries.size(); ++i) {
    if (batch.entries[i] == PageEntry()) continue;
    publish(batch.first + i, batch.entries[i], stored.member(i), cursor, guard);
  }
  return true;
}

Compactor::Outcome Compactor::compact_single(uint64_t number, PageEntry claimed, Claim claim,
                                             PageTable::Cursor& cursor, const Epoch::Guard& guard) {
  PageStore::Buffer copy;
  copy_from_shared(copy.data(), claimed.page(), kPageBytes);
  PageStore::Buffer buffer;
  const PageStore::Packed packed = state_.pages.compress(copy, buffer);
  if (packed.plain()) {
    end_claim(number, claimed, Keep::for_good, cursor);
    return Outcome::done;
  }
  state_.note_compressed(number);
  const PageEntry stored = state_.pages.store(number, packed, claim, guard);
  if (stored == PageEntry()) {
    end_claim(number, claimed, Keep::until_later, cursor);
    return Outcome::no_memory;
  }
  publish(number, claimed, stored, cursor, guard);
  return Outcome::done;
}

// Gives the page its new entry, unless it was written meanwhile.
void Compactor::publish(uint64_t number, PageEntry claimed, PageEntry stored,
                        PageTable::Cursor& cursor, const Epoch::Guard& guard) {
  if (PageTable::Slot slot = cursor.try_lock(number, claimed.bits())) {
    state_.replace(slot, stored, guard);
    state_.write_cache.release();
    return;
  }
  state_.pages.drop(stored, guard);
  end_claim(number, claimed, Keep::until_later, cursor);
}

// Removes the mark from a page that stays uncompressed: permanently if it does not compress, for
// now if the result could not be kept. A page that was written meanwhile stays in the write cache
// in either case.
void Compactor::end_claim(uint64_t number, PageEntry claimed, Keep keep,
                          PageTable::Cursor& cursor) {
  PageTable::Slot slot = cursor.lock_existing(number);
  const PageEntry now(slot ? slot.payload() : 0);
  if (now.as_untouched() != claimed) {  // it has been trimmed
    state_.write_cache.release();
  } else if (keep == Keep::until_later || now.touched()) {
    slot.unlock(now.as_untouched().as_unclaimed().bits());
    state_.write_cache.push(number);
  } else {
    slot.unlock(now.as_plain().bits());
    state_.write_cache.release();
  }
}

bool Compactor::drain() {
  constexpr int kTimes = 64;
  if (state_.write_cache.empty()) return false;
  state_.write_cache.set_limit(0);
  if (state_.write_cache.hurry()) state_.background.wake();
  int done = 0;
  while (done < kTimes && compact_some(Claim::rewrite) == Outcome::done) ++done;
  // Other threads may still be compressing the last pages.
  if (done == 0 && !state_.write_cache.empty()) Patience::nap();
  return done > 0 || !state_.write_cache.empty();
}

void Compactor::set_limit() {
  constexpr uint64_t kLeast = 2 << 20;
  constexpr uint64_t kPart = 128;
  const uint64_t stored = state_.table.stored_pages() * kPageBytes;
  const uint64_t wanted = state_.options.cache.value_or(std::max(kLeast, stored / kPart));
  const uint64_t bytes = state_.memory.under_pressure() ? 0 : wanted;
  state_.write_cache.set_limit(bytes / kPageBytes);
  state_.pages.expect_plain(bytes);
}

}  // namespace ramdisk
