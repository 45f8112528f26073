#include "alloc/zstd_allocator.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <climits>
#include <cstring>

#include "alloc/extent_merger.h"
#include "alloc/zero_run.h"
#include "core/check.h"
#include "core/cpus.h"
#include "core/memory_lock.h"
#include "core/shared_bytes.h"

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

ZstdAllocator::ZstdAllocator(const Environment& environment, uint64_t disk_bytes,
                             const AllocatorOptions& options)
    : options_(options),
      pace_(environment.pace),
      memory_(*environment.memory),
      pages_(*environment.memory, epoch_, options.level),
      table_(*environment.memory, epoch_, disk_bytes, environment.trace_directories) {}

ZstdAllocator::~ZstdAllocator() {
  stop();
  end_regrouping();
}

Status ZstdAllocator::get_ready() {
  if (!pages_.prepare()) return Status::no_memory();
  if (memory_.room() > 0) return {};
  return Status::error(ENOMEM,
                       "allocator=zstd: max-memory does not leave anything for data beside the "
                       "memory that compression itself takes");
}

// Without threads there is nobody to empty the queue, so nothing may enter it. A process that has
// locked all its memory (nbdkit --swap) is under memory that waits for this disk: it gets neither
// threads nor their stacks.
Status ZstdAllocator::after_fork() {
  if (process_memory_is_locked()) return {};
#ifdef M_MMAP_THRESHOLD
  // Training takes some megabytes for a moment. glibc would learn from that to keep them.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
  workers_running_ = workers_.start(cpus(), [this](size_t worker) { return work(worker); });
  if (workers_running_ > 0) limit_queue();
  return {};
}

void ZstdAllocator::stop() {
  workers_.stop();
}

// Publishes `word` in place of what the slot holds, and unlocks it. A page is counted before others
// can trim it, and until it is trimmed: the count never falls below 0.
void ZstdAllocator::swap(Slot& slot, PageWord word) {
  const PageWord old(slot.payload());
  const bool was_hole = old == PageWord();
  const bool is_hole = word == PageWord();
  if (was_hole && !is_hole) stored_pages_.fetch_add(1, std::memory_order_relaxed);
  slot.unlock(word.bits());
  if (!was_hole && is_hole) {
    [[maybe_unused]] const uint64_t stored = stored_pages_.fetch_sub(1, std::memory_order_relaxed);
    DCHECK(stored > 0);
  }
  pages_.drop(old);
}

// Whether the page may be given storage. What has some can be changed for longer than what has none
// can be added.
bool ZstdAllocator::may_fill(const Slot& slot) {
  return slot.payload() != 0 || memory_.admits_new();
}

// The same with a copy of `page` that is to be compressed later. False if that cannot be had.
bool ZstdAllocator::swap_queued(Slot& slot, Data page) {
  if (!may_fill(slot) || !queue_.admit()) return false;
  const PageWord copy = pages_.store_plain(page);
  if (copy == PageWord()) {
    queue_.leave();
    return false;
  }
  const uint64_t number = slot.page();
  swap(slot, copy.as_queued());
  if (queue_.push(number)) workers_.wake();
  return true;
}

// There is something for the first worker to look at some time, should it rest. Said after the
// change, or it might look in vain and rest again.
void ZstdAllocator::note_work() {
  if (quiet_.load(std::memory_order_relaxed) && quiet_.exchange(false)) workers_.wake();
}

void ZstdAllocator::note_compressed(uint64_t number) {
  if (recent_.add(number) == kFirstTraining) workers_.wake();
}

// ---- reading

// In pieces, so that a long request neither keeps a decompressor nor holds up the epoch.
Status ZstdAllocator::read(std::span<std::byte> buffer, uint64_t offset) {
  constexpr size_t kPiece = 8 * kPageBytes;
  while (!buffer.empty()) {
    const size_t length = std::min<size_t>(buffer.size(), kPiece - offset % kPiece);
    if (Status status = read_some(buffer.first(length), offset); !status.ok()) return status;
    buffer = buffer.subspan(length);
    offset += length;
  }
  return {};
}

