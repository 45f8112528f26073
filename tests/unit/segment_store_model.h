// A SegmentStore beside a map of contents: every step is made in both, and the two are compared.
//
// Thread contract: one thread.

#ifndef RAMDISK_UNIT_SEGMENT_STORE_MODEL_H
#define RAMDISK_UNIT_SEGMENT_STORE_MODEL_H

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"
#include "zstd/segment_store.h"

namespace ramdisk::unit {

constexpr size_t kSlab = SlabAllocator::kSlabBytes;
constexpr size_t kSegment = SegmentStore::kSegmentBytes;

// The first slab, a spare, and those of the segment that is being filled and of the reserve.
constexpr size_t kKeptWhenEmpty = 4 * kSlab;

// A page's object is found through here, as through the page table.
struct Owned {
  const StoredObject* object;
  size_t bytes;
  uint64_t tag;  // of the content
};

class StoreModel {
 public:
  ~StoreModel() { EXPECT_EQ(memory_.misuse(), ""); }

  // False when there is no memory: the page keeps what it had.
  bool put(uint64_t page, size_t bytes, Claim claim = Claim::data) {
    const Epoch::Guard guard(epoch_);
    std::vector<std::byte> data(bytes);
    fill_pattern(data, ++last_tag_);
    const StoredObject* object = store_.add(page, data, guard, claim);
    if (!object) return false;
    remove(page);
    owned_[page] = {object, bytes, last_tag_};
    live_ += StoredObject::footprint(bytes);
    check(page);
    return true;
  }

  void remove(uint64_t page) {
    const auto it = owned_.find(page);
    if (it == owned_.end()) return;
    const Epoch::Guard guard(epoch_);
    store_.drop(it->second.object, guard);
    live_ -= StoredObject::footprint(it->second.bytes);
    owned_.erase(it);
  }

  // Cleans one segment. Has memory for `most` objects; leaves one in `leave_one_in` where it is.
  bool clean(bool eager, size_t most = SIZE_MAX, size_t leave_one_in = SIZE_MAX) {
    const Epoch::Guard guard(epoch_);
    size_t moved = 0, seen = 0;
    bool memory = true;
    using Moved = SegmentStore::Moved;
    const auto effort = eager ? SegmentStore::Effort::all : SegmentStore::Effort::usual;
    const auto cleaning = store_.clean(effort, guard, [&](const StoredObject* object) {
      EXPECT_TRUE(memory) << "called again when there was none";
      const auto it = owned_.find(object->page());
      if (it == owned_.end() || it->second.object != object) return Moved::left;
      if (++seen % leave_one_in == 0) return Moved::left;
      const StoredObject* copy = moved < most ? store_.add_copy(*object, guard) : nullptr;
      memory = copy != nullptr;
      if (!memory) return Moved::no_memory;
      store_.drop(object, guard);
      it->second.object = copy;
      ++moved;
      return Moved::yes;
    });
    const bool done = cleaning == SegmentStore::Cleaning::done;
    EXPECT_TRUE(memory || !done);
    moved_ += moved;
    return done;
  }

  // As after a write: as long as there is something to clean.
  void clean_up(bool eager = false) {
    for (int rounds = 0; clean(eager); ++rounds) {
      ASSERT_LT(rounds, 2000) << "cleaning does not get there";
    }
  }

  void check(uint64_t page) const {
    const Owned& owned = owned_.at(page);
    ASSERT_EQ(owned.object->page(), page);
    ASSERT_EQ(owned.object->size(), owned.bytes);
    ASSERT_EQ(owned.object->bytes().size(), owned.bytes);
    ASSERT_TRUE(has_pattern(owned.object->bytes(), owned.tag)) << "page " << page;
  }

  void check() const {
    ASSERT_EQ(store_.pages(), owned_.size());
    for (const auto& [page, owned] : owned_) check(page);
  }

  void remove_all(Rng& rng) {
    std::vector<uint64_t> pages;
    for (const auto& [page, owned] : owned_) pages.push_back(page);
    rng.shuffle(pages);
    for (const uint64_t page : pages) remove(page);
    ASSERT_EQ(store_.pages(), 0u);
  }

  const std::map<uint64_t, Owned>& owned() const { return owned_; }
  size_t live() const { return live_; }    // bytes with headers
  size_t moved() const { return moved_; }  // objects, by cleaning
  SegmentStore& segments() { return store_; }
  Epoch& epoch() { return epoch_; }
  FailingMemory& memory() { return memory_; }

 private:
  FailingMemory memory_;
  Epoch epoch_;
  SegmentStore store_{memory_, epoch_};
  std::map<uint64_t, Owned> owned_;
  uint64_t last_tag_ = 0;
  size_t live_ = 0;
  size_t moved_ = 0;
};

}  // namespace ramdisk::unit

#endif
