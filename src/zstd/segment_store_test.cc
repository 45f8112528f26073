// SegmentStore in one thread, compared with a map of contents: adding, dropping, cleaning, and
// segments.

#include "zstd/segment_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"
#include "unit/segment_store_model.h"

namespace ramdisk {
namespace {

using conformance::FailingMemory;
using conformance::Rng;
using conformance::scaled;
using unit::kKeptWhenEmpty;
using unit::kSegment;
using unit::kSlab;
using unit::StoreModel;

constexpr unsigned kGroup = StoredObject::kGroupPages;

constexpr std::array<size_t, 12> kSizes = {1, 2, 7, 8, 9, 63, 64, 65, 1000, 2047, 4095, 4096};

TEST(SegmentStore, EverySizeAndTheLastPage) {
  StoreModel store;
  uint64_t page = (uint64_t{1} << 51) - 1;
  for (const size_t bytes : kSizes) ASSERT_TRUE(store.put(page--, bytes));
  store.check();
}

void random_steps(uint64_t stream, int steps, uint64_t pages, size_t largest) {
  StoreModel store;
  Rng rng(stream);
  for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
    const uint64_t page = rng.below(pages);
    if (rng.chance(65)) {
      const size_t bytes = rng.chance(30) ? rng.pick(kSizes) : 1 + rng.below(largest);
      ASSERT_TRUE(store.put(page, bytes));
    } else {
      store.remove(page);
    }
    // Some cleaners give up half-way, some leave objects where they are, and some move everything.
    const bool eager = rng.chance(10);
    if (rng.chance(30)) store.clean(eager, rng.below(100));
    if (rng.chance(30)) store.clean(eager, SIZE_MAX, 1 + rng.below(3));
    if (rng.chance(10)) store.clean_up(eager);
    if (i % 200 == 0) store.check();
  }
  store.check();
  EXPECT_GT(store.moved(), 0u) << "nothing was ever cleaned";
  store.remove_all(rng);
  EXPECT_LE(store.memory().mapped_bytes(), kKeptWhenEmpty);
}

TEST(SegmentStore, RandomStepsAgainstAMap) {
  random_steps(1, scaled(10000), 50, 4096);    // hardly more than a segment
  random_steps(2, scaled(20000), 1000, 4096);  // several slabs
  random_steps(3, scaled(20000), 5000, 100);   // small objects
}

// ---- segments

// Segments are blocks of a slab, so the address of an object tells its segment.
uintptr_t segment_of(const StoredObject* object) {
  const auto address = reinterpret_cast<uintptr_t>(object);
  const uintptr_t slab = address & ~(kSlab - 1);
  return slab + (address - slab - SlabAllocator::kHeaderBytes) / kSegment;
}

// Returns how many bytes of objects fit into one segment. The next segment has been begun when this
// returns.
size_t bytes_of_a_segment(SegmentStore& store, const Epoch::Guard& guard) {
  const std::array<std::byte, 8> small{};
  const uintptr_t first = segment_of(store.add(0, small, guard));
  size_t bytes = StoredObject::footprint(small.size());
  while (segment_of(store.add(0, small, guard)) == first)
    bytes += StoredObject::footprint(small.size());
  return bytes;
}

// Adds objects of a whole page until one is the first of its segment. Of the segments that the
// cleaner fills, only one is open.
const StoredObject* begin_segment(SegmentStore& store, const Epoch::Guard& guard) {
  static const std::vector<std::byte> page(kPageBytes);
  const StoredObject* object = store.add(0, page, guard, Claim::reclaim);
  for (const uintptr_t before = segment_of(object); segment_of(object) == before;) {
    object = store.add(0, page, guard, Claim::reclaim);
  }
  return object;
}

// The last object leaves no byte free, or needs 8 bytes more than there are.
TEST(SegmentStore, SegmentIsFilledExactly) {
  FailingMemory memory;
  Epoch epoch;
  SegmentStore store(memory, epoch);
  const Epoch::Guard guard(epoch);
  const size_t room = bytes_of_a_segment(store, guard);
  EXPECT_GT(room, kSegment - 256) << "the header is small";
  EXPECT_LT(room, kSegment);
  const std::vector<std::byte> page(kPageBytes);
  for (const size_t too_much : {size_t{0}, size_t{8}}) {
    const uintptr_t segment = segment_of(begin_segment(store, guard));
    size_t left = room - StoredObject::footprint(kPageBytes);
    for (; left > 4000; left -= StoredObject::footprint(1992)) {
      ASSERT_EQ(segment_of(store.add(1, std::span(page).first(1992), guard, Claim::reclaim)),
                segment);
    }
    const StoredObject* last =
        store.add(2, std::span(page).first(left - 8 + too_much), guard, Claim::reclaim);
    EXPECT_EQ(segment_of(last) == segment, too_much == 0);
    EXPECT_NE(segment_of(store.add(3, std::span(page).first(1), guard, Claim::reclaim)), segment);
  }
}

TEST(SegmentStore, ObjectsArePackedOneBehindTheOther) {
  FailingMemory memory;
  Epoch epoch;
  SegmentStore store(memory, epoch);
  const Epoch::Guard guard(epoch);
  const std::vector<std::byte> data(kPageBytes);
  const StoredObject* last = store.add(0, std::span(data).first(1), guard);
  for (const size_t bytes : kSizes) {
    const StoredObject* object = store.add(0, std::span(data).first(bytes), guard);
    EXPECT_EQ(reinterpret_cast<const std::byte*>(object) - reinterpret_cast<const std::byte*>(last),
              static_cast<ptrdiff_t>(StoredObject::footprint(last->size())));
    last = object;
  }
}

constexpr auto kAll = SegmentStore::Effort::all;
using Cleaning = SegmentStore::Cleaning;
using Moved = SegmentStore::Moved;

// Adds a group of all pages of a run.
StoredObject* add_group(SegmentStore& store, uint64_t first, std::span<const std::byte> frame,
                        size_t single_bytes, const Epoch::Guard& guard) {
  GroupHead head;
  head.pages = (1u << kGroup) - 1;
  head.whole = kGroup;
  head.members = kGroup;
  head.single_units = GroupHead::units(single_bytes);
  return store.add_group(first, head, frame, Claim::data, guard);
}

// A group is dropped page by page. Its remaining pages count as what they take one by one, if that
// is less.
TEST(SegmentStore, GroupsAreDroppedInShares) {
  FailingMemory memory;
  Epoch epoch;
  SegmentStore store(memory, epoch);
  const std::vector<std::byte> data(kGroup * 2250, std::byte{5});
  std::vector<const StoredObject*> groups;
  const Epoch::Guard guard(epoch);
  for (uint64_t i = 0; i < 200; ++i)
    groups.push_back(add_group(store, kGroup * i, data, 2500, guard));
  EXPECT_EQ(store.pages(), 200 * kGroup);
  EXPECT_EQ(store.clean(kAll, guard, [](const StoredObject*) { return Moved::yes; }),
            Cleaning::nothing)
      << "there are no gaps";
  for (const StoredObject* group : groups) {
    for (unsigned i = 1; i < kGroup; ++i) store.drop(group, guard);
  }
  EXPECT_EQ(store.pages(), 200u);
  size_t seen = 0;
  const auto move = [&](const StoredObject* object) {
    EXPECT_TRUE(object->group());
    EXPECT_EQ(object->bytes().size(), sizeof(GroupHead) + data.size());
    ++seen;
    store.drop(object, guard);
    return Moved::yes;
  };
  while (store.clean(kAll, guard, move) == Cleaning::done) {
  }
  EXPECT_GT(seen, 150u) << "all but those in the open segment";
  EXPECT_EQ(store.pages(), 200 - seen);
}

TEST(SegmentStore, AMovedGroupIsTheSame) {
  FailingMemory memory;
  Epoch epoch;
  SegmentStore store(memory, epoch);
  std::vector<std::byte> data(kGroup * 3000 + 345);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  const Epoch::Guard guard(epoch);
  const StoredObject* group = add_group(store, 400, data, 4000, guard);
  const StoredObject* copy = store.add_copy(*group, kGroup, 4000, guard);
  ASSERT_NE(copy, group);
  EXPECT_TRUE(copy->group());
  EXPECT_EQ(copy->page(), 400u);
  const auto frame = copy->bytes().subspan(sizeof(GroupHead));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), frame.begin(), frame.end()));
  EXPECT_EQ(store.pages(), 2 * kGroup);
}

