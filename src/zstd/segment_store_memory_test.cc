// SegmentStore and memory: gaps are bounded, dropped objects' memory is returned, and a lack of
// memory is survived.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"
#include "unit/segment_store_model.h"
#include "zstd/segment_store.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;
using unit::kKeptWhenEmpty;
using unit::kSegment;
using unit::kSlab;
using unit::Owned;
using unit::StoreModel;

// Returns how much memory may be held for `live` bytes of objects: these bytes; gaps of a tenth and
// one segment; the open segment and the reserve; the unused end of each segment; and what the slab
// allocator keeps, which is its dirty allowance and two slabs.
size_t most_held(size_t live) {
  const size_t used = live + live / 9 + 3 * kSegment;
  return used + used / 20 + (size_t{4} << 20) + 2 * kSlab;
}

TEST(SegmentStoreMemory, GapsStayBoundedWhateverIsOverwritten) {
  StoreModel store;
  Rng rng(11);
  constexpr uint64_t kPages = 8000;
  for (uint64_t page = 0; page < kPages; ++page)
    ASSERT_TRUE(store.put(page, 1000 + rng.below(3000)));
  for (int round = 0; round < scaled(8) + 1; ++round) {
    // Overwrites pages at random first, then thins every segment evenly.
    for (uint64_t i = 0; i < kPages / 2; ++i) {
      ASSERT_TRUE(store.put(rng.below(kPages), 1 + rng.below(4096)));
      store.clean_up();
    }
    ASSERT_LE(store.segments().held_bytes(), most_held(store.live()));
    for (uint64_t page = rng.below(3); page < kPages; page += 3) {
      ASSERT_TRUE(store.put(page, 1 + rng.below(4096)));
      store.clean_up();
    }
    ASSERT_LE(store.segments().held_bytes(), most_held(store.live()));
  }
  store.check();
  EXPECT_GT(store.segments().held_bytes(), store.live());
}

TEST(SegmentStoreMemory, HeldFollowsWhatIsRemoved) {
  StoreModel store;
  Rng rng(12);
  for (uint64_t page = 0; page < 12000; ++page)
    ASSERT_TRUE(store.put(page, 1000 + rng.below(3000)));
  for (uint64_t left = 10000; left > 0; left -= 2500) {
    while (store.owned().size() > left) {
      store.remove(rng.below(12000));
      store.clean_up();
    }
    ASSERT_LE(store.segments().held_bytes(), most_held(store.live())) << left << " objects";
  }
  store.check();
}

// Needs no cleaning: a segment is freed when its last object is dropped.
TEST(SegmentStoreMemory, EverythingComesBackWhenAllIsDropped) {
  StoreModel store;
  Rng rng(13);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t page = 0; page < 5000; ++page) ASSERT_TRUE(store.put(page, 4096));
    ASSERT_GE(store.segments().held_bytes(), 5000u * 4096);
    store.remove_all(rng);
    EXPECT_LE(store.segments().held_bytes(), kKeptWhenEmpty);
    EXPECT_LE(store.memory().mapped_bytes(), kKeptWhenEmpty);
  }
}

TEST(SegmentStoreMemory, ReadersKeepWhatWasDropped) {
  StoreModel store;
  for (uint64_t page = 0; page < 1000; ++page) ASSERT_TRUE(store.put(page, 4000));
  const std::map<uint64_t, Owned> before = store.owned();
  const Epoch::Guard reader(store.epoch());
  for (uint64_t page = 0; page < 1000; ++page) store.remove(page);
  for (uint64_t page = 0; page < 1000; ++page) ASSERT_TRUE(store.put(page, 4000));
  store.clean_up();
  for (const auto& [page, owned] : before) {
    ASSERT_EQ(owned.object->page(), page);
    ASSERT_TRUE(unit::has_pattern(owned.object->bytes(), owned.tag));
  }
}

TEST(SegmentStoreMemory, NothingToCleanNothingIsVisited) {
  StoreModel store;
  for (uint64_t pages : {0, 500, 2000}) {
    while (store.owned().size() < pages) ASSERT_TRUE(store.put(store.owned().size(), 4096));
    const Epoch::Guard guard(store.epoch());
    for (const bool eager : {false, true}) {
      const auto effort = eager ? SegmentStore::Effort::all : SegmentStore::Effort::usual;
      const auto cleaning = store.segments().clean(effort, guard, [](const StoredObject*) {
        ADD_FAILURE() << "there are no gaps";
        return SegmentStore::Moved::yes;
      });
      EXPECT_EQ(cleaning, SegmentStore::Cleaning::nothing);
    }
  }
}

// A few gaps are left alone unless memory is needed.
TEST(SegmentStoreMemory, EagerCleaningWantsTheLastGaps) {
  StoreModel store;
  for (uint64_t page = 0; page < 2000; ++page) ASSERT_TRUE(store.put(page, 4096));
  for (uint64_t page = 0; page < 60; ++page) store.remove(page);  // most of the first segment
  EXPECT_FALSE(store.clean(false));
  EXPECT_TRUE(store.clean(true));
  store.clean_up(true);
  store.check();
}

