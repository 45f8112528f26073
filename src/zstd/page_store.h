// PageStore: the pages that a compressing disk stores: compressed pages, groups, plain pages and
// patterns, each referred to by a PageEntry.
//
// It makes, loads and drops entries; the page table, which owns them, is unknown to it. It
// compresses single pages with the current dictionary, if there is one. New groups are compressed
// without one, because neighbours gain little by it, and at a level that costs less than that of
// single pages; if they become cold, the recompressor does better.
//
// Thread contract: any thread. The caller is pinned where a Guard is a parameter, and for as long
// as it uses an entry found in the page table.

#ifndef RAMDISK_ZSTD_PAGE_STORE_H
#define RAMDISK_ZSTD_PAGE_STORE_H

#include <array>
#include <atomic>
#include <optional>
#include <span>

#include "base/pool.h"
#include "ramdisk/status.h"
#include "table/allocation_batch.h"
#include "table/epoch.h"
#include "table/slab_allocator.h"
#include "zstd/codec.h"
#include "zstd/dictionaries.h"
#include "zstd/page_entry.h"
#include "zstd/segment_store.h"
#include "zstd/stored_object.h"

namespace ramdisk {

class PageStore {
 public:
  using Page = std::span<std::byte, kPageBytes>;
  using Data = std::span<const std::byte, kPageBytes>;
  using Buffer = std::array<std::byte, kPageBytes>;

  // Single pages are compressed at `level`, new groups at `group_level`.
  PageStore(MemorySource& memory, Epoch& epoch, int level, int group_level);

  // Allocates contexts in advance, so that serving requests needs no further memory for them.
  // Returns what all contexts together, and one dictionary, may take later, in bytes; 0 if there is
  // no memory.
  size_t prepare();

  // A decompressor, and the contents of the group that it has decompressed last.
  struct Decompression {
    static std::unique_ptr<Decompression> make();  // nullptr if there is no memory
    size_t memory_bytes() const { return sizeof *this + decompressor->memory_bytes(); }

    std::unique_ptr<Decompressor> decompressor;
    const StoredObject* group = nullptr;  // if any, as it was when it had this serial
    uint64_t serial = 0;
    std::array<std::byte, StoredObject::kMaxGroupBytes> contents;
  };

  // ---- compression

  // The result of compressing a page, before it is stored. It is a user of its generation, so it
  // has to be passed to store(), which ends that.
  struct Packed {
    std::span<const std::byte> bytes;  // in the buffer, or in the page if it did not compress
    unsigned generation = 0;
    bool plain() const { return bytes.size() == kPageBytes; }
  };
  Packed compress(Data page, Buffer& buffer);

  // Stores the page and returns its entry; a hole if there is no memory for this claim. `packed`
  // must not be used again in either case.
  PageEntry store(uint64_t number, const Packed& packed, Claim claim, const Epoch::Guard& guard);

  // Returns how long the page would be with `dictionary`, for comparing dictionaries.
  size_t packed_bytes(Data page, const Dictionary* dictionary);

  // ---- uncompressed pages

  // Whether compressing the page would most likely be wasted: it looks like noise, and the last
  // pages did not compress.
  bool looks_incompressible(Data page) const;

  // How many of `pages` (>= 1) neighbours that look incompressible to keep as they are, which it
  // counts; 0: the first of them is to be compressed all the same, to notice when this changes.
  size_t keep_untried(size_t pages);

  // Returns the four bytes that fill the whole page when repeated, if there are such bytes.
  static std::optional<uint32_t> pattern_of(Data page);

  // Stores an uncompressed copy of the page and returns its entry; a hole if there is no memory for
  // this claim.
  PageEntry store_plain(Data page, Claim claim);

  // The same for several pages of Claim::data: `fresh` is a plain_batch(), `expected` (>= 1) how
  // many pages there may be from here on.
  AllocationBatch plain_batch() { return AllocationBatch(plain_); }
  static PageEntry store_plain(Data page, AllocationBatch& fresh, size_t expected) {
    return copy_plain(page, fresh.take(expected).base);
  }

  // ---- all kinds

  // Frees what `entry` refers to, once no pinned thread can be reading it. Nothing shared may hold
  // `entry` any more. It may be of any kind.
  void drop(PageEntry entry, const Epoch::Guard& guard);

  // Returns what the page takes in addition to its entry, in bytes.
  static size_t footprint(PageEntry entry);
  static size_t footprint(const Packed& packed) {
    return packed.plain() ? kPageBytes : StoredObject::footprint(packed.bytes.size());
  }

  // Reads pages, and keeps a decompressor from one to the next. It must not outlive the guard.
  class Reader {
   public:
    Reader(PageStore& pages, const Epoch::Guard&) : pages_(pages) {}

    // Fills `page` with the contents of the page that `entry` describes. Returns EIO if they are
    // damaged in memory. A group is decompressed once for all of its pages that are read in a row,
    // even by several readers.
    Status load(PageEntry entry, Page page);

    // As load(), for a client: finds out which pages of groups are read often.
    Status load_for_client(PageEntry entry, Page page);

