#include "disk/clone_disk.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>

#include "base/shared_bytes.h"
#include "base/yield.h"
#include "disk/extent_merger.h"
#include "disk/stored_pages.h"
#include "disk/zero_run.h"

namespace ramdisk {

namespace {

constexpr uint64_t kRegionPages = PageMarks::kWordPages;

uint64_t region_of(uint64_t page) {
  return page / kRegionPages * kRegionPages;  // its first page
}

// The bits of the pages [first, end) of one region.
uint64_t bits_of(uint64_t first, uint64_t end) {
  DCHECK(first < end && end - first <= kRegionPages);
  return ~uint64_t{0} >> (kRegionPages - (end - first)) << (first % kRegionPages);
}

// Passes what one layer reports of a run of pages on to the merger.
class RunVisitor final : public ExtentVisitor {
 public:
  explicit RunVisitor(ExtentMerger& merger) : merger_(merger) {}
  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override {
    return more_ = merger_.extent(offset, length, kind);
  }
  bool more() const { return more_; }

 private:
  ExtentMerger& merger_;
  bool more_ = true;
};

}  // namespace

CloneDisk::CloneDisk(Allocator& base, uint64_t disk_bytes, const AllocatorOptions& options,
                     const Environment& environment)
    : base_(base), disk_bytes_(disk_bytes), options_(options), environment_(environment) {
  DCHECK(options.type != AllocatorType::malloc);
}

void CloneDisk::stop() {
  MutexLock lock(making_);
  if (owned_) owned_->overlay->stop();
}

// ---- the layer

// Makes the layer if there is none. Acquire and release: a thread that finds it finds it complete.
// If it cannot be made, the next change tries again.
Result<CloneDisk::Layer*> CloneDisk::layer() {
  if (Layer* made = layer_.load(std::memory_order_acquire)) return made;
  MutexLock lock(making_);
  if (!owned_) {
    auto made = make_layer();
    if (!made.ok()) return made.status();
    owned_ = std::move(made.value());
    layer_.store(owned_.get(), std::memory_order_release);
  }
  return owned_.get();
}

// Whatever is missing, the client is told that there is no room: the base was made with the same
// options, so nothing else can be wrong with them.
Result<std::unique_ptr<CloneDisk::Layer>> CloneDisk::make_layer() const {
  const auto no_room = [](const Status& status) {
    if (status.errnum() == ENOSPC) return status;
    return Status::error(ENOMEM, std::string(status.message()));
  };
  try {
    auto fresh = std::make_unique<Layer>(*environment_.memory, disk_bytes_);
    auto overlay = make_allocator(options_, disk_bytes_, environment_);
    if (!overlay.ok()) return no_room(overlay.status());
    fresh->overlay = std::move(overlay.value());
    if (Status status = fresh->overlay->get_ready(); !status.ok()) return no_room(status);
    if (Status status = fresh->overlay->after_fork(); !status.ok()) return no_room(status);
    return fresh;
  } catch (const std::bad_alloc&) {
    return Status::no_memory();
  }
}

// ---- reading

// A page that was the clone's own may be zeroed, and lose its mark, while it is read; a write that
// comes after that may be seen before it is complete. So what is read from the overlay counts only
// if the marks are still there afterwards.
Status CloneDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  Layer* const layer = layer_.load(std::memory_order_acquire);
  if (!layer || buffer.empty()) return base_.read(buffer, offset);
  const Epoch::Guard guard(layer->epoch);
  const uint64_t end = offset + buffer.size();
  for (uint64_t at = offset; at < end;) {
    const uint64_t page = at >> kPageShift;
    const PageMarks::Run run = layer->marks.run(page, end_page(at, end - at), guard);
    const uint64_t stop = std::min(end, run.end << kPageShift);
    const std::span<std::byte> part = buffer.subspan(at - offset, stop - at);
    Allocator& from = run.marked ? *layer->overlay : base_;
    if (Status status = from.read(part, at); !status.ok()) return status;
    RAMDISK_YIELD("CloneDisk::read, before the marks are checked again");
    if (run.marked) {
      const PageMarks::Run now = layer->marks.run(page, run.end, guard);
      if (!now.marked || now.end != run.end) continue;
    }
    at = stop;
  }
  return {};
}

Status CloneDisk::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  Layer* const layer = layer_.load(std::memory_order_acquire);
  if (!layer || count == 0) return base_.extents(count, offset, visitor);
  const Epoch::Guard guard(layer->epoch);
  ExtentMerger merger(visitor, count, offset);
  RunVisitor forward(merger);
  const uint64_t end = offset + count;
  for (uint64_t at = offset; at < end;) {
    const PageMarks::Run run = layer->marks.run(at >> kPageShift, end_page(at, end - at), guard);
    const uint64_t stop = std::min(end, run.end << kPageShift);
    Allocator& from = run.marked ? *layer->overlay : base_;
    if (Status status = from.extents(stop - at, at, forward); !status.ok()) return status;
    if (!forward.more()) return {};
    at = stop;
  }
  merger.finish();
  return {};
}

