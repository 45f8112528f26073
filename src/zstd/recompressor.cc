#include "zstd/recompressor.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

namespace ramdisk {

namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;

// Cold pages are compressed at this level or, if that is higher, the user's.
constexpr int kLevel = 9;

// Measures a piece of work, for one rest as long as that.
class Stopwatch {
 public:
  // As long as the work took; a whole tick if it had to wait for a CPU, because others need it
  // more.
  Workers::Delay rest(Workers::Delay tick) const {
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
  // What is grouped from now on is to have the dictionary that was trained meanwhile.
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
  if (outcome == Outcome::done) return {watch.rest(state_.pace.tick), true};
  {
    const Epoch::Guard guard(state_.epoch);
    state_.table.mark(found.first, guard);
  }
  leave_some();
  if (outcome == Outcome::later) return {watch.rest(state_.pace.tick), true};
  end_walk();
  release_compressor();
  return {Workers::Delay(1), true};
}

// In pieces, so that the epoch is not held up on a large disk.
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

// False: the system has no memory for it.
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

// Pages that do not become a group should at least not keep an old dictionary.
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
    const PageEntry word(cursor.peek(number));
    const unsigned generation = word.generation();
    if (word.kind() == PageKind::compressed && generation != generation_ &&
        generation != state_.pages.dictionaries().current()) {
      store_by_itself(state_, number, word, reader, cursor, Claim::data, guard);
    }
  }
  return Outcome::done;
}

// Four neighbours that may become a group, as they were when they were read.
struct Recompressor::Candidate {
  GroupWords words;
  std::array<std::byte, StoredObject::kMaxGroupBytes> contents;
  size_t bytes = 0;  // that they take

  PageStore::Page page(unsigned i) {
    return PageStore::Page(contents.data() + i * kPageBytes, kPageBytes);
  }
  // A plain page may be overwritten in place, under the same word.
  bool overwritten(unsigned i) const {
    return words[i].kind() == PageKind::plain &&
           std::memcmp(&contents[i * kPageBytes], words[i].page(), kPageBytes) != 0;
  }
  Grouped read(uint64_t first, PageStore::Reader& reader, PageTable::Cursor& cursor);
};

// yes: they can be grouped, as far as can be told before they are compressed.
Recompressor::Grouped Recompressor::Candidate::read(uint64_t first, PageStore::Reader& reader,
                                                    PageTable::Cursor& cursor) {
  for (unsigned i = 0; i < kGroup; ++i) {
    words[i] = PageEntry(cursor.peek(first + i));
    if (words[i].kind() == PageKind::plain && words[i].cached()) return Grouped::later;
    if (words[i].kind() != PageKind::compressed && words[i].kind() != PageKind::plain) {
      return Grouped::no;
    }
    bytes += PageStore::footprint(words[i]);
    if (!reader.load(words[i], page(i)).ok()) return Grouped::no;
  }
  return Grouped::yes;
}

Recompressor::Grouped Recompressor::make_group(uint64_t first, PageStore::Reader& reader,
                                               PageTable::Cursor& cursor,
                                               const Epoch::Guard& guard) {
  constexpr size_t kLeastGain = 32;  // one byte in 32
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

// All four pages get the group's word, or none does.
Recompressor::Grouped Recompressor::publish(uint64_t first, PageEntry group,
                                            const Candidate& candidate, PageTable::Cursor& cursor,
                                            const Epoch::Guard& guard) {
  GroupSlots slots = try_lock_group(first, candidate.words, cursor);
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
