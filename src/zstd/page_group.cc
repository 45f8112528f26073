#include "zstd/page_group.h"

#include <algorithm>
#include <utility>

namespace ramdisk {

using Moved = SegmentStore::Moved;

GroupSlots try_lock_group(uint64_t first, const GroupEntries& entries, PageTable::Cursor& cursor) {
  const auto lock = [&](unsigned i) {
    return entries[i] == PageEntry() ? PageTable::Slot()
                                     : cursor.try_lock(first + i, entries[i].bits());
  };
  // A slot can be neither copied nor moved, so the array is made in one step.
  const auto lock_all = [&]<unsigned... i>(std::integer_sequence<unsigned, i...>) {
    return GroupSlots{lock(i)...};
  };
  return lock_all(std::make_integer_sequence<unsigned, StoredObject::kGroupPages>());
}

unsigned whole_group(const GroupEntries& entries, unsigned from) {
  const PageEntry first = entries[from];
  if (first.kind() != PageKind::group || first.index() != from) return 0;
  const GroupHead& head = PageStore::head_of(first);
  const unsigned count = head.count();
  if (head.pages != static_cast<uint8_t>(((1u << count) - 1) << from)) return 0;
  for (unsigned i = from; i < from + count; ++i) {
    if (entries[i].kind() != PageKind::group || entries[i].stored() != first.stored()) return 0;
  }
  return count;
}

unsigned count_locked(const GroupSlots& slots) {
  return static_cast<unsigned>(
      std::count_if(slots.begin(), slots.end(), [](const auto& slot) { return bool(slot); }));
}

Moved store_by_itself(DiskState& state, uint64_t number, PageEntry entry, PageStore::Reader& reader,
                      PageTable::Cursor& cursor, Claim claim, const Epoch::Guard& guard) {
  PageStore::Buffer page;
  if (!reader.load(entry, page).ok()) return Moved::left;
  PageStore::Buffer buffer;
  const PageEntry fresh =
      state.pages.store(number, state.pages.compress(page, buffer), claim, guard);
  if (fresh == PageEntry()) return Moved::no_memory;
  if (PageTable::Slot slot = cursor.try_lock(number, entry.bits())) {
    state.replace(slot, fresh, guard);
    return Moved::yes;
  }
  state.pages.drop(fresh, guard);
  return Moved::left;
}

void take_out_of_group(DiskState& state, uint64_t number, PageStore::Reader& reader,
                       const Epoch::Guard& guard) {
  state.background.note_change();
  PageTable::Cursor cursor(state.table, guard);
  const PageEntry entry(cursor.peek(number));
  if (entry.kind() != PageKind::group) return;
  store_by_itself(state, number, entry, reader, cursor, Claim::optional, guard);
}

}  // namespace ramdisk
