#include "zstd/recompressor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "base/thread_time.h"

namespace ramdisk {

namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;

// Cold pages are compressed at this level, or at the user's if that is higher. Level 9 would take
// half as much time again for 1 % less memory.
constexpr int kLevel = 6;

// Measures a piece of work, so that the thread can then sleep for as long as the work took.
class Stopwatch {
 public:
  // Returns the time that the work took, or a whole tick if it had to wait for a CPU, because then
  // other threads need the CPU more.
  Workers::Delay delay(Workers::Delay tick) const {
    const auto taken = Clock::now() - begin_;
    if (thread_time() - cpu_begin_ < taken * 7 / 10) return tick;
    return std::max(Workers::Delay(1), std::chrono::duration_cast<Workers::Delay>(taken));
  }

 private:
  using Clock = std::chrono::steady_clock;

  const Clock::time_point begin_ = Clock::now();
  const std::chrono::nanoseconds cpu_begin_ = thread_time();
};

}  // namespace

// ---- the walk

void Recompressor::begin() {
  if (under_way()) return;
  walk_ = state_.options.recompress ? Walk::walking : Walk::finished;
}

Recompressor::Step Recompressor::step(uint32_t now) {
  const PageTable::ColdDirectory found = find_cold(now);
  if (found.first == PageTable::no_page) {
    if (under_way()) return {Workers::Delay(1), false};
    release_compressor();
    return {Workers::Delay::zero(), false};
  }
  const Stopwatch watch;
  trainer_.train_if_due(now, Trainer::Occasion::regrouping);
  // A dictionary may have been trained now or since the last step; new groups should use it.
  if (compressor_ && generation_ != state_.pages.dictionaries().current()) release_compressor();
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
    Outcome outcome = recompress_run(page);
    while (outcome == Outcome::no_memory &&
           cleaner_.clean(Cleaner::Effort::all) == Cleaner::Cleaning::done) {
      outcome = recompress_run(page);
    }
    if (outcome == Outcome::no_memory) return outcome;
    later = later || outcome == Outcome::later;
  }
  return later ? Outcome::later : Outcome::done;
}

// Pages that do not become a group are compressed again if they use an old dictionary, so that it
// can be freed.
Recompressor::Outcome Recompressor::recompress_run(uint64_t first) {
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

// The pages of a run that may become a group, as they were when they were read.
struct Recompressor::Candidate {
  GroupEntries entries{};  // those of the pages that can be grouped
  GroupContents contents;
  size_t bytes = 0;         // of memory that they take
  size_t single_bytes = 0;  // that they take or would take one by one
  PageEntry shared;         // of any of them, if they are all in the same group

  Grouped look(uint64_t first, PageTable::Cursor& cursor);
  Grouped read(PageStore::Reader& reader);
  bool overwritten() const;

 private:
  unsigned members_of(PageEntry group) const;
};

// How many of the pages are in the same group.
unsigned Recompressor::Candidate::members_of(PageEntry group) const {
  return static_cast<unsigned>(std::count_if(entries.begin(), entries.end(), [&](PageEntry entry) {
    return entry.kind() == PageKind::group && entry.stored() == group.stored();
  }));
}

// Finds the pages of the run. yes: it is worth to compress them.
Recompressor::Grouped Recompressor::Candidate::look(uint64_t first, PageTable::Cursor& cursor) {
  unsigned count = 0;
  for (unsigned i = 0; i < kGroup; ++i) {
    const PageEntry entry(cursor.peek(first + i));
    if (entry.kind() == PageKind::plain && entry.cached()) return Grouped::later;
    if (entry.kind() != PageKind::plain && !entry.in_segment()) continue;
    entries[i] = entry;
    single_bytes += PageStore::footprint(entry);
    ++count;
  }
  for (const PageEntry entry : entries) {
    if (entry.kind() != PageKind::group) {
      bytes += entry == PageEntry() ? 0 : PageStore::footprint(entry);
      continue;
    }
    // The pages of a group take as much as the group, unless many have left it.
    const unsigned members = members_of(entry);
    const size_t whole = entry.stored()->footprint();
    bytes += std::min(whole / members, PageStore::footprint(entry));
    if (members == count) shared = entry;
  }
  const bool settled = shared != PageEntry() && PageStore::settled(shared, count);
  return count < 2 || settled ? Grouped::no : Grouped::yes;
}

Recompressor::Grouped Recompressor::Candidate::read(PageStore::Reader& reader) {
  for (unsigned i = 0; i < kGroup; ++i) {
    if (entries[i] == PageEntry()) continue;
    if (!reader.load(entries[i], contents.add(i)).ok()) return Grouped::no;
  }
  return Grouped::yes;
}

// Whether a plain page has been overwritten in place, which does not change its entry.
bool Recompressor::Candidate::overwritten() const {
  const std::byte* page = contents.all().data();
  for (const PageEntry entry : entries) {
    if (entry == PageEntry()) continue;
    if (entry.kind() == PageKind::plain && std::memcmp(page, entry.page(), kPageBytes) != 0) {
      return true;
    }
    page += kPageBytes;
  }
  return false;
}

// If recompressing a group gains nothing, the group is marked, so that this is not tried again.
Recompressor::Grouped Recompressor::make_group(uint64_t first, PageStore::Reader& reader,
                                               PageTable::Cursor& cursor,
                                               const Epoch::Guard& guard) {
  Candidate candidate;
  Grouped outcome = candidate.look(first, cursor);
  if (outcome == Grouped::yes) outcome = candidate.read(reader);
  if (outcome != Grouped::yes) return outcome;
  PageStore::GroupBuffer frame;
  const size_t worth =
      std::min(PageStore::worthy_frame(candidate.bytes) - sizeof(StoredObject), frame.size());
  const size_t length =
      compressor_->compress(std::span(frame).first(worth), candidate.contents.all(), nullptr);
  if (length == 0) {
    if (candidate.shared != PageEntry()) {
      PageStore::settle(candidate.shared, candidate.contents.count());
    }
    return Grouped::no;
  }
  const PageStore::Group group{first,
                               candidate.contents.pages(),
                               std::span(frame).first(length),
                               candidate.single_bytes / candidate.contents.count(),
                               generation_,
                               true};
  const PageEntry stored = state_.pages.store_group(group, Claim::data, guard);
  if (stored == PageEntry()) return Grouped::no_memory;
  return publish(first, stored, candidate, cursor, guard);
}

// Either all pages get the group's entry, or none does.
Recompressor::Grouped Recompressor::publish(uint64_t first, PageEntry group,
                                            const Candidate& candidate, PageTable::Cursor& cursor,
                                            const Epoch::Guard& guard) {
  GroupSlots slots = try_lock_group(first, candidate.entries, cursor);
  const bool unchanged =
      count_locked(slots) == candidate.contents.count() && !candidate.overwritten();
  if (unchanged) state_.pages.note_recompressed();
  for (unsigned i = 0; i < kGroup; ++i) {
    if (candidate.entries[i] == PageEntry()) continue;
    if (unchanged) {
      state_.replace(slots[i], group.member(i), guard);
    } else {
      state_.pages.drop(group.member(i), guard);
    }
  }
  return unchanged ? Grouped::yes : Grouped::later;
}

}  // namespace ramdisk