Usage CloneDisk::usage() const {
  const Layer* const layer = layer_.load(std::memory_order_acquire);
  if (!layer) return {};
  Usage usage = layer->overlay->usage();
  usage.memory_bytes += layer->marks.held_bytes();
  return usage;
}

Statistics CloneDisk::statistics() const {
  const Layer* const layer = layer_.load(std::memory_order_acquire);
  if (!layer) return {};
  Statistics statistics = layer->overlay->statistics();
  statistics.usage.memory_bytes += layer->marks.held_bytes();
  return statistics;
}

std::string CloneDisk::describe() const {
  return "private clone of a shared disk (" + base_.describe() + ")";
}

// ---- writing

// Zeroes need no memory for pages; where the base has a hole, not even for marks.
Status CloneDisk::write(std::span<const std::byte> data, uint64_t offset) {
  for (size_t position = 0; position < data.size();) {
    if (const size_t zeroes = zero_run(data, offset, position)) {
      if (Status status = zero(zeroes, offset + position); !status.ok()) return status;
      position += zeroes;
      continue;
    }
    Result<Layer*> made = layer();
    if (!made.ok()) return made.status();
    Result<size_t> done = write_some(*made.value(), data.subspan(position), offset + position);
    if (!done.ok()) return done.status();
    position += done.value();
  }
  return {};
}

// Writes the beginning of `data`, up to the end of the region, and returns how many bytes that was;
// 0 if the page has become the clone's own in the meantime.
Result<size_t> CloneDisk::write_some(Layer& layer, std::span<const std::byte> data,
                                     uint64_t offset) {
  const PagePart head = part_at(offset, data.size(), 0);
  const uint64_t region_end = (region_of(head.page) + kRegionPages) << kPageShift;
  size_t length = std::min<uint64_t>(data.size(), region_end - offset);
  const PagePart tail = part_at(offset, length, length - 1);
  const Epoch::Guard guard(layer.epoch);
  Status status;
  {
    const std::shared_lock lock(layer.lock_of(head.page));
    // The end of a request, if it is part of a page to be copied, is left for the next call.
    if (tail.page != head.page && !is_whole(tail) && !layer.marks.has(tail.page, guard)) {
      length -= tail.length;
    }
    if (is_whole(head) || layer.marks.has(head.page, guard)) {
      status = write_pages(layer, data.first(length), offset, guard);
      if (status.ok()) return length;
    } else {
      length = 0;
    }
  }
  if (length > 0) {
    drop_unmarked(layer, head.page, end_page(offset, length), guard);
    return status;
  }
  RAMDISK_YIELD("CloneDisk::write_some, before a page is copied");
  Result<bool> copied = copy_from_base(layer, head, data.data(), guard);
  if (!copied.ok()) return copied.status();
  return copied.value() ? head.length : size_t{0};
}

// Under the region's lock, of which all writers have a share. The pages at the two ends may be
// written in part only if they are the clone's own. The memory for the marks is taken first: what
// has been stored must not fail to be seen.
Status CloneDisk::write_pages(Layer& layer, std::span<const std::byte> data, uint64_t offset,
                              const Epoch::Guard& guard) {
  const uint64_t first = offset >> kPageShift;
  const uint64_t missing =
      bits_of(first, end_page(offset, data.size())) & ~layer.marks.word(first, guard);
  if (missing == 0) return layer.overlay->write(data, offset);
  PageMarks::Hold hold(layer.marks, first, guard);
  if (!hold) return Status::no_memory();
  if (Status status = layer.overlay->write(data, offset); !status.ok()) return status;
  RAMDISK_YIELD("CloneDisk::write_pages, before the marks");
  hold.set(missing);
  return {};
}

// After a write that failed: frees what it stored before that for pages without a mark. The lock
// keeps out all that may have stored a page and not marked it yet. To zero whole pages never fails.
void CloneDisk::drop_unmarked(Layer& layer, uint64_t first, uint64_t end,
                              const Epoch::Guard& guard) {
  const std::unique_lock lock(layer.lock_of(first));
  while (first < end) {
    const PageMarks::Run run = layer.marks.run(first, end, guard);
    if (!run.marked) (void)layer.overlay->zero(bytes_between(first, run.end), first << kPageShift);
    first = run.end;
  }
}

// Stores a page that is not the clone's own as the base has it, but with `data` in `part`, or
// zeroes if `data` is null. False if the page is the clone's own already.
Result<bool> CloneDisk::copy_from_base(Layer& layer, const PagePart& part, const std::byte* data,
                                       const Epoch::Guard& guard) {
  const std::unique_lock lock(layer.lock_of(part.page));
  if (layer.marks.has(part.page, guard)) return false;
  PageMarks::Hold hold(layer.marks, part.page, guard);
  if (!hold) return Status::no_memory();
  std::array<std::byte, kPageBytes> bytes;
  const uint64_t start = part.page << kPageShift;
  const std::span<std::byte> page = std::span(bytes).first(bytes_of(part.page));
  if (Status status = base_.read(page, start); !status.ok()) return status;
  if (data) {
    std::memcpy(page.data() + part.offset, data, part.length);
  } else {
    std::memset(page.data() + part.offset, 0, part.length);
  }
  if (Status status = layer.overlay->write(page, start); !status.ok()) return status;
  hold.set(uint64_t{1} << (part.page % kRegionPages));
  return true;
}

