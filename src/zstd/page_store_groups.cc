// The groups of a PageStore: how they are compressed, stored and counted.

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "zstd/page_store.h"

namespace ramdisk {

PageStore::Group PageStore::compress_group(uint64_t first, uint8_t pages,
                                           std::span<const std::byte> contents,
                                           std::span<std::byte> frame) {
  constexpr uint64_t kLearn =
      uint64_t{16} * StoredObject::kGroupPages;  // pages from sample to sample
  const auto count = static_cast<uint64_t>(std::popcount(pages));
  DCHECK(contents.size() == count * kPageBytes && frame.size() <= kMaxGroupFrame);
  size_t length = 0;
  {
    const Pool<Compressor>::Lease compressor(group_compressors_);
    length = compressor->compress(frame, contents, nullptr);
  }
  if (length == 0) {
    failures_.fetch_add(static_cast<uint32_t>(count), std::memory_order_relaxed);
    return {first, pages, {}, 0};
  }
  failures_.store(0, std::memory_order_relaxed);
  const uint64_t before = grouped_pages_.fetch_add(count, std::memory_order_relaxed);
  if (before / kLearn != (before + count) / kLearn) learn_expansion(contents, length);
  return {first, pages, frame.first(length), likely_single_bytes(length, count)};
}

// Compresses one of the pages by itself, each time another one. Threads that do so at once may lose
// one of the samples.
void PageStore::learn_expansion(std::span<const std::byte> contents, size_t frame_bytes) {
  const uint64_t count = contents.size() / kPageBytes;
  const uint64_t chosen = samples_.fetch_add(1, std::memory_order_relaxed) % count;
  const unsigned generation = dictionaries_.ref();
  const uint64_t single = packed_bytes(contents.subspan(chosen * kPageBytes).first<kPageBytes>(),
                                       dictionaries_.get(generation));
  dictionaries_.unref(generation);
  const uint64_t sample = std::max<uint64_t>(single * count * kUnit / frame_bytes, kUnit);
  const uint64_t average = expansion_.load(std::memory_order_relaxed);
  expansion_.store((7 * average + sample + 4) / 8, std::memory_order_relaxed);
}

size_t PageStore::likely_single_bytes(size_t frame_bytes, uint64_t pages) const {
  const uint64_t expansion = expansion_.load(std::memory_order_relaxed);
  const uint64_t together = StoredObject::footprint(sizeof(GroupHead) + frame_bytes);
  return std::min<uint64_t>((together * expansion / kUnit + pages - 1) / pages, kPageBytes);
}

PageEntry PageStore::store_group(const Group& group, Claim claim, const Epoch::Guard& guard) {
  GroupHead head;
  head.pages = group.pages;
  head.whole = static_cast<uint8_t>(std::popcount(group.pages));
  head.settled = group.settled ? head.whole : uint8_t{0};
  head.members = head.whole;
  head.single_units = GroupHead::units(group.single_bytes);
  DCHECK(head.members >= 2 && group.first % StoredObject::kGroupPages == 0);
  const StoredObject* object = store_.add_group(group.first, head, group.frame, claim, guard);
  if (!object) return {};
  for (unsigned i = 0; i < head.members; ++i) dictionaries_.ref(group.generation);
  return PageEntry::compressed(object, group.generation);
}

PageEntry PageStore::entry_for_copy(const StoredObject* copy, PageEntry original) {
  dictionaries_.ref(original.generation());
  return PageEntry::compressed(copy, original.generation()).member(original.index());
}

const GroupHead& PageStore::head_of(PageEntry group) {
  DCHECK(group.kind() == PageKind::group);
  return head_of_group(*group.stored());
}

bool PageStore::settled(PageEntry group, unsigned members) {
  return __atomic_load_n(&head_of(group).settled, __ATOMIC_RELAXED) == members;
}

void PageStore::settle(PageEntry group, unsigned members) {
  __atomic_store_n(&head_of_group(*group.stored()).settled, static_cast<uint8_t>(members),
                   __ATOMIC_RELAXED);
}

}  // namespace ramdisk