    // Fills `contents` with all pages of a group at once; it has their size. `entry` is that of any
    // of them.
    Status load_group(PageEntry entry, std::span<std::byte> contents);

    // The last page of a group that a client has read by itself, not for the first time.
    std::optional<uint64_t> hot_page() const { return hot_page_; }

   private:
    Decompression& context();
    Status load_member(PageEntry entry, Page page, bool& decompressed);
    Status load_object(const StoredObject& object, unsigned generation, std::span<std::byte> out);

    PageStore& pages_;
    std::optional<Pool<Decompression>::Lease> context_;
    std::optional<uint64_t> hot_page_;
  };

  // ---- groups

  static constexpr size_t kMaxGroupFrame = StoredObject::kMaxGroupBytes - sizeof(GroupHead);
  using GroupBuffer = std::array<std::byte, kMaxGroupFrame>;

  // The result of compressing pages of a run together, before it is stored.
  struct Group {
    uint64_t first;                    // page of the run
    uint8_t pages;                     // one bit for each page of the run that it holds
    std::span<const std::byte> frame;  // empty: it does not fit
    size_t single_bytes;               // what a page takes by itself, on average
    unsigned generation = 0;
    bool settled = false;  // recompressing it would gain nothing
  };

  // Compresses `contents`, those of at least two pages, into `frame`.
  Group compress_group(uint64_t first, uint8_t pages, std::span<const std::byte> contents,
                       std::span<std::byte> frame);

  // Returns the longest frame for which it is worth to compress pages of so many bytes together.
  static size_t worthy_frame(size_t contents) {
    return contents - contents / kLeastGain - sizeof(GroupHead);
  }

  // Stores the group and returns its entry, for which the caller must be a user of the generation;
  // a hole if there is no memory for this claim. The group counts as one more user for each of its
  // pages.
  PageEntry store_group(const Group& group, Claim claim, const Epoch::Guard& guard);

  static const GroupHead& head_of(PageEntry group);

  // Whether recompressing the group would gain nothing, now that it has so many members; and that
  // it would not.
  static bool settled(PageEntry group, unsigned members);
  static void settle(PageEntry group, unsigned members);

  // Returns the entry for `copy`, a new copy of what `original` refers to, and counts it as another
  // user of the dictionary.
  PageEntry entry_for_copy(const StoredObject* copy, PageEntry original);

  // ---- memory and totals

  SegmentStore& segments() { return store_; }
  Dictionaries& dictionaries() { return dictionaries_; }
  const Dictionaries& dictionaries() const { return dictionaries_; }
  // Says that up to about `bytes` bytes of plain pages are repeatedly allocated and freed, so that
  // their memory is worth keeping.
  void expect_plain(uint64_t bytes) { plain_.set_keep({2 * bytes, 64}); }
  void release_free_memory() {
    store_.release_free();
    plain_.release_free();
  }
  bool returning_memory() const { return store_.returning() || plain_.returning(); }
  uint64_t memory_bytes() const;

  // As memory_bytes(), but if there were no gaps, no groups and no free memory, and without the
  // dictionary that is charged from the start.
  uint64_t needed_bytes() const;

  // Single pages compressed, bytes that they compressed to, pages compressed in new groups, and
  // groups made by recompression, since the start. All of them wrap around.
  struct Totals {
    uint64_t pages;
    uint64_t bytes;
    uint64_t grouped;
    uint64_t recompressed;
  };
  Totals totals() const {
    return {packed_pages_.load(std::memory_order_relaxed),
            packed_bytes_.load(std::memory_order_relaxed),
            grouped_pages_.load(std::memory_order_relaxed),
            recompressed_.load(std::memory_order_relaxed)};
  }
  void note_recompressed() { recompressed_.fetch_add(1, std::memory_order_relaxed); }

 private:
  static PageEntry copy_plain(Data page, std::byte* block);
  size_t shorten(Data page, Buffer& buffer, const Dictionary* dictionary);
  void learn_expansion(std::span<const std::byte> contents, size_t frame_bytes);
  size_t likely_single_bytes(size_t frame_bytes, uint64_t pages) const;

  // A frame that saves less than this part is not worth the time to decompress it.
  static constexpr size_t kLeastGain = 32;

  Dictionaries dictionaries_;
  Pool<Compressor> compressors_;
  Pool<Compressor> group_compressors_;
  Pool<Decompression> decompressors_;
  SegmentStore store_;
  SlabAllocator plain_;
  const int level_;

  std::atomic<uint32_t> failures_{0};  // consecutive pages that did not compress
  std::atomic<uint32_t> passed_{0};    // pages for which keep_untried() was asked
  std::atomic<uint64_t> packed_pages_{0};
  std::atomic<uint64_t> packed_bytes_{0};
  std::atomic<uint64_t> grouped_pages_{0};
  std::atomic<uint64_t> recompressed_{0};

  // How much more the pages of a group would take by themselves, in parts of kUnit: a running
  // average of samples.
  static constexpr uint32_t kUnit = 1024;
  std::atomic<uint64_t> expansion_{kUnit + kUnit / 4};
  std::atomic<uint64_t> samples_{0};
};

}  // namespace ramdisk

#endif
