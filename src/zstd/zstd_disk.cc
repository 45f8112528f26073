#include "zstd/zstd_disk.h"

#include <algorithm>
#include <climits>
#include <cstring>

#include "base/shared_bytes.h"
#include "disk/least_memory.h"
#include "disk/zero_run.h"
#include "memory/budget.h"
#include "memory/memory_lock.h"
#include "zstd/page_group.h"
#include "zstd/recompressor.h"

namespace ramdisk {

// ---- life cycle

// Charges all memory that compression needs in addition to the data before the first write, so that
// a limit that leaves too little is refused now rather than by every later write.
Status ZstdDisk::get_ready() {
  constexpr uint64_t kTables = 512 << 10;  // and the first slabs
  constexpr uint64_t kData = 1 << 20;
  state_.memory.keep_for_reclaim(SegmentStore::kReclaimBytes);
  uint64_t fixed = state_.pages.prepare();
  if (fixed == 0) return Status::no_memory();
  if (state_.options.recompress) {
    const size_t compressor = Recompressor::compressor_bytes(state_.options);
    if (compressor == 0) return Status::no_memory();
    fixed += compressor;
  }
  const uint64_t other = fixed + SegmentStore::kReclaimBytes + kTables + kData;
  const uint64_t least = Budget::least_limit(other);
  if (Status status = check_limit(state_.memory, "zstd", least); !status.ok()) return status;
  return state_.count_fixed(fixed) ? Status() : too_little_left(state_.memory, "zstd", other);
}

// Without threads nothing empties the write cache, so it keeps its limit of zero. A process that
// has locked all its memory (nbdkit --swap) may be what the system swaps to, so it must not need
// memory for threads and their stacks.
Status ZstdDisk::after_fork() {
  if (process_memory_is_locked()) return {};
  if (state_.background.start([this](size_t worker) { return loop_.work(worker); })) {
    compactor_.set_limit();
  }
  return {};
}

// ---- reading

// Reads in pieces, so that a long request neither keeps a decompressor nor holds up the epoch.
Status ZstdDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  while (!buffer.empty()) {
    const size_t length = std::min<size_t>(buffer.size(), kPiece - offset % kPiece);
    if (Status status = read_piece(buffer.first(length), offset); !status.ok()) return status;
    buffer = buffer.subspan(length);
    offset += length;
  }
  return {};
}

// Finds out what there is first: if the piece covers all of a group, the group is decompressed
// where the client wants it.
Status ZstdDisk::read_piece(std::span<std::byte> buffer, uint64_t offset) {
  const Epoch::Guard guard(state_.epoch);
  GroupEntries entries{};
  state_.table.scan(offset >> kPageShift, end_page(offset, buffer.size()), guard,
                    [&](uint64_t number, uint64_t payload) {
                      entries[number % entries.size()] = PageEntry(payload);
                      return true;
                    });
  Reader reader(state_.pages, guard);
  for (size_t position = 0; position < buffer.size();) {
    const PagePart part = part_at(offset, buffer.size(), position);
    const auto from = static_cast<unsigned>(part.page % entries.size());
    const size_t group = part.whole() ? whole_group(entries, from) * kPageBytes : 0;
    std::byte* to = buffer.data() + position;
    const bool covered = group > 0 && group <= buffer.size() - position;
    Status status = covered ? reader.load_group(entries[from], {to, group})
                            : read_part(part, entries[from], reader, to);
    if (!status.ok()) return status;
    position += covered ? group : part.length;
  }
  if (reader.hot_page()) take_out_of_group(state_, *reader.hot_page(), reader, guard);
  return {};
}

Status ZstdDisk::read_part(const PagePart& part, PageEntry entry, Reader& reader, std::byte* to) {
  if (entry.kind() == PageKind::hole) {
    std::memset(to, 0, part.length);
  } else if (entry.kind() == PageKind::plain) {
    copy_from_shared(to, entry.page() + part.offset, part.length);
  } else if (part.whole()) {
    return reader.load_for_client(entry, Page(to, kPageBytes));
  } else {
    Buffer whole;
    if (Status status = reader.load_for_client(entry, whole); !status.ok()) return status;
    std::memcpy(to, whole.data() + part.offset, part.length);
  }
  return {};
}

// ---- writing

Status ZstdDisk::write(std::span<const std::byte> data, uint64_t offset) {
  Patience patience;
  Status status = write_pages(data, offset, patience);
  state_.background.note_change();
  return status;
}