Status ZstdAllocator::read_some(std::span<std::byte> buffer, uint64_t offset) {
  const Epoch::Guard guard(epoch_);
  Reader reader(pages_);
  Status status;
  size_t done = 0;
  table_.scan(offset >> kPageShift, end_page(offset, buffer.size()),
              [&](uint64_t number, uint64_t payload) {
                const PagePart part = part_of_page(number, offset, buffer.size());
                const PageWord word(payload);
                std::byte* to = buffer.data() + part.position;
                std::memset(buffer.data() + done, 0, part.position - done);
                if (word.kind() == PageKind::plain) {
                  copy_from_shared(to, word.page() + part.offset, part.length);
                } else if (part.whole()) {
                  status = reader.load(word, Page(to, kPageBytes));
                } else {
                  Buffer whole;
                  status = reader.load(word, whole);
                  std::memcpy(to, whole.data() + part.offset, part.length);
                }
                done = part.position + part.length;
                return status.ok();
              });
  if (!status.ok()) return status;
  std::memset(buffer.data() + done, 0, buffer.size() - done);
  if (reader.hot_page()) unpack(*reader.hot_page(), reader);
  return {};
}

// ---- writing

Status ZstdAllocator::write(std::span<const std::byte> data, uint64_t offset) {
  Status status = write_pages(data, offset);
  note_work();
  return status;
}

Status ZstdAllocator::write_pages(std::span<const std::byte> data, uint64_t offset) {
  for (size_t position = 0; position < data.size();) {
    if (const size_t zeroes = zero_run(data, offset, position)) {
      if (Status status = zero(zeroes, offset + position); !status.ok()) return status;
      position += zeroes;
      continue;
    }
    const PagePart part = page_part(offset, data.size(), position);
    const auto request = [&] { return write_page(part, data.data() + position); };
    if (Status status = with_memory(request); !status.ok()) {
      const Epoch::Guard guard(epoch_);
      table_.prune(part.page);
      return status;
    }
    clean(1);
    position += part.length;
  }
  return {};
}

Status ZstdAllocator::write_page(const PagePart& part, const std::byte* data) {
  return part.whole() ? write_whole(part.page, Data(data, kPageBytes)) : write_part(part, data);
}

// Compresses, if that cannot wait, before it pins the epoch and locks the page.
Status ZstdAllocator::write_whole(uint64_t number, Data page) {
  if (const auto pattern = PackedPages::pattern_of(page)) {
    return write_word(number, PageWord::filled(*pattern));
  }
  const bool incompressible = pages_.looks_incompressible(page);
  if (incompressible || queue_.has_room()) {
    const Epoch::Guard guard(epoch_);
    Slot slot = Cursor(table_).lock(number);
    if (!slot) return Status::no_memory();
    if (write_plain(slot, page, incompressible)) return {};
    if (incompressible) return Status::no_memory();
  }
  Buffer buffer;
  const PackedPages::Packed packed = pages_.compress(page, buffer);
  note_compressed(number);
  const Epoch::Guard guard(epoch_);
  return write_word(number, pages_.store(number, packed));
}

// Puts `word` into the table; a hole stands for no memory.
Status ZstdAllocator::write_word(uint64_t number, PageWord word) {
  if (word == PageWord()) return Status::no_memory();
  const Epoch::Guard guard(epoch_);
  Slot slot = Cursor(table_).lock(number);
  if (!slot || (word.kind() != PageKind::filled && !may_fill(slot))) {
    pages_.drop(word);
    return Status::no_memory();
  }
  swap(slot, word);
  return {};
}

// Keeps the page as it is, for now or for good, and unlocks the slot. False: no room or no memory.
bool ZstdAllocator::write_plain(Slot& slot, Data page, bool incompressible) {
  const PageWord old(slot.payload());
  if (old.kind() == PageKind::plain && (incompressible || old.queued())) {
    copy_to_shared(old.page(), page.data(), kPageBytes);
    slot.unlock(old.written_in_place().bits());
    return true;
  }
  if (!incompressible) return swap_queued(slot, page);
  if (!may_fill(slot)) return false;
  const PageWord copy = pages_.store_plain(page);
  if (copy == PageWord()) return false;
  swap(slot, copy);
  return true;
}

