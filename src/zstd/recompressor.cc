#include "zstd/recompressor.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

namespace ramdisk {

namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;

// Cold pages are compressed at this level, or at the user's if that is higher.
constexpr int kLevel = 9;

// Measures a piece of work, so that the thread can then sleep for as long as the work took.
class Stopwatch {
 public:
  // Returns the time that the work took, or a whole tick if it had to wait for a CPU, because then
  // other threads need the CPU more.
  Workers::Delay delay(Workers::Delay tick) const {
    const std::chrono::duration<double> taken = Clock::now() - begin_;
    if (cpu_seconds() - cpu_begin_ < 0.7 * taken.count()) return tick;
    return std::max(Workers::Delay(1), std::chrono::duration_cast<Workers::Delay>(taken));
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double cpu_seconds() {  // of the calling thread
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }

  const Clock::time_point begin_ = Clock::now();
  const double cpu_begin_ = cpu_seconds();
};

}  // namespace

// ---- the walk

void Recompressor::begin() {
  if (under_way()) return;
  walk_ = state_.options.recompress ? Walk::walking : Walk::finished;
}

Recompressor::Step Recompressor::step(uint32_t now) {
  // A dictionary may have been trained meanwhile; new groups should use it.
  if (compressor_ && generation_ != state_.pages.dictionaries().current()) release_compressor();
  const PageTable::ColdDirectory found = find_cold(now);
  if (found.first == PageTable::no_page) {
    if (under_way()) return {Workers::Delay(1), false};
    release_compressor();
    return {Workers::Delay::zero(), false};
  }
  const Stopwatch watch;
  Outcome outcome = Outcome::no_memory;
  try {
    if (make_compressor()) outcome = recompress_directory(found.first);
  } catch (const std::bad_alloc&) {
  }
  if (outcome == Outcome::done) return {watch.delay(state_.pace.tick), true};
  {
    const Epoch::Guard guard(state_.epoch);
    state_.table.mark(found.first, guard);
  }
  leave_some();
  if (outcome == Outcome::later) return {watch.delay(state_.pace.tick), true};
  end_walk();
  release_compressor();
  return {Workers::Delay(1), true};
}

// Searches a limited number of directories under one pin, so that a large disk does not hold up the
// epoch.
PageTable::ColdDirectory Recompressor::find_cold(uint32_t now) {
  constexpr int kDirectories = 1000;
  const Epoch::Guard guard(state_.epoch);
  const PageTable::ColdDirectory found =
      state_.table.next_cold(next_page_, now, kDirectories, guard);
  if (found.later) leave_some();
  if (found.next == PageTable::no_page) {
    end_walk();
    next_page_ = 0;
  } else {
    next_page_ = found.next;
  }
  return found;
}

// ---- the compressor

size_t Recompressor::compressor_bytes(const AllocatorOptions& options) {
  return Compressor::most_memory_bytes(std::max(kLevel, options.level),
                                       StoredObject::kMaxGroupBytes);
}

// Returns false if the system has no memory for it.
bool Recompressor::make_compressor() {
  if (compressor_) return true;
  auto compressor =
      Compressor::make(std::max(kLevel, state_.options.level), StoredObject::kMaxGroupBytes);
  if (!compressor) return false;
  Dictionaries& dictionaries = state_.pages.dictionaries();
  generation_ = dictionaries.ref();
  const Dictionary* dictionary = dictionaries.get(generation_);
  if (dictionary && !compressor->adopt(*dictionary)) {
    dictionaries.unref(generation_);
    return false;
  }
  compressor_ = std::move(compressor);
  return true;
}

void Recompressor::release_compressor() {
  if (!compressor_) return;
  state_.pages.dictionaries().unref(generation_);
  compressor_.reset();
}

// ---- making groups

Recompressor::Outcome Recompressor::recompress_directory(uint64_t first) {
  bool later = false;
  for (uint64_t page = first; page < first + PageTable::kDirectoryPages; page += kGroup) {
    Outcome outcome = recompress_pages(page);
    while (outcome == Outcome::no_memory &&
           cleaner_.clean(Cleaner::Effort::all) == Cleaner::Cleaning::done) {
      outcome = recompress_pages(page);
    }
    if (outcome == Outcome::no_memory) return outcome;
    later = later || outcome == Outcome::later;
  }
  return later ? Outcome::later : Outcome::done;
}

// Pages that do not become a group are compressed again if they use an old dictionary, so that it
// can be freed.
Recompressor::Outcome Recompressor::recompress_pages(uint64_t first) {
  const Epoch::Guard guard(state_.epoch);
  PageTable::Cursor cursor(state_.table, guard);
  PageStore::Reader reader(state_.pages, guard);
  switch (make_group(first, reader, cursor, guard)) {
    case Grouped::yes:
      return Outcome::done;
    case Grouped::later:
      return Outcome::later;
    case Grouped::no_memory:
      return Outcome::no_memory;
    case Grouped::no:
      break;
  }
  for (uint64_t number = first; number < first + kGroup; ++number) {
    const PageEntry entry(cursor.peek(number));
    const unsigned generation = entry.generation();
    if (entry.kind() == PageKind::compressed && generation != generation_ &&
        generation != state_.pages.dictionaries().current()) {
      store_by_itself(state_, number, entry, reader, cursor, Claim::data, guard);
    }
  }
  return Outcome::done;
}

// Neighbouring pages that may become a group, as they were when they were read.
struct Recompressor::Candidate {
  GroupEntries entries;
  std::array<std::byte, StoredObject::kMaxGroupBytes> contents;
  size_t bytes = 0;  // of memory that they take

