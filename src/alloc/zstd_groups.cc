// Groups of a compressing disk: cold neighbours are compressed together and harder, and get places
// of their own again when they are read often or have lost some of their number.

#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "alloc/zstd_allocator.h"

namespace ramdisk {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kGroup = StoredObject::kGroupPages;

using Slots = std::array<PageTable::Slot, kGroup>;
using Words = std::array<PageWord, kGroup>;

// Tries to lock the pages of the group that begins with `first` and have a word here, if it is
// still the same.
Slots lock_group(uint64_t first, const Words& words, PageTable::Cursor& cursor) {
  const auto lock = [&](unsigned i) {
    return words[i] == PageWord() ? PageTable::Slot() : cursor.try_lock(first + i, words[i].bits());
  };
  return {lock(0), lock(1), lock(2), lock(3)};
}

unsigned count_locked(const Slots& slots) {
  return static_cast<unsigned>(
      std::count_if(slots.begin(), slots.end(), [](const auto& slot) { return bool(slot); }));
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
  // What has been trained meanwhile is what the pages that come now are to have.
  if (m.compressor && m.generation != pages_.dictionaries().current()) end_regrouping();
  const PageTable::Settled found = find_settled();
  if (found.first != PageTable::no_page) {
    const auto begin = Clock::now();
    const double cpu_begin = thread_seconds();
    m.tidy = false;
    m.later = false;
    bool memory = false;
    try {
      memory = begin_regrouping() && regroup_directory(found.first);
    } catch (const std::bad_alloc&) {
      // As if it had been told: what was found is not done.
    }
    if (!memory || m.later) {
      const Epoch::Guard guard(epoch_);
      table_.reconsider(found.first);
      m.something_warm = true;
    }
    if (!memory) {
      m.walked = true;
      end_regrouping();
      return Workers::Rest(1);
    }
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

// The compressor for groups is large, so it is there only while there is work for it; it is counted
// from the start. False: the system has no memory.
bool ZstdAllocator::begin_regrouping() {
  Maintenance& m = maintenance_;
  if (m.compressor) return true;
  auto compressor =
      Compressor::make(std::max(kGroupLevel, options_.level), StoredObject::kMaxGroupBytes);
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

// False: memory has run out, and what is left of the directory is for another walk.
bool ZstdAllocator::regroup_directory(uint64_t first) {
  for (uint64_t i = 0; i < PageTable::kDirectoryPages; i += kGroup) {
    bool memory = regroup(first + i);
    while (!memory && clean_segment(Effort::all) == Cleaning::done) memory = regroup(first + i);
    if (!memory) return false;
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
  maintenance_.later |= grouped == Grouped::later;
  if (grouped != Grouped::no) return grouped != Grouped::no_memory;
  for (uint64_t number = first; number < first + kGroup; ++number) {
    const PageWord word(cursor.peek(number));
    const unsigned generation = word.generation();
    if (word.kind() == PageKind::object && generation != maintenance_.generation &&
        generation != pages_.dictionaries().current()) {
      unpack_page(number, word, reader, cursor, Claim::data);
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
      return words[i].queued() ? Grouped::later : Grouped::no;
    }
    const Page page(pages.data() + i * kPageBytes, kPageBytes);
    if (!reader.load(words[i], page).ok()) return Grouped::no;
  }
  std::array<std::byte, PackedPages::kMaxGroupFrame> frame;
  const size_t worth = std::min(before - before / 32 - sizeof(GroupHead), frame.size());
  const size_t length =
      maintenance_.compressor->compress(std::span(frame).first(worth), pages, nullptr);
  if (length == 0) return Grouped::no;
  const PageWord group = pages_.store_group(first, std::span(frame).first(length),
                                            maintenance_.generation, before / kGroup);
  if (group == PageWord()) return Grouped::no_memory;
  Slots slots = lock_group(first, words, cursor);
  // A plain page may have been overwritten in place, under the same word.
  bool all = count_locked(slots) == kGroup;
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
  return all ? Grouped::yes : Grouped::later;
}

// ---- moving them and taking them apart

// The pages that still refer to the group; holes in place of the others.
struct ZstdAllocator::Members {
  Words words{};
  unsigned count = 0;
};

ZstdAllocator::Members ZstdAllocator::members_of(const StoredObject& group, Cursor& cursor) {
  Members members;
  for (unsigned i = 0; i < kGroup; ++i) {
    const PageWord word(cursor.peek(group.page() + i));
    if (!word.compressed() || word.stored() != &group) continue;
    members.words[i] = word;
    ++members.count;
  }
  return members;
}

// Gives the members places of their own, if they can be read and take less there than the group
// does: what each was expected to take may be wrong, and the cleaner must not need more memory than
// it frees.
ZstdAllocator::Divided ZstdAllocator::divide(const StoredObject& group, const Members& members,
                                             Cursor& cursor) {
  Reader reader(pages_);
  std::array<Buffer, kGroup> pages;
  std::array<Buffer, kGroup> buffers;
  std::array<PackedPages::Packed, kGroup> packed;
  size_t bytes = 0;
  for (unsigned i = 0; i < kGroup; ++i) {
    if (members.words[i] == PageWord()) continue;
    if (!reader.load(members.words[i], pages[i]).ok()) {  // it stays as it is, damaged
      release(packed, Moved::left);
      return {Moved::left, group.footprint()};
    }
    packed[i] = pages_.compress(pages[i], buffers[i]);
    bytes += PackedPages::footprint(packed[i]);
  }
  if (bytes >= group.footprint()) {
    release(packed, Moved::left);
    return {Moved::left, (bytes + members.count - 1) / members.count};
  }
  Moved moved = Moved::yes;
  for (unsigned i = 0; i < kGroup && moved != Moved::no_memory; ++i) {
    if (members.words[i] == PageWord()) continue;
    const PageWord fresh =
        pages_.store(group.page() + i, std::exchange(packed[i], {}), Claim::reclaim);
    if (fresh == PageWord()) {
      moved = Moved::no_memory;
    } else if (Slot slot = cursor.try_lock(group.page() + i, members.words[i].bits())) {
      swap(slot, fresh);
    } else {
      pages_.drop(fresh);
    }
  }
  return release(packed, moved);
}

// What has been compressed and not been stored is a user of its dictionary no more.
ZstdAllocator::Divided ZstdAllocator::release(const std::array<PackedPages::Packed, kGroup>& packed,
                                              Moved moved) {
  for (const PackedPages::Packed& page : packed) {
    if (!page.bytes.empty() && !page.plain()) pages_.dictionaries().leave(page.generation);
  }
  return {moved, 0};
}

// A group of which pages have been dropped is divided, if the others then take less: they get
// places of their own again. Else it moves as it is.
ZstdAllocator::Moved ZstdAllocator::move_group(const StoredObject& group, Cursor& cursor) {
  const auto [words, count] = members_of(group, cursor);
  if (count == 0) return Moved::left;
  size_t single = PackedPages::footprint(PageWord::object(&group, 0));
  if (count < kGroup && count * single < group.footprint()) {
    const Divided divided = divide(group, {words, count}, cursor);
    if (divided.single_bytes == 0) return divided.moved;
    single = divided.single_bytes;
  }
  Slots slots = lock_group(group.page(), words, cursor);
  if (count_locked(slots) != count) return Moved::left;
  const StoredObject* copy = pages_.store().add_copy(group, count, single);
  if (!copy) return Moved::no_memory;
  for (unsigned i = 0; i < kGroup; ++i) {
    if (slots[i]) swap(slots[i], pages_.word_for_copy(copy, words[i]));
  }
  return Moved::yes;
}

// Gives a page of a group, which is read often, a place of its own. Pinned.
void ZstdAllocator::unpack(uint64_t number, Reader& reader) {
  note_work();
  Cursor cursor(table_);
  const PageWord word(cursor.peek(number));
  if (word.kind() == PageKind::group) unpack_page(number, word, reader, cursor, Claim::optional);
}

// Gives a page, found under `word`, a place of its own, unless something else has become of it or
// it is damaged. It may wait in the queue where memory is not short.
ZstdAllocator::Moved ZstdAllocator::unpack_page(uint64_t number, PageWord word, Reader& reader,
                                                Cursor& cursor, Claim claim) {
  Buffer page;
  if (!reader.load(word, page).ok()) return Moved::left;
  if (claim == Claim::optional && queue_.has_room()) {
    Slot slot = cursor.try_lock(number, word.bits());
    return slot && swap_queued(slot, page) ? Moved::yes : Moved::left;
  }
  Buffer buffer;
  const PageWord fresh = pages_.store(number, pages_.compress(page, buffer), claim);
  if (fresh == PageWord()) return Moved::no_memory;
  if (Slot slot = cursor.try_lock(number, word.bits())) {
    swap(slot, fresh);
    return Moved::yes;
  }
  pages_.drop(fresh);
  return Moved::left;
}

// ---- ending old generations

// When all numbers of dictionaries are in use, pages that are compressed with old ones are
// compressed again, group or not, so that these can go. Does a part of that; false: it is done, or
// memory has run out.
bool ZstdAllocator::renew_some() {
  constexpr uint64_t kPages = 4096;  // looked at
  Maintenance& m = maintenance_;
  std::array<uint64_t, 64> found;
  size_t count = 0;
  uint64_t looked = 0;
  uint64_t next = PageTable::no_page;
  const Epoch::Guard guard(epoch_);
  const unsigned current = pages_.dictionaries().current();
  table_.look(m.renew_page, PageTable::no_page, [&](uint64_t page, uint64_t payload) {
    const PageWord word(payload);
    if (word.compressed() && word.generation() != 0 && word.generation() != current) {
      found[count++] = page;
    }
    if (count < found.size() && ++looked < kPages) return true;
    next = page + 1;
    return false;
  });
  Reader reader(pages_);
  Cursor cursor(table_);
  bool memory = true;
  for (size_t i = 0; i < count && memory; ++i) {
    const PageWord word(cursor.peek(found[i]));
    if (!word.compressed() || word.generation() == current) continue;
    memory = unpack_page(found[i], word, reader, cursor, Claim::data) != Moved::no_memory;
  }
  m.tidy = false;
  m.renew_page = memory ? next : PageTable::no_page;
  return m.renew_page != PageTable::no_page;
}

}  // namespace ramdisk