Status ZstdDisk::write_pages(std::span<const std::byte> data, uint64_t offset, Patience& patience) {
  for (size_t position = 0; position < data.size();) {
    if (const size_t zeroes = zero_run(data, offset, position)) {
      if (Status status = zero(zeroes, offset + position); !status.ok()) return status;
      position += zeroes;
      continue;
    }
    const PagePart part = part_at(offset, data.size(), position);
    const std::span<const std::byte> rest = data.subspan(position);
    const Plan plan = part.whole() ? plan_for(part.page, rest) : Plan{Way::by_itself, 1};
    const size_t length = part.whole() ? plan.pages * kPageBytes : part.length;
    const auto request = [&] {
      if (plan.way == Way::as_it_is) return write_incompressible(part.page, rest.first(length));
      if (plan.way == Way::together) return write_group(part.page, rest.first(length));
      return part.whole() ? write_whole(part.page, rest.first<kPageBytes>())
                          : write_part(part, rest.data());
    };
    if (Status status = relief_.with_memory(patience, request); !status.ok()) {
      const Epoch::Guard guard(state_.epoch);
      state_.table.prune(part.page, guard);
      return status;
    }
    // Noise may replace as many compressed pages, which leave gaps.
    cleaner_.keep_clean(plan.way == Way::as_it_is ? static_cast<int>(plan.pages) : 1);
    position += length;
  }
  return {};
}

// Decides how the pages at the beginning of `data`, which begins with page `number`, are written:
// no more than are in one directory and allocated together; one where memory may become short.
ZstdDisk::Plan ZstdDisk::plan_for(uint64_t number, std::span<const std::byte> data) {
  const auto page = [&](size_t i) { return data.subspan(i * kPageBytes).first<kPageBytes>(); };
  constexpr size_t kDirectory = PageTable::kDirectoryPages;
  const size_t most = state_.may_group() ? AllocationBatch::kMost : 1;
  const size_t pages = std::min(
      {data.size() / kPageBytes, most, kDirectory - static_cast<size_t>(number % kDirectory)});
  size_t count = 0;
  while (count < pages && state_.pages.looks_incompressible(page(count))) ++count;
  if (count > 0) {
    const size_t kept = state_.pages.keep_untried(count);
    return kept > 0 ? Plan{Way::as_it_is, kept} : Plan{Way::by_itself, 1};
  }
  constexpr size_t kRun = StoredObject::kGroupPages;
  const size_t run = std::min<size_t>(pages, kRun - number % kRun);
  while (count < run && !PageStore::pattern_of(page(count)) &&
         (count == 0 || !state_.pages.looks_incompressible(page(count)))) {
    ++count;
  }
  // Fewer pages than a whole run may still meet their neighbours in the write cache.
  if (count < 2 || (count < kRun && state_.write_cache.has_room())) return {Way::by_itself, 1};
  return {Way::together, count};
}

