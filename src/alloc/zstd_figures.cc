// What a compressing disk says about itself: extents, statistics, a description.

#include "alloc/extent_merger.h"
#include "alloc/zstd_allocator.h"

namespace ramdisk {

namespace {

void count_page(PageWord word, Statistics& s) {
  switch (word.kind()) {
    case PageKind::hole:
      return;
    case PageKind::filled:
      ++s.same_filled_pages;
      return;
    case PageKind::plain:
      ++(word.queued() ? s.waiting_pages : s.plain_pages);
      return;
    case PageKind::object:
      ++s.generations[word.generation()].single_pages;
      return;
    case PageKind::group:
      ++s.generations[word.generation()].grouped_pages;
      return;
  }
}

}  // namespace

Status ZstdAllocator::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  if (count == 0) return {};
  const Epoch::Guard guard(epoch_);
  ExtentMerger merger(visitor, count, offset);
  bool more = true;
  table_.look(offset >> kPageShift, end_page(offset, count), [&](uint64_t page, uint64_t) {
    more = merger.page(page, ExtentKind::data);
    return more;
  });
  if (more) merger.finish();
  return {};
}

Usage ZstdAllocator::usage() const {
  return {table_.bytes_of(table_.stored_pages()), pages_.memory_bytes() + table_.held_bytes()};
}

// In pieces, so that the epoch is not held up.
Statistics ZstdAllocator::statistics() const {
  constexpr uint64_t kPiece = 64 * PageTable::kDirectoryPages;
  Statistics s;
  s.usage = usage();
  s.generations.resize(Dictionaries::kGenerations);
  for (uint64_t first = 0; first != PageTable::no_page;) {
    const Epoch::Guard guard(epoch_);
    uint64_t pages = 0;
    uint64_t next = PageTable::no_page;
    table_.look(first, PageTable::no_page, [&](uint64_t page, uint64_t payload) {
      count_page(PageWord(payload), s);
      if (++pages < kPiece) return true;
      next = page + 1;
      return false;
    });
    first = next;
  }
  s.usage.stored_bytes = table_.bytes_of(s.stored_pages());
  s.waiting_limit_pages = queue_.limit();
  s.dictionaries = pages_.dictionaries().count();
  s.dictionary_bytes = pages_.dictionaries().memory_bytes();
  return s;
}

std::string ZstdAllocator::describe() const {
  return "zstd, level " + std::to_string(options_.level) + ", pages of 4096 bytes";
}

}  // namespace ramdisk
