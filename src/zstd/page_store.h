// PageStore: what a compressing disk keeps, page by page: compressed objects, plain pages and
// patterns, under the words that stand for them.
//
// It makes, reads and drops words; who owns them (the page table) is not its business. What is
// compressed is compressed with the current dictionary, if there is one.
//
// Thread contract: any thread; pinned where a Guard is asked for, and for as long as a word found
// in the page table is used.

#ifndef RAMDISK_ZSTD_PAGE_STORE_H
#define RAMDISK_ZSTD_PAGE_STORE_H

#include <array>
#include <atomic>
#include <optional>
#include <span>

#include "base/pool.h"
#include "ramdisk/status.h"
#include "table/epoch.h"
#include "table/slab_allocator.h"
#include "zstd/codec.h"
#include "zstd/dictionaries.h"
#include "zstd/page_entry.h"
#include "zstd/segment_store.h"

namespace ramdisk {

class PageStore {
 public:
  using Page = std::span<std::byte, kPageBytes>;
  using Data = std::span<const std::byte, kPageBytes>;
  using Buffer = std::array<std::byte, kPageBytes>;

  PageStore(MemorySource& memory, Epoch& epoch, int level);

  // Takes what is needed to serve requests without further memory for contexts. Returns what all
  // contexts together, and one dictionary, may take later; 0 when there is no memory.
  size_t prepare();

  // ---- compression

  // The result of compressing a page, before it is stored. It is a user of its generation, so it
  // has to be stored.
  struct Packed {
    std::span<const std::byte> bytes;  // of the buffer, or of the page if it did not compress
    unsigned generation = 0;
    bool plain() const { return bytes.size() == kPageBytes; }
  };
  Packed compress(Data page, Buffer& buffer);

  // A word for the page; a hole when there is no memory for this claim. The packed page is used up.
  PageEntry store(uint64_t number, const Packed& packed, Claim claim, const Epoch::Guard& guard);

  // How long the page would be with `dictionary`: for comparing dictionaries.
  size_t packed_bytes(Data page, const Dictionary* dictionary);

  // ---- pages as they are

  // Whether compressing the page would most likely be for nothing: it looks like noise, and so did
  // what was compressed last. Lets some pass, to find out when this changes.
  bool looks_incompressible(Data page);

  // The word of four bytes that fills the page over and over, if one does.
  static std::optional<uint32_t> pattern_of(Data page);

  // A word for a copy of the page as it is; a hole when there is no memory for this claim.
  PageEntry store_plain(Data page, Claim claim);

  // ---- all kinds

  // Nothing refers to `word` any more; it came from store(), a hole, a pattern or a plain page.
  void drop(PageEntry word, const Epoch::Guard& guard);

  // What the page takes beside its word, in bytes.
  static size_t footprint(PageEntry word);
  static size_t footprint(const Packed& packed) {
    return packed.plain() ? kPageBytes : StoredObject::footprint(packed.bytes.size());
  }

  // Reads pages, and keeps what it needs for that between them: a decompressor, the group that was
  // read last. Lives no longer than the guard.
  class Reader {
   public:
    Reader(PageStore& pages, const Epoch::Guard&) : pages_(pages) {}
    // Fills `page` with what `word` stands for. EIO if it is damaged in memory.
    Status load(PageEntry word, Page page);
    // A page of a group that was read and had been read before.
    std::optional<uint64_t> hot_page() const { return hot_page_; }

   private:
    Status load_object(const StoredObject& object, unsigned generation, std::span<std::byte> out);

    PageStore& pages_;
    std::optional<Pool<Decompressor>::Lease> decompressor_;
    const StoredObject* group_ = nullptr;
    std::array<std::byte, StoredObject::kMaxGroupBytes> group_bytes_;
    std::optional<uint64_t> hot_page_;
  };

  // ---- groups

  // Stores `frame`, the pages of a group compressed together by someone else, which take
  // `single_bytes` each by themselves. A hole when there is no memory. The caller is a user of the
  // generation; the group is four more.
  PageEntry store_group(uint64_t first, std::span<const std::byte> frame, unsigned generation,
                        size_t single_bytes, const Epoch::Guard& guard);
  static constexpr size_t kMaxGroupFrame = StoredObject::kMaxGroupBytes - sizeof(GroupHead);

  // The word for another copy of what `original` stands for, as yet unused.
  PageEntry word_for_copy(const StoredObject* copy, PageEntry original);

  // ---- what there is

  SegmentStore& segments() { return store_; }
  Dictionaries& dictionaries() { return dictionaries_; }
  const Dictionaries& dictionaries() const { return dictionaries_; }
  // At most about so many bytes of plain pages come and go.
  void expect_plain(uint64_t bytes) { plain_.set_keep({2 * bytes, 64}); }
  void release_free_memory() {
    store_.release_free();
    plain_.release_free();
  }
  bool returning_memory() const { return store_.returning() || plain_.returning(); }
  uint64_t memory_bytes() const;

  // As memory_bytes(), if there were no gaps, no groups and no free memory; without the dictionary
  // that is paid for from the start.
  uint64_t needed_bytes() const;

  // Pages that were compressed, bytes that came out, and groups that were made of pages, since the
  // start; all wrap around.
  struct Totals {
    uint64_t pages;
    uint64_t bytes;
    uint64_t recompressed;
  };
  Totals totals() const {
    return {packed_pages_.load(std::memory_order_relaxed),
            packed_bytes_.load(std::memory_order_relaxed),
            recompressed_.load(std::memory_order_relaxed)};
  }
  void note_recompressed() { recompressed_.fetch_add(1, std::memory_order_relaxed); }

 private:
  size_t shorten(Data page, Buffer& buffer, const Dictionary* dictionary);

  Dictionaries dictionaries_;
  Pool<Compressor> compressors_;
  Pool<Decompressor> decompressors_;
  SegmentStore store_;
  SlabAllocator plain_;
  const int level_;

  std::atomic<uint32_t> failures_{0};  // pages in a row that did not compress
  std::atomic<uint32_t> passed_{0};    // counts pages that looked incompressible
  std::atomic<uint64_t> packed_pages_{0};
  std::atomic<uint64_t> packed_bytes_{0};
  std::atomic<uint64_t> recompressed_{0};
};

}  // namespace ramdisk

#endif