// Compresses neighbours together. If that gains nothing, or there is no memory, each of them is
// written by itself.
Status ZstdDisk::write_group(uint64_t number, std::span<const std::byte> data) {
  const size_t count = data.size() / kPageBytes;
  const uint64_t index = number % StoredObject::kGroupPages;
  const auto pages = static_cast<uint8_t>(((1u << count) - 1) << index);
  PageStore::GroupBuffer frame;
  const PageStore::Group group = state_.pages.compress_group(
      number - index, pages, data, std::span(frame).first(PageStore::worthy_frame(data.size())));
  if (!group.frame.empty()) {
    const Epoch::Guard guard(state_.epoch);
    const PageEntry entry = state_.pages.store_group(group, Claim::data, guard);
    if (entry != PageEntry()) {
      state_.note_compressed(number + count / 2);
      return publish_group(entry, number, count, guard);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const Data page = data.subspan(i * kPageBytes).first<kPageBytes>();
    Status status = state_.pages.looks_incompressible(page) ? write_incompressible(number + i, page)
                                                            : write_whole(number + i, page);
    if (!status.ok()) return status;
  }
  return {};
}

// Publishes the group's entry for its `count` pages from `number` on, one after the other. If one
// of them fails, so does the request, and the pages behind it keep their old bytes.
Status ZstdDisk::publish_group(PageEntry group, uint64_t number, size_t count,
                               const Epoch::Guard& guard) {
  constexpr unsigned kRun = StoredObject::kGroupPages;
  const size_t bytes = PageStore::footprint(group);
  Cursor cursor(state_.table, guard);
  Status status;
  for (size_t i = 0; i < count; ++i) {
    const PageEntry member = group.member(static_cast<unsigned>((number + i) % kRun));
    if (status.ok()) {
      Slot slot = cursor.lock(number + i);
      status = slot ? state_.admit(slot, bytes) : Status::no_memory();
      if (status.ok()) {
        state_.replace(slot, member, guard);
        continue;
      }
    }
    state_.pages.drop(member, guard);
  }
  return status;
}

Status ZstdDisk::write_whole(uint64_t number, Data page) {
  if (const auto pattern = PageStore::pattern_of(page)) {
    const Epoch::Guard guard(state_.epoch);
    return write_entry(number, PageEntry::same_filled(*pattern), guard);
  }
  if (state_.write_cache.has_room()) {
    const Epoch::Guard guard(state_.epoch);
    Slot slot = Cursor(state_.table, guard).lock(number);
    if (!slot) return Status::no_memory();
    if (cache_page(slot, page, guard)) return {};
  }
  return write_compressed(number, page);
}

// Compresses before pinning the epoch and locking the page, because compressing takes long.
Status ZstdDisk::write_compressed(uint64_t number, Data page) {
  Buffer buffer;
  const PageStore::Packed packed = state_.pages.compress(page, buffer);
  state_.note_compressed(number);
  const Epoch::Guard guard(state_.epoch);
  const PageEntry entry = state_.pages.store(number, packed, Claim::data, guard);
  return entry == PageEntry() ? write_in_place(number, page, guard)
                              : write_entry(number, entry, guard);
}

// Publishes `entry`, or drops it if the disk is full.
Status ZstdDisk::write_entry(uint64_t number, PageEntry entry, const Epoch::Guard& guard) {
  Slot slot = Cursor(state_.table, guard).lock(number);
  Status status = slot ? Status() : Status::no_memory();
  if (slot && entry.kind() != PageKind::same_filled) {
    status = state_.admit(slot, PageStore::footprint(entry));
  }
  if (status.ok()) {
    state_.replace(slot, entry, guard);
  } else {
    state_.pages.drop(entry, guard);
  }
  return status;
}

// Called when there is no memory for a new copy: a plain page can still take the data in place.
Status ZstdDisk::write_in_place(uint64_t number, Data page, const Epoch::Guard& guard) {
  Slot slot = Cursor(state_.table, guard).lock_existing(number);
  if (!slot) return Status::no_memory();
  const PageEntry old(slot.payload());
  if (old.kind() != PageKind::plain) return Status::no_memory();
  copy_to_shared(old.page(), page.data(), kPageBytes);
  slot.unlock(old.written_in_place().bits());
  return {};
}

// Stores whole pages from `number` on uncompressed, not to be compressed later.
Status ZstdDisk::write_incompressible(uint64_t number, std::span<const std::byte> data) {
  const Epoch::Guard guard(state_.epoch);
  Cursor cursor(state_.table, guard);
  AllocationBatch fresh = state_.pages.plain_batch();
  for (; !data.empty(); data = data.subspan(kPageBytes), ++number) {
    const Data page = data.first<kPageBytes>();
    Slot slot = cursor.lock(number);
    if (!slot) return Status::no_memory();
    const PageEntry old(slot.payload());
    if (old.kind() == PageKind::plain) {
      copy_to_shared(old.page(), page.data(), kPageBytes);
      slot.unlock(old.written_in_place().bits());
      continue;
    }
    if (Status status = state_.admit(slot, kPageBytes); !status.ok()) return status;
    const PageEntry copy = PageStore::store_plain(page, fresh, data.size() / kPageBytes);
    if (copy == PageEntry()) return Status::no_memory();
    state_.replace(slot, copy, guard);
  }
  return {};
}

Status ZstdDisk::write_part(const PagePart& part, const std::byte* data) {
  const Epoch::Guard guard(state_.epoch);
  Slot slot = Cursor(state_.table, guard).lock(part.page);
  if (!slot) return Status::no_memory();
  const PageEntry old(slot.payload());
  if (old.kind() == PageKind::plain) {
    copy_to_shared(old.page() + part.offset, data, part.length);
    const bool wait = !old.cached() && state_.write_cache.admit();  // the page may compress by now
    slot.unlock((wait ? old.as_cached() : old.written_in_place()).bits());
    if (wait) state_.enqueue(part.page);
    return {};
  }
  Buffer page;
  Reader reader(state_.pages, guard);
  if (Status status = reader.load(old, page); !status.ok()) return status;
  std::memcpy(page.data() + part.offset, data, part.length);
  return store_page(slot, page, Claim::data, guard);
}

// Stores the page uncompressed in the write cache. If there is no room, returns false and leaves
// the slot locked.
bool ZstdDisk::cache_page(Slot& slot, Data page, const Epoch::Guard& guard) {
  const PageEntry old(slot.payload());
  if (old.kind() != PageKind::plain || !old.cached()) return state_.cache(slot, page, guard);
  copy_to_shared(old.page(), page.data(), kPageBytes);
  slot.unlock(old.written_in_place().bits());
  return true;
}

// Stores the new contents of the slot's page, in the write cache if it has room.
Status ZstdDisk::store_page(Slot& slot, Data page, Claim claim, const Epoch::Guard& guard) {
  if (state_.cache(slot, page, guard)) return {};
  Buffer buffer;
  const PageEntry entry =
      state_.pages.store(slot.page(), state_.pages.compress(page, buffer), claim, guard);
  if (entry == PageEntry()) return Status::no_memory();
  state_.note_compressed(slot.page());
  Status status;
  if (claim != Claim::rewrite) status = state_.admit(slot, PageStore::footprint(entry));
  if (status.ok()) {
    state_.replace(slot, entry, guard);
  } else {
    state_.pages.drop(entry, guard);
  }
  return status;
}

// ---- zeroing

Status ZstdDisk::zero(uint64_t count, uint64_t offset) {
  Patience patience;
  const bool was_short = state_.memory.under_pressure();
  Status status = relief_.with_memory(patience, [&] { return zero_pages(count, offset); });
  cleaner_.keep_clean(INT_MAX);
  // A trim may end the shortage by itself: all of it goes back all the same.
  if (was_short || state_.memory.under_pressure()) relief_.note_trimmed();
  state_.background.note_change();
  return status;
}

// Drops whole pages without reading them, and rewrites the partial pages at the ends.
Status ZstdDisk::zero_pages(uint64_t count, uint64_t offset) {
  for (uint64_t position = 0; position < count;) {
    const PagePart part = part_at(offset, count, position);
    const uint64_t pages = part.whole() ? (count - position) / kPageBytes : 0;
    Status status = pages > 0 ? zero_whole(part.page, part.page + pages) : zero_part(part);
    if (!status.ok()) return status;
    position += pages > 0 ? pages * kPageBytes : part.length;
  }
  return {};
}

Status ZstdDisk::zero_whole(uint64_t first, uint64_t end) {
  const Epoch::Guard guard(state_.epoch);
  return state_.table.change(first, end, guard, [&](Slot& slot) {
    state_.replace(slot, PageEntry(), guard);
    return Status();
  });
}

Status ZstdDisk::zero_part(const PagePart& part) {
  const Epoch::Guard guard(state_.epoch);
  return state_.table.change(part.page, part.page + 1, guard,
                             [&](Slot& slot) { return zero_in_slot(slot, part, guard); });
}

// A page that then holds only zeroes becomes a hole.
Status ZstdDisk::zero_in_slot(Slot& slot, const PagePart& part, const Epoch::Guard& guard) {
  const PageEntry old(slot.payload());
  if (old.kind() == PageKind::plain) {
    zero_shared(old.page() + part.offset, part.length);
    if (is_zero_shared(old.page(), kPageBytes)) {
      state_.replace(slot, PageEntry(), guard);
    } else {
      slot.unlock(old.written_in_place().bits());
    }
    return {};
  }
  Buffer page;
  Reader reader(state_.pages, guard);
  if (Status status = reader.load(old, page); !status.ok()) return status;
  if (is_zero_shared(page.data() + part.offset, part.length)) return {};
  std::memset(page.data() + part.offset, 0, part.length);
  if (is_zero_shared(page.data(), kPageBytes)) {
    state_.replace(slot, PageEntry(), guard);
    return {};
  }
  // Zeroing hardly makes a page grow, and it must not be refused for lack of room.
  return store_page(slot, page, Claim::rewrite, guard);
}

}  // namespace ramdisk
