#include "zstd/compactor.h"

#include <algorithm>
#include <optional>

#include "base/patience.h"
#include "base/shared_bytes.h"

namespace ramdisk {

Compactor::Outcome Compactor::compact_one(Claim claim) {
  const std::optional<uint64_t> number = state_.write_cache.pop();
  if (!number) return Outcome::nothing;
  const Epoch::Guard guard(state_.epoch);
  PageTable::Cursor cursor(state_.table, guard);
  const auto [claimed, entry] = claim_page(*number, cursor);
  switch (claimed) {
    case Claimed::gone:
      state_.write_cache.release();
      return Outcome::done;
    case Claimed::put_back: {
      state_.write_cache.push(*number);
      const bool others =
          put_back_.fetch_add(1, std::memory_order_relaxed) < state_.write_cache.size();
      return others ? Outcome::done : Outcome::nothing;
    }
    case Claimed::yes:
      break;
  }
  put_back_.store(0, std::memory_order_relaxed);
  return compact(*number, entry, claim, cursor, guard);
}

// Marks a page from the write cache as being compressed. put_back: it was written since it was
// cached, or is being written now. gone: it was trimmed, or is in the write cache twice.
Compactor::ClaimResult Compactor::claim_page(uint64_t number, PageTable::Cursor& cursor) {
  const PageEntry now(cursor.peek(number));
  if (now.kind() != PageKind::plain || !now.cached() || now.claimed()) return {Claimed::gone, {}};
  PageTable::Slot slot = cursor.try_lock(number, now.bits());
  if (!slot) return {Claimed::put_back, {}};
  if (now.touched()) {
    slot.unlock(now.as_untouched().bits());
    return {Claimed::put_back, {}};
  }
  slot.unlock(now.as_claimed().bits());
  return {Claimed::yes, now.as_claimed()};
}

// Compresses without holding the page's lock, so that writes to the page need not wait; if one came
// meanwhile, the result is discarded.
Compactor::Outcome Compactor::compact(uint64_t number, PageEntry claimed, Claim claim,
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
  if (PageTable::Slot slot = cursor.try_lock(number, claimed.bits())) {
    state_.replace(slot, stored, guard);
    state_.write_cache.release();
    return Outcome::done;
  }
  state_.pages.drop(stored, guard);
  end_claim(number, claimed, Keep::until_later, cursor);
  return Outcome::done;
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
  constexpr int kPages = 64;
  if (state_.write_cache.empty()) return false;
  state_.write_cache.set_limit(0);
  if (state_.write_cache.hurry()) state_.background.wake();
  int done = 0;
  while (done < kPages && compact_one(Claim::rewrite) == Outcome::done) ++done;
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