// Holds the page's lock from the read of the old bytes to the swap, or another write to the same
// page would be lost.
Status ZstdAllocator::write_part(const PagePart& part, const std::byte* data) {
  const Epoch::Guard guard(epoch_);
  Slot slot = Cursor(table_).lock(part.page);
  if (!slot) return Status::no_memory();
  const PageWord old(slot.payload());
  if (old.kind() == PageKind::plain) {
    copy_to_shared(old.page() + part.offset, data, part.length);
    const bool wait = !old.queued() && queue_.admit();  // it may compress by now
    slot.unlock((wait ? old.as_queued() : old.written_in_place()).bits());
    if (wait && queue_.push(part.page)) workers_.wake();
    return {};
  }
  Buffer page;
  Reader reader(pages_);
  if (Status status = reader.load(old, page); !status.ok()) return status;
  std::memcpy(page.data() + part.offset, data, part.length);
  return store_locked(slot, page);
}

// Stores what has become of the slot's page, and unlocks it.
Status ZstdAllocator::store_locked(Slot& slot, Data page) {
  if (swap_queued(slot, page)) return {};
  if (!may_fill(slot)) return Status::no_memory();
  Buffer buffer;
  const PageWord word = pages_.store(slot.page(), pages_.compress(page, buffer));
  if (word == PageWord()) return Status::no_memory();
  note_compressed(slot.page());
  swap(slot, word);
  return {};
}

// ---- zeroing

Status ZstdAllocator::zero(uint64_t count, uint64_t offset) {
  Status status = with_memory([&] { return zero_pages(count, offset); });
  clean(INT_MAX);
  note_work();
  return status;
}

// Whole pages are dropped without a look at them; parts at the ends are rewritten.
Status ZstdAllocator::zero_pages(uint64_t count, uint64_t offset) {
  for (uint64_t position = 0; position < count;) {
    const PagePart part = page_part(offset, count, position);
    const uint64_t pages = part.whole() ? (count - position) / kPageBytes : 0;
    Status status = pages > 0 ? zero_whole(part.page, part.page + pages) : zero_part(part);
    if (!status.ok()) return status;
    position += pages > 0 ? pages * kPageBytes : part.length;
  }
  return {};
}

Status ZstdAllocator::zero_whole(uint64_t first, uint64_t end) {
  const Epoch::Guard guard(epoch_);
  return table_.change(first, end, [&](Slot& slot) {
    swap(slot, PageWord());
    return Status();
  });
}

Status ZstdAllocator::zero_part(const PagePart& part) {
  const Epoch::Guard guard(epoch_);
  return table_.change(part.page, part.page + 1, [&](Slot& slot) -> Status {
    const PageWord old(slot.payload());
    if (old.kind() == PageKind::plain) {
      zero_shared(old.page() + part.offset, part.length);
      if (is_zero_shared(old.page(), kPageBytes)) {
        swap(slot, PageWord());
      } else {
        slot.unlock(old.written_in_place().bits());
      }
      return {};
    }
    Buffer page;
    Reader reader(pages_);
    if (Status status = reader.load(old, page); !status.ok()) return status;
    if (is_zero_shared(page.data() + part.offset, part.length)) return {};
    std::memset(page.data() + part.offset, 0, part.length);
    if (!is_zero_shared(page.data(), kPageBytes)) return store_locked(slot, page);
    swap(slot, PageWord());
    return {};
  });
}

// Runs `request`, and again as long as it fails for lack of memory and some can be made: by this
// thread, or by another meanwhile.
template <typename Request>
Status ZstdAllocator::with_memory(Request request) {
  constexpr int kTries = 64;
  Status status = request();
  bool more = true;
  for (int i = 0; i < kTries && more && status.errnum() == ENOMEM; ++i) {
    more = relieve();
    status = request();
  }
  return status;
}

// ---- figures

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
