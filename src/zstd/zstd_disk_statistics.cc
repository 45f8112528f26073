// What ZstdDisk reports about itself: extents, statistics and a description.

#include "disk/extent_merger.h"
#include "zstd/zstd_disk.h"

namespace ramdisk {

namespace {

void count_page(PageEntry entry, Statistics& s) {
  switch (entry.kind()) {
    case PageKind::hole:
      return;
    case PageKind::same_filled:
      ++s.same_filled_pages;
      return;
    case PageKind::plain:
      ++(entry.cached() ? s.waiting_pages : s.plain_pages);
      return;
    case PageKind::compressed:
      ++s.generations[entry.generation()].single_pages;
      return;
    case PageKind::group:
      ++s.generations[entry.generation()].grouped_pages;
      return;
  }
}

}  // namespace

Status ZstdDisk::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  if (count == 0) return {};
  const Epoch::Guard guard(state_.epoch);
  ExtentMerger merger(visitor, count, offset);
  bool more = true;
  state_.table.look(offset >> kPageShift, end_page(offset, count), guard,
                    [&](uint64_t page, uint64_t) {
                      more = merger.page(page, ExtentKind::data);
                      return more;
                    });
  if (more) merger.finish();
  return {};
}

Usage ZstdDisk::usage() const {
  return {state_.table.bytes_of(state_.table.stored_pages()),
          state_.pages.memory_bytes() + state_.table.held_bytes()};
}

// Counts in pieces, so that the epoch is not held up.
Statistics ZstdDisk::statistics() const {
  constexpr uint64_t kPages = 64 * PageTable::kDirectoryPages;
  Statistics s;
  s.usage = usage();
  s.generations.resize(Dictionaries::kGenerations);
  for (uint64_t first = 0; first != PageTable::no_page;) {
    const Epoch::Guard guard(state_.epoch);
    uint64_t pages = 0;
    uint64_t next = PageTable::no_page;
    state_.table.look(first, PageTable::no_page, guard, [&](uint64_t page, uint64_t payload) {
      count_page(PageEntry(payload), s);
      if (++pages < kPages) return true;
      next = page + 1;
      return false;
    });
    first = next;
  }
  s.usage.stored_bytes = state_.table.bytes_of(s.stored_pages());
  s.waiting_limit_pages = state_.write_cache.limit();
  s.dictionaries = state_.pages.dictionaries().count();
  s.dictionary_bytes = state_.pages.dictionaries().memory_bytes();
  return s;
}

std::string ZstdDisk::describe() const {
  return "zstd, level " + std::to_string(state_.options.level) + ", pages of 4096 bytes";
}

}  // namespace ramdisk