// ---- zeroing

Status CloneDisk::zero(uint64_t count, uint64_t offset) {
  if (count == 0) return {};
  const PagePart head = part_at(offset, count, 0);
  const PagePart tail = part_at(offset, count, count - 1);
  uint64_t first = head.page;
  uint64_t end = tail.page + 1;
  if (!is_whole(head)) {
    if (Status status = zero_part(head); !status.ok()) return status;
    ++first;
  }
  if (first < end && !is_whole(tail)) {
    if (Status status = zero_part(tail); !status.ok()) return status;
    --end;
  }
  return first < end ? zero_pages(first, end) : Status();
}

Status CloneDisk::zero_part(const PagePart& part) {
  const uint64_t start = (part.page << kPageShift) + part.offset;
  for (;;) {
    if (Layer* const layer = layer_.load(std::memory_order_acquire)) {
      const Epoch::Guard guard(layer->epoch);
      const std::shared_lock lock(layer->lock_of(part.page));
      if (layer->marks.has(part.page, guard)) return layer->overlay->zero(part.length, start);
    }
    std::array<std::byte, kPageBytes> bytes;
    const std::span<std::byte> now = std::span(bytes).first(part.length);
    if (Status status = base_.read(now, start); !status.ok()) return status;
    if (is_zero_shared(now.data(), now.size())) return {};
    Result<Layer*> made = layer();
    if (!made.ok()) return made.status();
    const Epoch::Guard guard(made.value()->epoch);
    Result<bool> copied = copy_from_base(*made.value(), part, nullptr, guard);
    if (!copied.ok()) return copied.status();
    if (copied.value()) return {};
  }
}

// Goes from region to region, where the base stores a page or the clone has one of its own.
Status CloneDisk::zero_pages(uint64_t first, uint64_t end) {
  StoredPages in_base(base_, disk_bytes_, first, end);
  for (uint64_t page = first;;) {
    Result<uint64_t> next = in_base.next(page);
    if (!next.ok()) return next.status();
    page = std::min(next.value(), next_own(page, next.value()));
    if (page >= end) return {};
    const uint64_t stop = std::min(end, region_of(page) + kRegionPages);
    Result<uint64_t> stored = in_base.among(page, stop);
    if (!stored.ok()) return stored.status();
    Result<Layer*> made = layer();
    if (!made.ok()) return made.status();
    if (Status status = zero_region(*made.value(), page, stop, stored.value()); !status.ok()) {
      return status;
    }
    page = stop;
  }
}

// The first of the clone's own pages in [first, end), or `end`.
uint64_t CloneDisk::next_own(uint64_t first, uint64_t end) {
  Layer* const layer = layer_.load(std::memory_order_acquire);
  if (!layer) return end;
  const Epoch::Guard guard(layer->epoch);
  return layer->marks.next(first, end, guard);
}

// Zeroes pages of one region. Bit i of `stored` says whether the base stores page `first` + i. The
// lock keeps out writers, who would not see that a mark goes.
Status CloneDisk::zero_region(Layer& layer, uint64_t first, uint64_t end, uint64_t stored) {
  const Epoch::Guard guard(layer.epoch);
  const std::unique_lock lock(layer.lock_of(first));
  const uint64_t in_base = stored << (first % kRegionPages);
  const uint64_t own = layer.marks.word(first, guard) & bits_of(first, end);
  std::optional<PageMarks::Hold> hold;
  if (in_base & ~own) {
    hold.emplace(layer.marks, first, guard);
    if (!*hold) return Status::no_memory();
  }
  if (own) {
    Status status = layer.overlay->zero(bytes_between(first, end), first << kPageShift);
    if (!status.ok()) return status;
  }
  RAMDISK_YIELD("CloneDisk::zero_region, before the marks");
  if (hold) hold->set(in_base & ~own);
  if (own & ~in_base) layer.marks.clear(first, own & ~in_base, guard);
  return {};
}

Result<std::unique_ptr<Allocator>> make_clone(Allocator& base, uint64_t disk_bytes,
                                              const AllocatorOptions& options,
                                              const Environment& environment) {
  if (options.type == AllocatorType::malloc) {
    return Status::error(ENOTSUP,
                         "allocator=malloc cannot make private clones, because each would take the "
                         "memory of the whole disk: use allocator=sparse or allocator=zstd");
  }
  if (Status status = check_options(options); !status.ok()) return status;
  return {std::make_unique<CloneDisk>(base, disk_bytes, options, environment)};
}

}  // namespace ramdisk
