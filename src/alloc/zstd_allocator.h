// allocator=zstd: pages compressed with zstd, each by itself or, when cold, with its neighbours.
//
// A word of the page table is a PageWord. What it refers to never changes, but for plain pages, so
// readers need no lock: a write makes something new and swaps the word. What is written waits as a
// plain page in a short queue, the tier of uncompressed pages, until a background thread compresses
// it; when the queue is full, or there are no such threads, the writer compresses.
//
// A plain page in the queue that is being compressed is claimed: by one thread, which alone takes
// that mark away again. A write to it goes on as if it were not, and marks it as touched, so that
// the result is thrown away. (Comparing words would not do: a page may be freed, and taken again
// for the same page of the disk, but not while the thread that compresses it is pinned.)

#ifndef RAMDISK_ALLOC_ZSTD_ALLOCATOR_H
#define RAMDISK_ALLOC_ZSTD_ALLOCATOR_H

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "alloc/packed_pages.h"
#include "alloc/recent_pages.h"
#include "alloc/registry.h"
#include "alloc/write_queue.h"
#include "core/epoch.h"
#include "core/page_table.h"
#include "core/patience.h"
#include "core/workers.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

class ZstdAllocator final : public Allocator {
 public:
  // `disk_bytes`: 0 to 2^63-1. The options are those of zstd, checked.
  ZstdAllocator(const Environment& environment, uint64_t disk_bytes,
                const AllocatorOptions& options);
  ~ZstdAllocator() override;

  Status get_ready() override;
  Status after_fork() override;
  void stop() override;
  // EIO if a stored page is damaged.
  Status read(std::span<std::byte> buffer, uint64_t offset) override;
  Status write(std::span<const std::byte> data, uint64_t offset) override;
  Status zero(uint64_t count, uint64_t offset) override;
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override;
  Usage usage() const override;
  Statistics statistics() const override;
  std::string describe() const override;

  // How many pages have been compressed, and into how many bytes.
  PackedPages::Totals totals() const { return pages_.totals(); }

 private:
  using Page = PackedPages::Page;
  using Data = PackedPages::Data;
  using Buffer = PackedPages::Buffer;
  using Reader = PackedPages::Reader;
  using Slot = PageTable::Slot;
  using Cursor = PageTable::Cursor;

  // ---- requests (zstd_allocator.cc)

  void swap(Slot& slot, PageWord word);
  bool swap_queued(Slot& slot, Data page);
  void note_work();
  void note_compressed(uint64_t number);

  Status read_some(std::span<std::byte> buffer, uint64_t offset);
  Status write_pages(std::span<const std::byte> data, uint64_t offset, Patience& patience);
  Status write_page(const PagePart& part, const std::byte* data);
  Status write_whole(uint64_t number, Data page);
  bool try_plain(Slot& slot, Data page);
  Status write_incompressible(uint64_t number, Data page);
  Status write_word(uint64_t number, PageWord word);
  Status write_in_place(uint64_t number, Data page);
  Status write_part(const PagePart& part, const std::byte* data);
  Status zero_whole(uint64_t first, uint64_t end);
  Status zero_part(const PagePart& part);
  Status zero_pages(uint64_t count, uint64_t offset);
  Status store_locked(Slot& slot, Data page, Claim claim);
  Status admit(const Slot& slot, size_t bytes);
  uint64_t needed_bytes() const;

  // ---- when memory is short (zstd_pressure.cc)

  template <typename Request>
  Status with_memory(Patience& patience, Request request);
  bool relieve(int round);
  bool release_free_memory();
  bool empty_queue();
  void note_trimmed();
  bool give_back_trimmed();

  // ---- work in the background (zstd_background.cc)

  Workers::Rest work(size_t worker);
  Workers::Rest do_work(size_t worker);
  Workers::Rest maintain();
  Workers::Rest tidy_up();
  bool tick_if_due();
  void tick();
  void advance_time();
  void limit_queue();
  bool compress_queued(Claim claim);
  void end_claim(uint64_t number, PageWord claimed, bool later, Cursor& cursor);