  PageStore::Page page(unsigned i) {
    return PageStore::Page(contents.data() + i * kPageBytes, kPageBytes);
  }
  // Whether a plain page has been overwritten in place, which does not change its entry.
  bool overwritten(unsigned i) const {
    return entries[i].kind() == PageKind::plain &&
           std::memcmp(&contents[i * kPageBytes], entries[i].page(), kPageBytes) != 0;
  }
  Grouped read(uint64_t first, PageStore::Reader& reader, PageTable::Cursor& cursor);
};

// yes: the pages can be grouped, unless compressing them shows otherwise.
Recompressor::Grouped Recompressor::Candidate::read(uint64_t first, PageStore::Reader& reader,
                                                    PageTable::Cursor& cursor) {
  for (unsigned i = 0; i < kGroup; ++i) {
    entries[i] = PageEntry(cursor.peek(first + i));
    if (entries[i].kind() == PageKind::plain && entries[i].cached()) return Grouped::later;
    if (entries[i].kind() != PageKind::compressed && entries[i].kind() != PageKind::plain) {
      return Grouped::no;
    }
    bytes += PageStore::footprint(entries[i]);
    if (!reader.load(entries[i], page(i)).ok()) return Grouped::no;
  }
  return Grouped::yes;
}

Recompressor::Grouped Recompressor::make_group(uint64_t first, PageStore::Reader& reader,
                                               PageTable::Cursor& cursor,
                                               const Epoch::Guard& guard) {
  constexpr size_t kLeastGain = 32;  // a group must save at least one byte in 32
  Candidate candidate;
  if (const Grouped grouped = candidate.read(first, reader, cursor); grouped != Grouped::yes) {
    return grouped;
  }
  const size_t before = candidate.bytes;
  std::array<std::byte, PageStore::kMaxGroupFrame> frame;
  const size_t worth = std::min(before - before / kLeastGain - sizeof(GroupHead), frame.size());
  const size_t length =
      compressor_->compress(std::span(frame).first(worth), candidate.contents, nullptr);
  if (length == 0) return Grouped::no;
  const PageEntry group = state_.pages.store_group(first, std::span(frame).first(length),
                                                   generation_, before / kGroup, guard);
  if (group == PageEntry()) return Grouped::no_memory;
  return publish(first, group, candidate, cursor, guard);
}

// Either all pages get the group's entry, or none does.
Recompressor::Grouped Recompressor::publish(uint64_t first, PageEntry group,
                                            const Candidate& candidate, PageTable::Cursor& cursor,
                                            const Epoch::Guard& guard) {
  GroupSlots slots = try_lock_group(first, candidate.entries, cursor);
  bool unchanged = count_locked(slots) == kGroup;
  for (unsigned i = 0; i < kGroup && unchanged; ++i) unchanged = !candidate.overwritten(i);
  if (unchanged) state_.pages.note_recompressed();
  for (unsigned i = 0; i < kGroup; ++i) {
    if (unchanged) {
      state_.replace(slots[i], group.member(i), guard);
    } else {
      state_.pages.drop(group.member(i), guard);
    }
  }
  return unchanged ? Grouped::yes : Grouped::later;
}

}  // namespace ramdisk
