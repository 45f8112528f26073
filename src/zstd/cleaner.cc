#include "zstd/cleaner.h"

#include <algorithm>
#include <bit>
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

// A group that has lost pages is made anew from the remaining ones if that takes less memory;
// otherwise it moves as it is.
Cleaner::Moved Cleaner::move_group(const StoredObject& group, PageTable::Cursor& cursor,
                                   const Epoch::Guard& guard) {
  const Members members = members_of(group, cursor);
  if (members.count == 0) return Moved::left;
  const GroupHead& head = head_of_group(group);
  if (members.count < head.whole) {
    const Shrunk shrunk = shrink(group, members, cursor, guard);
    if (shrunk == Shrunk::done) return Moved::yes;
    if (shrunk == Shrunk::no_memory) return Moved::no_memory;
  }
  const size_t share = (group.footprint() + members.count - 1) / members.count;
  return copy_group(group, members, std::max(head.single_bytes(), share), cursor, guard);
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
// frees.
Cleaner::Shrunk Cleaner::shrink(const StoredObject& group, const Members& members,
                                PageTable::Cursor& cursor, const Epoch::Guard& guard) {
  Remainder remainder(state_.pages);
  if (!remainder.compress(group, members, guard)) return Shrunk::kept;
  const PageEntry fresh = remainder.store(guard);
  if (fresh == PageEntry()) return Shrunk::no_memory;
  for (unsigned i = 0; i < kGroup; ++i) {
    if (members.entries[i] == PageEntry()) continue;
    const PageEntry entry = fresh.kind() == PageKind::group ? fresh.member(i) : fresh;
    if (PageTable::Slot slot = cursor.try_lock(group.page() + i, members.entries[i].bits())) {
      state_.replace(slot, entry, guard);
    } else {
      state_.pages.drop(entry, guard);
    }
  }
  return Shrunk::done;
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

// ---- what is left of a group

Cleaner::Remainder::~Remainder() {
  if (!packed_.bytes.empty() && !packed_.plain()) pages_.dictionaries().unref(packed_.generation);
}

bool Cleaner::Remainder::compress(const StoredObject& group, const Members& members,
                                  const Epoch::Guard& guard) {
  const size_t most = group.footprint() - 8;
  {
    PageStore::Reader reader(pages_, guard);
    for (unsigned i = 0; i < kGroup; ++i) {
      if (members.entries[i] == PageEntry()) continue;
      if (!reader.load(members.entries[i], contents_.add(i)).ok()) return false;
    }
  }
  if (members.count == 1) {
    packed_ = pages_.compress(contents_.all().first<kPageBytes>(), buffer_);
    group_.first = group.page() + static_cast<unsigned>(std::countr_zero(contents_.pages()));
    return PageStore::footprint(packed_) <= most;
  }
  const size_t longest = most - StoredObject::footprint(sizeof(GroupHead));
  const auto frame = std::span(frame_).first(std::min(longest, frame_.size()));
  group_ = pages_.compress_group(group.page(), contents_.pages(), contents_.all(), frame);
  const size_t share =
      (StoredObject::footprint(sizeof(GroupHead) + group_.frame.size()) + members.count - 1) /
      members.count;
  group_.single_bytes = std::max(head_of_group(group).single_bytes(), share);
  return !group_.frame.empty();
}

PageEntry Cleaner::Remainder::store(const Epoch::Guard& guard) {
  return packed_.bytes.empty()
             ? pages_.store_group(group_, Claim::reclaim, guard)
             : pages_.store(group_.first, std::exchange(packed_, {}), Claim::reclaim, guard);
}

}  // namespace ramdisk