  using Effort = ObjectStore::Effort;
  using Cleaning = ObjectStore::Cleaning;
  using Moved = ObjectStore::Moved;
  Cleaning clean_segment(Effort effort);
  void clean(int segments);
  Moved move_object(const StoredObject& object, Cursor& cursor);

  // ---- groups (zstd_groups.cc)

  Workers::Rest regroup_some();
  PageTable::Settled find_settled();
  bool begin_regrouping();
  void end_regrouping();
  bool regroup_directory(uint64_t first);
  bool regroup(uint64_t first);
  enum class Grouped { yes, no, later, no_memory };  // later: someone is at work on a page
  Grouped make_group(uint64_t first, Reader& reader, Cursor& cursor);
  struct Members;
  Members members_of(const StoredObject& group, Cursor& cursor);
  // What became of a group; what its pages take by themselves, if that is why it is still one.
  struct Divided {
    Moved moved;
    size_t single_bytes;
  };
  Divided divide(const StoredObject& group, const Members& members, Cursor& cursor);
  Divided release(const std::array<PackedPages::Packed, StoredObject::kGroupPages>& packed,
                  Moved moved);
  Moved move_group(const StoredObject& group, Cursor& cursor);
  void unpack(uint64_t number, Reader& reader);
  Moved unpack_page(uint64_t number, PageWord word, Reader& reader, Cursor& cursor, Claim claim);
  bool renew_some();

  // ---- dictionaries (zstd_training.cc)

  void watch_data(PackedPages::Totals totals);
  bool train_if_due();
  void train(bool quickly);

  // Dictionaries are made when so many pages have been compressed.
  static constexpr uint64_t kFirstTraining = RecentPages::kMost;
  static constexpr uint64_t kSecondTraining = 8192;
  // Cold pages are compressed at this level or, if that is higher, the user's.
  static constexpr int kGroupLevel = 9;

  const AllocatorOptions options_;
  const Pace pace_;
  MemorySource& memory_;
  uint64_t fixed_bytes_ = 0;  // what compression itself takes at most, counted from the start
  // In the order of their lives: the epoch outlives what retires into it.
  mutable Epoch epoch_;
  PackedPages pages_;
  PageTable table_;
  WriteQueue queue_;
  RecentPages recent_;
  std::atomic<size_t> second_chances_{0};  // given in a row
  std::atomic<bool> quiet_{true};          // the first worker rests until it is woken
  std::atomic<size_t> workers_running_{0};
  std::atomic<bool> trimmed_{false};  // while memory was short: it is to be given back

  // Of the first worker alone.
  struct Maintenance {
    std::chrono::steady_clock::time_point last_tick;
    uint32_t time = 0;         // in ticks
    uint64_t tick_pages = 0;   // that had been compressed at the last tick
    uint64_t tick_stored = 0;  // pages that there were then
    uint64_t tick_memory = 0;  // bytes that they took
    bool idle = false;         // none has changed between the last two
    bool tidy = true;          // tidy_up() has nothing to do
    // Training: after so many compressed pages; what a page took when the dictionary was new.
    uint64_t next_training = kFirstTraining;
    uint32_t last_training = 0;  // a time
    uint32_t failed_training = UINT32_MAX;
    PackedPages::Totals last_totals{};
    double usual_bytes = 0;
    bool data_changed = false;
    // Regrouping: where the walk over the disk is, and what it needs while it is under way.
    std::unique_ptr<Compressor> compressor;
    unsigned generation = 0;
    bool walked = true;           // to the end since the last tick
    bool later = false;           // a page of the directory could not be looked at
    bool something_warm = false;  // that a later walk will find cold: there is to be a tick
    uint64_t next_page = 0;
    // Renewal: where the walk is that ends old generations; no_page when it is not under way.
    uint64_t renew_page = PageTable::no_page;
    uint32_t last_renewal = 0;  // a time
  };
  Maintenance maintenance_;
  Workers workers_;  // ended first
};

}  // namespace ramdisk

#endif