// A segment whose objects could not be moved is not tried again at once, or cleaning would never
// end; but it is tried again when something has changed.
TEST(SegmentStoreMemory, SegmentThatCannotBeCleanedIsPutAside) {
  StoreModel store;
  Rng rng(14);
  constexpr uint64_t kPages = 12000;
  for (uint64_t page = 0; page < kPages; ++page) ASSERT_TRUE(store.put(page, 4096));
  for (uint64_t page = 0; page < kPages; ++page) {
    if (page % 4 != 0) store.remove(page);
  }
  for (int rounds = 0; store.clean(false, SIZE_MAX, 1); ++rounds) ASSERT_LT(rounds, 200);
  EXPECT_EQ(store.moved(), 0u);
  EXPECT_GT(store.segments().held_bytes(), kPages * 4096);
  for (uint64_t page = 0; page < kPages; page += 12) store.remove(page);
  store.clean_up();
  EXPECT_LT(store.segments().held_bytes(), most_held(store.live()));
  store.check();
  store.remove_all(rng);
  EXPECT_LE(store.segments().held_bytes(), kKeptWhenEmpty);
}

// A segment whose objects are all in use does not keep the cleaner from the others.
TEST(SegmentStoreMemory, SegmentsInUseAreTriedInTurn) {
  StoreModel store;
  constexpr uint64_t kPages = 4000;
  for (uint64_t page = 0; page < kPages; ++page) ASSERT_TRUE(store.put(page, 4096));
  for (uint64_t page = 0; page < kPages; ++page) {
    if (page % 4 != 0) store.remove(page);
  }
  std::set<const StoredObject*> seen;
  for (int segments = 1; segments <= 5; ++segments) {
    const size_t before = seen.size();
    const Epoch::Guard guard(store.epoch());
    const auto leave = [&](const StoredObject* object) {
      EXPECT_TRUE(seen.insert(object).second) << "it is tried again at once";
      return SegmentStore::Moved::left;
    };
    EXPECT_EQ(store.segments().clean(SegmentStore::Effort::usual, guard, leave),
              SegmentStore::Cleaning::done);
    EXPECT_GT(seen.size(), before);
  }
}

// Gaps in a segment that is still being filled are no reason to keep a reserve.
TEST(SegmentStoreMemory, ASmallStoreKeepsNoReserve) {
  StoreModel store;
  for (uint64_t page = 0; page < 10; ++page) ASSERT_TRUE(store.put(page, 4096));
  store.remove(3);
  store.segments().release_free();
  const uint64_t held = store.segments().held_bytes();
  EXPECT_FALSE(store.clean(true));
  store.segments().release_free();
  EXPECT_EQ(store.segments().held_bytes(), held);
}

// ---- memory that runs out

TEST(SegmentStoreMemory, AddThatFailsLeavesTheStore) {
  for (uint64_t nth = 0; nth < 40; nth += nth < 4 ? 1 : 6) {
    SCOPED_TRACE("call " + std::to_string(nth));
    StoreModel store;
    store.memory().fail_from(nth);
    uint64_t pages = 0;
    while (pages < 2000 && store.put(pages, 4096)) ++pages;
    ASSERT_GT(store.memory().failures(), 0u);
    store.check();
    EXPECT_FALSE(pages > 0 && store.put(0, 4096)) << "a page keeps its old bytes";
    store.check();
    for (uint64_t page = 0; page < pages; page += 2) store.remove(page);
    store.clean(true);  // this may find no memory
    store.check();
    store.memory().allow();
    store.clean_up();
    for (uint64_t page = 0; page < 2000; ++page) ASSERT_TRUE(store.put(page, 4096));
    store.check();
  }
}

// Even with no memory left, gaps become room for new objects; that is what the reserve is for.
TEST(SegmentStoreMemory, CleanerMakesRoomWithoutMemory) {
  for (const uint64_t nth : {40, 43, 46}) {
    SCOPED_TRACE("call " + std::to_string(nth));
    StoreModel store;
    store.memory().fail_from(nth);
    uint64_t pages = 0;
    for (; store.put(pages, 4096); ++pages) store.clean(false);
    ASSERT_GT(pages, 1000u);
    ASSERT_FALSE(store.put(0, 4096));
    for (uint64_t page = 0; page < pages; page += 2) store.remove(page);
    const auto put = [&](uint64_t page) {
      while (!store.put(page, 4096)) {
        if (!store.clean(true)) return false;
      }
      return true;
    };
    uint64_t again = 0;
    for (uint64_t page = 0; page < pages && put(page); page += 2) ++again;
    EXPECT_GT(again, pages / 2 * 8 / 10) << "of " << pages / 2 << " that were removed";
    store.check();
  }
}

