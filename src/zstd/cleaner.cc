#include "zstd/cleaner.h"

#include <utility>

namespace ramdisk {

Cleaner::Cleaning Cleaner::clean(Effort effort) {
  if (!state_.pages.segments().worth_cleaning(effort)) return Cleaning::nothing;
  const Epoch::Guard guard(state_.epoch);
  PageTable::Cursor cursor(state_.table, guard);
  return state_.pages.segments().clean(effort, guard, [&](const StoredObject* object) {
    return object->group() ? move_group(*object, cursor, guard)
                           : move_object(*object, cursor, guard);
  });
}

Cleaner::Moved Cleaner::move_object(const StoredObject& object, PageTable::Cursor& cursor,
                                    const Epoch::Guard& guard) {
  const PageEntry entry(cursor.peek(object.page()));
  if (!entry.in_segment() || entry.stored() != &object) return Moved::left;
  PageTable::Slot slot = cursor.try_lock(object.page(), entry.bits());
  if (!slot) return Moved::left;
  const StoredObject* copy = state_.pages.segments().add_copy(object, guard);
  if (!copy) return Moved::no_memory;
  state_.replace(slot, state_.pages.entry_for_copy(copy, entry), guard);
  return Moved::yes;
}

// ---- groups

// A group that has lost pages is divided if the remaining pages take less memory one by one;
// otherwise it moves as a whole.
Cleaner::Moved Cleaner::move_group(const StoredObject& group, PageTable::Cursor& cursor,
                                   const Epoch::Guard& guard) {
  const Members members = members_of(group, cursor);
  if (members.count == 0) return Moved::left;
  size_t single_bytes = PageStore::footprint(PageEntry::compressed(&group, 0));
  if (members.count < kGroup && members.count * single_bytes < group.footprint()) {
    const Divided divided = divide(group, members, cursor, guard);
    if (divided.division == Division::done) return Moved::yes;
    if (divided.division == Division::no_memory) return Moved::no_memory;
    single_bytes = divided.single_bytes;
  }
  return copy_group(group, members, single_bytes, cursor, guard);
}

Cleaner::Members Cleaner::members_of(const StoredObject& group, PageTable::Cursor& cursor) {
  Members members;
  for (unsigned i = 0; i < kGroup; ++i) {
    const PageEntry entry(cursor.peek(group.page() + i));
    if (!entry.in_segment() || entry.stored() != &group) continue;
    members.entries[i] = entry;
    ++members.count;
  }
  return members;
}

// The sizes expected of the pages may be wrong, and the cleaner must not need more memory than it
// frees. So all of them are compressed before the first is stored.
Cleaner::Divided Cleaner::divide(const StoredObject& group, const Members& members,
                                 PageTable::Cursor& cursor, const Epoch::Guard& guard) {
  Singles singles(state_.pages);
  if (!singles.compress(members, guard)) return {Division::kept, group.footprint()};
  if (singles.bytes() >= group.footprint()) {
    return {Division::kept, (singles.bytes() + members.count - 1) / members.count};
  }
  for (unsigned i = 0; i < kGroup; ++i) {
    if (members.entries[i] == PageEntry()) continue;
    const uint64_t number = group.page() + i;
    const PageEntry fresh = singles.store(number, i, guard);
    if (fresh == PageEntry()) return {Division::no_memory, 0};
    if (PageTable::Slot slot = cursor.try_lock(number, members.entries[i].bits())) {
      state_.replace(slot, fresh, guard);
    } else {
      state_.pages.drop(fresh, guard);
    }
  }
  return {Division::done, 0};
}

Cleaner::Moved Cleaner::copy_group(const StoredObject& group, const Members& members,
                                   size_t single_bytes, PageTable::Cursor& cursor,
                                   const Epoch::Guard& guard) {
  GroupSlots slots = try_lock_group(group.page(), members.entries, cursor);
  if (count_locked(slots) != members.count) return Moved::left;
  const StoredObject* copy =
      state_.pages.segments().add_copy(group, members.count, single_bytes, guard);
  if (!copy) return Moved::no_memory;
  for (unsigned i = 0; i < kGroup; ++i) {
    if (slots[i]) {
      state_.replace(slots[i], state_.pages.entry_for_copy(copy, members.entries[i]), guard);
    }
  }
  return Moved::yes;
}

// ---- the pages of a group being divided

Cleaner::Singles::~Singles() {
  for (const PageStore::Packed& page : packed_) {
    if (!page.bytes.empty() && !page.plain()) pages_.dictionaries().unref(page.generation);
  }
}

bool Cleaner::Singles::compress(const Members& members, const Epoch::Guard& guard) {
  PageStore::Reader reader(pages_, guard);
  for (unsigned i = 0; i < kGroup; ++i) {
    if (members.entries[i] == PageEntry()) continue;
    if (!reader.load(members.entries[i], contents_[i]).ok()) return false;
    packed_[i] = pages_.compress(contents_[i], buffers_[i]);
    bytes_ += PageStore::footprint(packed_[i]);
  }
  return true;
}

PageEntry Cleaner::Singles::store(uint64_t number, unsigned index, const Epoch::Guard& guard) {
  return pages_.store(number, std::exchange(packed_[index], {}), Claim::reclaim, guard);
}

}  // namespace ramdisk
