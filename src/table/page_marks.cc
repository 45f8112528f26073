#include "table/page_marks.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/check.h"
#include "base/page.h"

namespace ramdisk {

PageMarks::PageMarks(MemorySource& memory, Epoch& epoch, uint64_t disk_bytes)
    : blocks_(memory, epoch, RadixTree::kNodeBytes),
      tree_(blocks_, (disk_bytes >> (kPageShift + kLeafShift)) + 1) {}

// Acquire, here and below, pairs with the release of Hold::set().
uint64_t PageMarks::word(uint64_t page, const Epoch::Guard&) const {
  Leaf* const leaf = find(page);
  return leaf ? leaf->word_of(page).load(std::memory_order_acquire) : 0;
}

// Marks may change meanwhile, so each word is loaded once: a run has a page at least.
PageMarks::Run PageMarks::run(uint64_t first, uint64_t end, const Epoch::Guard& guard) const {
  DCHECK(first < end);
  const uint64_t bits = word(first, guard) >> (first % kWordPages);
  const uint64_t word_end = (first | (kWordPages - 1)) + 1;
  if ((bits & 1) == 0) {
    if (bits == 0 && end > word_end) return {false, next(word_end, end, guard)};
    return {false, bits == 0 ? end : std::min(end, first + std::countr_zero(bits))};
  }
  uint64_t stop = first + std::countr_one(bits);
  while (stop < end && stop >= word_end && stop % kWordPages == 0) {
    const uint64_t marked = std::countr_one(word(stop, guard));
    stop += marked;
    if (marked < kWordPages) break;
  }
  return {true, std::min(end, stop)};
}

uint64_t PageMarks::next(uint64_t first, uint64_t end, const Epoch::Guard&) const {
  for (uint64_t page = first; page < end;) {
    Leaf* const leaf = static_cast<Leaf*>(tree_.next(page >> kLeafShift));
    if (!leaf) return end;
    const uint64_t base = leaf->key << kLeafShift;
    const uint64_t stop = std::min(end, base + kLeafPages);
    for (page = std::max(page, base); page < stop; page = (page | (kWordPages - 1)) + 1) {
      const uint64_t bits =
          leaf->word_of(page).load(std::memory_order_acquire) >> (page % kWordPages);
      if (bits != 0) return std::min(end, page + std::countr_zero(bits));
    }
  }
  return end;
}

PageMarks::Hold::Hold(PageMarks& marks, uint64_t page, const Epoch::Guard& guard)
    : marks_(marks), page_(page), guard_(guard), leaf_(marks.hold(page)) {}

PageMarks::Hold::~Hold() {
  if (!leaf_) return;
  MutexLock lock(marks_.mutex_);
  DCHECK(leaf_->holds > 0);
  --leaf_->holds;
  marks_.drop_if_unused(leaf_, guard_);
}

void PageMarks::Hold::set(uint64_t bits) {
  CHECK(leaf_);
  MutexLock lock(marks_.mutex_);
  std::atomic<uint64_t>& word = leaf_->word_of(page_);
  const uint64_t before = word.load(std::memory_order_relaxed);
  leaf_->marked += static_cast<uint32_t>(std::popcount(bits & ~before));
  word.store(before | bits, std::memory_order_release);
}

// Marks are small beside the pages they stand for, and a trim may need one: Claim::rewrite lets
// them be set where the limit has no room for new data.
PageMarks::Leaf* PageMarks::hold(uint64_t page) {
  {
    MutexLock lock(mutex_);
    if (Leaf* leaf = find(page)) {
      ++leaf->holds;
      return leaf;
    }
  }
  const SlabAllocator::Run run = blocks_.allocate(1, Claim::rewrite);
  if (!run.base) return nullptr;
  Leaf* const leaf = new (run.base) Leaf;
  leaf->key = page >> kLeafShift;
  Leaf* present = nullptr;
  {
    MutexLock lock(mutex_);
    present = static_cast<Leaf*>(tree_.insert(leaf, Claim::rewrite));
    if (present) ++present->holds;
  }
  if (present == leaf) {
    leaves_.fetch_add(1, std::memory_order_relaxed);
  } else {
    blocks_.free({run.base, 1, false});
  }
  return present;
}

void PageMarks::drop_if_unused(Leaf* leaf, const Epoch::Guard& guard) {
  if (leaf->marked > 0 || leaf->holds > 0) return;
  tree_.erase(leaf->key, guard);
  std::byte* block = reinterpret_cast<std::byte*>(leaf);
  blocks_.retire({&block, 1}, guard);
  leaves_.fetch_sub(1, std::memory_order_relaxed);
}

void PageMarks::clear(uint64_t page, uint64_t bits, const Epoch::Guard& guard) {
  MutexLock lock(mutex_);
  Leaf* const leaf = find(page);
  if (!leaf) return;
  std::atomic<uint64_t>& word = leaf->word_of(page);
  const uint64_t before = word.load(std::memory_order_relaxed);
  DCHECK(leaf->marked >= static_cast<uint32_t>(std::popcount(before & bits)));
  leaf->marked -= static_cast<uint32_t>(std::popcount(before & bits));
  word.store(before & ~bits, std::memory_order_release);
  drop_if_unused(leaf, guard);
}

}  // namespace ramdisk