// When the last segment is full, and none can replace it, its gaps have to become room as well;
// with half of it still in use, that of the cleaner, which then has room for another half.
TEST(SegmentStoreMemory, GapsOfTheOpenSegmentBecomeRoom) {
  constexpr uint64_t kInSegment = 72;
  for (const uint64_t removed : {kInSegment, kInSegment / 2}) {
    SCOPED_TRACE(removed);
    StoreModel store;
    store.memory().fail_from(43);
    uint64_t pages = 0;
    while (store.put(pages, 4096)) ++pages;
    ASSERT_GT(pages, 1000u);
    for (uint64_t page = pages - removed; page < pages; ++page) store.remove(page);
    EXPECT_FALSE(store.put(pages, 4096));
    EXPECT_TRUE(store.clean(true));
    if (removed < kInSegment) {
      for (uint64_t page = 0; page < kInSegment / 2; ++page) store.remove(page);
      EXPECT_TRUE(store.clean(true));
    }
    uint64_t again = 0;
    while (again <= kInSegment && store.put(pages + again, 4096)) ++again;
    EXPECT_EQ(again, kInSegment);
    store.check();
    EXPECT_FALSE(store.segments().in_transit());
  }
}

// A segment that still has room is left to those that fill it.
TEST(SegmentStoreMemory, AnOpenSegmentWithRoomStaysOpen) {
  StoreModel store;
  for (uint64_t page = 0; page < 40; ++page) ASSERT_TRUE(store.put(page, 4096));
  for (uint64_t page = 0; page < 39; ++page) store.remove(page);
  EXPECT_FALSE(store.clean(true));
}

// While a thread takes the memory of a segment, others that find none may wait for it.
TEST(SegmentStoreMemory, SaysWhenASegmentIsInTransit) {
  class Watching final : public support::FailingMemory {
   public:
    bool populate(void* base, size_t bytes) override {
      if (store && bytes == kSegment) seen.push_back(store->in_transit());
      return FailingMemory::populate(base, bytes);
    }
    const SegmentStore* store = nullptr;
    std::vector<bool> seen;
  };
  Watching memory;
  Epoch epoch;
  SegmentStore store(memory, epoch);
  memory.store = &store;
  const Epoch::Guard guard(epoch);
  const std::vector<std::byte> data(4096);
  EXPECT_FALSE(store.in_transit());
  ASSERT_TRUE(store.add(0, data, guard));
  EXPECT_FALSE(store.in_transit());
  uint64_t pages = 1;
  memory.fail_from(0);
  while (store.add(pages, data, guard)) ++pages;
  EXPECT_FALSE(store.in_transit()) << "the attempt has failed";
  EXPECT_EQ(memory.seen, std::vector<bool>({true, true}));
}

// Neither a reserve nor what has been retired counts as being in transit.
TEST(SegmentStoreMemory, NothingIsInTransitWhenNobodyIsAtWork) {
  StoreModel store;
  constexpr uint64_t kPages = 1000;
  for (int round = 0; round < 3; ++round) {
    for (uint64_t page = 0; page < kPages; ++page) ASSERT_TRUE(store.put(page, 4096));
    EXPECT_FALSE(store.segments().in_transit()) << "full";
    for (uint64_t page = 0; page < kPages; page += 1 + page % 3) store.remove(page);
    store.clean_up(true);
    EXPECT_FALSE(store.segments().in_transit()) << "cleaned";
    for (uint64_t page = 0; page < kPages; ++page) store.remove(page);
    EXPECT_FALSE(store.segments().in_transit()) << "empty";
  }
}

// Writers take all memory that becomes free, and some pages of every victim are in use. The memory
// with which the cleaner works must not be lost between them.
TEST(SegmentStoreMemory, CleanerGetsOnAmongWritersAndBusyPages) {
  StoreModel store;
  Rng rng(15);
  store.memory().fail_from(43);
  uint64_t pages = 0;
  while (store.put(pages, 4096)) ++pages;
  ASSERT_GT(pages, 1000u);
  uint64_t next = pages;
  for (int round = 0; round < scaled(300); ++round) {
    for (int i = 0; i < 100; ++i) store.remove(rng.below(next));
    store.clean(true, SIZE_MAX, 5);
    while (store.put(next, 4096, Claim::rewrite)) ++next;
  }
  const size_t before = store.owned().size();
  for (uint64_t page = 0; page < next; page += 2) store.remove(page);
  const size_t removed = before - store.owned().size();
  size_t again = 0;
  for (int failed = 0; failed < 10; failed = store.clean(true) ? 0 : failed + 1) {
    for (; again < removed && store.put(next, 4096); ++again) ++next;
  }
  EXPECT_GT(again, removed * 8 / 10) << "of " << removed << " that were removed";
  store.check();
}

}  // namespace
}  // namespace ramdisk