// A disk needs what its pages take by themselves, grouped or not, because there has to be room to
// overwrite them one by one.
TEST(SegmentStore, AGroupNeedsWhatItsPagesTakeByThemselves) {
  FailingMemory memory;
  Epoch epoch;
  SegmentStore store(memory, epoch);
  const std::vector<std::byte> data(kGroup * 1500, std::byte{5});
  const Epoch::Guard guard(epoch);
  std::vector<const StoredObject*> groups;
  for (uint64_t i = 0; i < 100; ++i)
    groups.push_back(add_group(store, kGroup * i, data, 2000, guard));
  const auto needs = [&](uint64_t pages) {
    const uint64_t bytes = pages * 2000;
    EXPECT_EQ(store.needed_bytes(), bytes + bytes / 128);
  };
  needs(100 * kGroup);
  for (uint64_t gone = 1; gone <= kGroup; ++gone) {
    for (const StoredObject* group : groups) store.drop(group, guard);
    needs(100 * (kGroup - gone));
  }
  const StoredObject* group = add_group(store, 0, data, 2000, guard);
  store.drop(group, guard);
  const StoredObject* copy = store.add_copy(*group, kGroup - 1, 2000, guard);
  needs(2 * (kGroup - 1));
  for (unsigned i = 1; i < kGroup; ++i) store.drop(group, guard);
  needs(kGroup - 1);
  for (unsigned i = 1; i < kGroup; ++i) store.drop(copy, guard);
  needs(0);
}

}  // namespace
}  // namespace ramdisk
