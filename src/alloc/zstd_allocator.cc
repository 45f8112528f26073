#include "alloc/zstd_allocator.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <climits>
#include <cstring>

#include "alloc/least_memory.h"
#include "alloc/zero_run.h"
#include "core/budget.h"
#include "core/cpus.h"
#include "core/memory_lock.h"
#include "core/shared_bytes.h"

namespace ramdisk {

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
  memory_.give(fixed_bytes_);
}

// All that compression takes beside data is counted here, before the first write, and a limit that
// leaves too little is refused now rather than by every write later.
Status ZstdAllocator::get_ready() {
  constexpr uint64_t kTables = 512 << 10;  // and the beginnings of what holds pages
  constexpr uint64_t kData = 1 << 20;
  memory_.keep_for_reclaim(ObjectStore::kReclaimBytes);
  uint64_t fixed = pages_.prepare();
  if (fixed == 0) return Status::no_memory();
  if (options_.recompress) {
    const size_t compressor = Compressor::most_memory_bytes(std::max(kGroupLevel, options_.level),
                                                            StoredObject::kMaxGroupBytes);
    if (compressor == 0) return Status::no_memory();
    fixed += compressor;
  }
  const uint64_t other = fixed + ObjectStore::kReclaimBytes + kTables + kData;
  const uint64_t least = Budget::least_limit(other);
  if (Status status = check_limit(memory_, "zstd", least); !status.ok()) return status;
  if (!memory_.take(fixed, Claim::data)) return Status::no_memory();
  fixed_bytes_ = fixed;
  return {};
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

// Publishes `word` in place of what the slot holds, and unlocks it.
void ZstdAllocator::swap(Slot& slot, PageWord word) {
  const PageWord old(slot.payload());
  slot.unlock(word.bits());
  pages_.drop(old);
}

uint64_t ZstdAllocator::needed_bytes() const {
  return fixed_bytes_ + table_.held_bytes() + pages_.needed_bytes();
}

// Whether the slot's page may take `bytes`. ENOSPC if not: memory would have to become free first.
// What has storage can be changed for longer than what has none can be added, and what becomes
// smaller always can.
Status ZstdAllocator::admit(const Slot& slot, size_t bytes) {
  constexpr auto kFull = "no space left";
  const PageWord old(slot.payload());
  if (old == PageWord()) {
    return memory_.admits_new(needed_bytes() + bytes) ? Status() : Status::error(ENOSPC, kFull);
  }
  const size_t before = PackedPages::footprint(old);
  if (bytes <= before) return {};
  const bool much = bytes >= 2 * before;
  if (memory_.admits_growth(needed_bytes() + bytes - before, much)) return {};
  return Status::error(ENOSPC, kFull);
}

// Publishes a copy of `page` that is to be compressed later, and unlocks the slot. False, and the
// slot stays locked, if that cannot be had.
bool ZstdAllocator::swap_queued(Slot& slot, Data page) {
  if (!queue_.has_room() || !admit(slot, kPageBytes).ok() || !queue_.admit()) return false;
  const PageWord copy = pages_.store_plain(page, Claim::optional);
  if (copy == PageWord()) {
    queue_.leave();
    return false;
  }
  const uint64_t number = slot.page();
  swap(slot, copy.as_queued());
  if (queue_.push(number)) workers_.wake();
  return true;
}

// Runs `request`, and again as long as it fails for lack of memory, some can be made or is on its
// way, and the patience lasts. Refused by admit(), it needs memory that only the queue can give.
template <typename Request>
Status ZstdAllocator::with_memory(Patience& patience, Request request) {
  Status status = request();
  bool more = true;
  for (int round = 0; more && !status.ok() && patience.left(); ++round) {
    if (status.errnum() != ENOMEM && status.errnum() != ENOSPC) break;
    more = status.errnum() == ENOMEM ? relieve(round) : empty_queue();
    status = request();
  }
  return status.errnum() == ENOSPC ? Status::no_memory() : status;
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
  Patience patience;
  Status status = write_pages(data, offset, patience);
  note_work();
  return status;
}

Status ZstdAllocator::write_pages(std::span<const std::byte> data, uint64_t offset,
                                  Patience& patience) {
  for (size_t position = 0; position < data.size();) {
    if (const size_t zeroes = zero_run(data, offset, position)) {
      if (Status status = zero(zeroes, offset + position); !status.ok()) return status;
      position += zeroes;
      continue;
    }
    const PagePart part = page_part(offset, data.size(), position);
    const auto request = [&] { return write_page(part, data.data() + position); };
    if (Status status = with_memory(patience, request); !status.ok()) {
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
  if (pages_.looks_incompressible(page)) return write_incompressible(number, page);
  if (queue_.has_room()) {
    const Epoch::Guard guard(epoch_);
    Slot slot = Cursor(table_).lock(number);
    if (!slot) return Status::no_memory();
    if (try_plain(slot, page)) return {};
  }
  Buffer buffer;
  const PackedPages::Packed packed = pages_.compress(page, buffer);
  note_compressed(number);
  const Epoch::Guard guard(epoch_);
  const PageWord word = pages_.store(number, packed, Claim::data);
  return word == PageWord() ? write_in_place(number, page) : write_word(number, word);
}

// Puts `word` into the table, unless the disk is full.
Status ZstdAllocator::write_word(uint64_t number, PageWord word) {
  const Epoch::Guard guard(epoch_);
  Slot slot = Cursor(table_).lock(number);
  Status status = slot ? Status() : Status::no_memory();
  if (slot && word.kind() != PageKind::filled) status = admit(slot, PackedPages::footprint(word));
  if (status.ok()) {
    swap(slot, word);
  } else {
    pages_.drop(word);
  }
  return status;
}

// There was no memory for anything new: a plain page has a place that can take the data. Pinned.
Status ZstdAllocator::write_in_place(uint64_t number, Data page) {
  Slot slot = Cursor(table_).lock_existing(number);
  if (!slot) return Status::no_memory();
  const PageWord old(slot.payload());
  if (old.kind() != PageKind::plain) return Status::no_memory();
  copy_to_shared(old.page(), page.data(), kPageBytes);
  slot.unlock(old.written_in_place().bits());
  return {};
}

// Keeps the page as it is for now, and unlocks the slot. False: no room or no memory.
bool ZstdAllocator::try_plain(Slot& slot, Data page) {
  const PageWord old(slot.payload());
  if (old.kind() != PageKind::plain || !old.queued()) return swap_queued(slot, page);
  copy_to_shared(old.page(), page.data(), kPageBytes);
  slot.unlock(old.written_in_place().bits());
  return true;
}

// Keeps the page as it is, for good.
Status ZstdAllocator::write_incompressible(uint64_t number, Data page) {
  const Epoch::Guard guard(epoch_);
  Slot slot = Cursor(table_).lock(number);
  if (!slot) return Status::no_memory();
  const PageWord old(slot.payload());
  if (old.kind() == PageKind::plain) {
    copy_to_shared(old.page(), page.data(), kPageBytes);
    slot.unlock(old.written_in_place().bits());
    return {};
  }
  if (Status status = admit(slot, kPageBytes); !status.ok()) return status;
  const PageWord copy = pages_.store_plain(page, Claim::data);
  if (copy == PageWord()) return Status::no_memory();
  swap(slot, copy);
  return {};
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
  return store_locked(slot, page, Claim::data);
}

// Stores what has become of the slot's page, and unlocks it.
Status ZstdAllocator::store_locked(Slot& slot, Data page, Claim claim) {
  if (swap_queued(slot, page)) return {};
  Buffer buffer;
  const PageWord word = pages_.store(slot.page(), pages_.compress(page, buffer), claim);
  if (word == PageWord()) return Status::no_memory();
  note_compressed(slot.page());
  Status status = claim == Claim::rewrite ? Status() : admit(slot, PackedPages::footprint(word));
  if (status.ok()) {
    swap(slot, word);
  } else {
    pages_.drop(word);
  }
  return status;
}

// ---- zeroing

Status ZstdAllocator::zero(uint64_t count, uint64_t offset) {
  Patience patience;
  Status status = with_memory(patience, [&] { return zero_pages(count, offset); });
  clean(INT_MAX);
  if (memory_.pressed()) note_trimmed();
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
    if (!is_zero_shared(page.data(), kPageBytes)) {
      // It hardly grows by this, and zeroing is not refused.
      return store_locked(slot, page, Claim::rewrite);
    }
    swap(slot, PageWord());
    return {};
  });
}

}  // namespace ramdisk
