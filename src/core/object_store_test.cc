// ObjectStore by one thread against a map of contents: adding, dropping, cleaning, giving back.

#include "core/object_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "conformance/data.h"
#include "conformance/failing_memory.h"
#include "unit/pattern.h"

namespace ramdisk {
namespace {

using conformance::FailingMemory;
using conformance::Rng;
using conformance::scaled;

constexpr size_t kSlab = Arena::kSlabBytes;
constexpr size_t kSegment = size_t{73} * 4096;  // bytes of one, header included

// A page's object is found through here, as through the page table.
struct Owned {
  const StoredObject* object;
  size_t bytes;
  uint64_t tag;  // of the content
};

class Store {
 public:
  ~Store() { EXPECT_EQ(memory_.misuse(), ""); }

  // False when there is no memory: the page keeps what it had.
  bool put(uint64_t page, size_t bytes) {
    const Epoch::Guard guard(epoch_);
    std::vector<std::byte> data(bytes);
    unit::fill_pattern(data, ++last_tag_);
    const StoredObject* object = store_.add(page, data);
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
    store_.drop(it->second.object);
    live_ -= StoredObject::footprint(it->second.bytes);
    owned_.erase(it);
  }

  // Cleans one segment. Stops after `most` objects; leaves one in `leave_one_in` where it is.
  void clean(size_t most = SIZE_MAX, size_t leave_one_in = SIZE_MAX) {
    const Epoch::Guard guard(epoch_);
    size_t visited = 0;
    store_.clean([&](const StoredObject* object) {
      EXPECT_LE(visited, most) << "called again after it had enough";
      ++visited;
      const auto it = owned_.find(object->page());
      if (it == owned_.end() || it->second.object != object) return visited < most;
      if (visited % leave_one_in == 0) return visited < most;
      const StoredObject* copy = store_.add(object->page(), object->bytes());
      if (!copy) return false;
      store_.drop(object);
      it->second.object = copy;
      ++moved_;
      return visited < most;
    });
  }

  // As after each write: cleans while that is wanted.
  void clean_up() {
    for (int rounds = 0; store_.wants_cleaning(); ++rounds) {
      ASSERT_LT(rounds, 2000) << "cleaning does not get there";
      clean();
    }
  }

  void check(uint64_t page) const {
    const Owned& owned = owned_.at(page);
    ASSERT_EQ(owned.object->page(), page);
    ASSERT_EQ(owned.object->size(), owned.bytes);
    ASSERT_EQ(owned.object->bytes().size(), owned.bytes);
    ASSERT_TRUE(unit::has_pattern(owned.object->bytes(), owned.tag)) << "page " << page;
  }

  void check() const {
    ASSERT_EQ(store_.objects(), owned_.size());
    for (const auto& [page, owned] : owned_) check(page);
  }

  void remove_all(Rng& rng) {
    std::vector<uint64_t> pages;
    for (const auto& [page, owned] : owned_) pages.push_back(page);
    for (size_t i = pages.size(); i > 1; --i) std::swap(pages[i - 1], pages[rng.below(i)]);
    for (const uint64_t page : pages) remove(page);
    ASSERT_EQ(store_.objects(), 0u);
  }

  const std::map<uint64_t, Owned>& owned() const { return owned_; }
  size_t live() const { return live_; }    // bytes with headers
  size_t moved() const { return moved_; }  // objects, by cleaning
  ObjectStore& store() { return store_; }
  Epoch& epoch() { return epoch_; }
  FailingMemory& memory() { return memory_; }

 private:
  FailingMemory memory_;
  Epoch epoch_;
  ObjectStore store_{memory_, epoch_};
  std::map<uint64_t, Owned> owned_;
  uint64_t last_tag_ = 0;
  size_t live_ = 0;
  size_t moved_ = 0;
};

TEST(StoredObject, KeepsPageAndSize) {
  const uint64_t last = (uint64_t{1} << 51) - 1;  // of the largest disk
  for (const uint64_t page : {uint64_t{0}, uint64_t{1}, uint64_t{8191}, uint64_t{8192}, last}) {
    for (const size_t bytes : {1, 7, 8, 9, 4095, 4096}) {
      const StoredObject object(page, bytes);
      EXPECT_EQ(object.page(), page);
      EXPECT_EQ(object.size(), bytes);
      EXPECT_EQ(StoredObject::footprint(bytes) % 8, 0u);
      EXPECT_GE(StoredObject::footprint(bytes), bytes + 8);
      EXPECT_LT(StoredObject::footprint(bytes), bytes + 16);
    }
  }
}

constexpr std::array<size_t, 12> kSizes = {1, 2, 7, 8, 9, 63, 64, 65, 1000, 2047, 4095, 4096};

TEST(ObjectStore, EverySizeAndTheLastPage) {
  Store store;
  uint64_t page = (uint64_t{1} << 51) - 1;
  for (const size_t bytes : kSizes) ASSERT_TRUE(store.put(page--, bytes));
  store.check();
}

void random_steps(uint64_t stream, int steps, uint64_t pages, size_t largest) {
  Store store;
  Rng rng(stream);
  for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
    const uint64_t page = rng.below(pages);
    if (rng.chance(65)) {
      const size_t bytes = rng.chance(30) ? rng.pick(kSizes) : 1 + rng.below(largest);
      ASSERT_TRUE(store.put(page, bytes));
    } else {
      store.remove(page);
    }
    // Cleaners that give up half-way, that leave objects where they are, and that do it all.
    if (rng.chance(30)) store.clean(1 + rng.below(100));
    if (rng.chance(30)) store.clean(SIZE_MAX, 1 + rng.below(3));
    if (rng.chance(10)) store.clean_up();
    if (i % 200 == 0) store.check();
  }
  store.check();
  EXPECT_GT(store.moved(), 0u) << "nothing was ever cleaned";
  store.remove_all(rng);
  EXPECT_LE(store.memory().mapped_bytes(), 3 * kSlab);
}

TEST(ObjectStore, RandomStepsAgainstAMap) {
  random_steps(1, scaled(10000), 50, 4096);    // hardly more than a segment
  random_steps(2, scaled(20000), 1000, 4096);  // several slabs
  random_steps(3, scaled(20000), 5000, 100);   // small objects
}

// ---- segments

// Segments are blocks of an arena; which one an object lies in shows in its address.
uintptr_t segment_of(const StoredObject* object) {
  const auto address = reinterpret_cast<uintptr_t>(object);
  const uintptr_t slab = address & ~(kSlab - 1);
  return slab + (address - slab - Arena::kHeaderBytes) / kSegment;
}

// How many bytes of objects fit into one segment; the next one is begun when this returns.
size_t bytes_of_a_segment(ObjectStore& store) {
  const std::array<std::byte, 8> small{};
  const uintptr_t first = segment_of(store.add(0, small));
  size_t bytes = StoredObject::footprint(small.size());
  while (segment_of(store.add(0, small)) == first) bytes += StoredObject::footprint(small.size());
  return bytes;
}

// Adds objects of a whole page until one is the first of its segment.
const StoredObject* begin_segment(ObjectStore& store) {
  static const std::vector<std::byte> page(kPageBytes);
  const StoredObject* object = store.add(0, page);
  for (const uintptr_t before = segment_of(object); segment_of(object) == before;) {
    object = store.add(0, page);
  }
  return object;
}

// The last object leaves no byte free, or wants one word more than there is.
TEST(ObjectStore, SegmentIsFilledExactly) {
  FailingMemory memory;
  Epoch epoch;
  ObjectStore store(memory, epoch);
  const Epoch::Guard guard(epoch);
  const size_t room = bytes_of_a_segment(store);
  EXPECT_GT(room, kSegment - 256) << "the header is small";
  EXPECT_LT(room, kSegment);
  const std::vector<std::byte> page(kPageBytes);
  for (const size_t too_much : {size_t{0}, size_t{8}}) {
    const uintptr_t segment = segment_of(begin_segment(store));
    size_t left = room - StoredObject::footprint(kPageBytes);
    for (; left > 4000; left -= StoredObject::footprint(1992)) {
      ASSERT_EQ(segment_of(store.add(1, std::span(page).first(1992))), segment);
    }
    const StoredObject* last = store.add(2, std::span(page).first(left - 8 + too_much));
    EXPECT_EQ(segment_of(last) == segment, too_much == 0);
    EXPECT_NE(segment_of(store.add(3, std::span(page).first(1))), segment);
  }
}

TEST(ObjectStore, ObjectsArePackedOneBehindTheOther) {
  FailingMemory memory;
  Epoch epoch;
  ObjectStore store(memory, epoch);
  const Epoch::Guard guard(epoch);
  const std::vector<std::byte> data(kPageBytes);
  const StoredObject* last = store.add(0, std::span(data).first(1));
  for (const size_t bytes : kSizes) {
    const StoredObject* object = store.add(0, std::span(data).first(bytes));
    EXPECT_EQ(reinterpret_cast<const std::byte*>(object) - reinterpret_cast<const std::byte*>(last),
              static_cast<ptrdiff_t>(StoredObject::footprint(last->size())));
    last = object;
  }
}

// ---- memory

// What may be held for `live` bytes of objects: a tenth and one segment of gaps, a rest at the end
// of each segment, and what the arena keeps: its dirty allowance and two slabs.
size_t most_held(size_t live) {
  const size_t used = live + live / 9 + 2 * kSegment;
  return used + used / 20 + (size_t{4} << 20) + 2 * kSlab;
}

TEST(ObjectStore, GapsStayBoundedWhateverIsOverwritten) {
  Store store;
  Rng rng(11);
  constexpr uint64_t kPages = 8000;
  for (uint64_t page = 0; page < kPages; ++page)
    ASSERT_TRUE(store.put(page, 1000 + rng.below(3000)));
  for (int round = 0; round < scaled(8) + 1; ++round) {
    // A pass at random, then one that thins every segment evenly.
    for (uint64_t i = 0; i < kPages / 2; ++i) {
      ASSERT_TRUE(store.put(rng.below(kPages), 1 + rng.below(4096)));
      store.clean_up();
    }
    ASSERT_LE(store.store().held_bytes(), most_held(store.live()));
    for (uint64_t page = rng.below(3); page < kPages; page += 3) {
      ASSERT_TRUE(store.put(page, 1 + rng.below(4096)));
      store.clean_up();
    }
    ASSERT_LE(store.store().held_bytes(), most_held(store.live()));
  }
  store.check();
  EXPECT_GT(store.store().held_bytes(), store.live());
}

TEST(ObjectStore, HeldFollowsWhatIsRemoved) {
  Store store;
  Rng rng(12);
  for (uint64_t page = 0; page < 12000; ++page)
    ASSERT_TRUE(store.put(page, 1000 + rng.below(3000)));
  for (uint64_t left = 10000; left > 0; left -= 2500) {
    while (store.owned().size() > left) {
      store.remove(rng.below(12000));
      store.clean_up();
    }
    ASSERT_LE(store.store().held_bytes(), most_held(store.live())) << left << " objects";
  }
  store.check();
}

// Without any cleaning: a segment goes when its last object does.
TEST(ObjectStore, EverythingComesBackWhenAllIsDropped) {
  Store store;
  Rng rng(13);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t page = 0; page < 5000; ++page) ASSERT_TRUE(store.put(page, 4096));
    ASSERT_GE(store.store().held_bytes(), 5000u * 4096);
    store.remove_all(rng);
    // The first slab, a spare, and that of the segment which is being filled.
    EXPECT_LE(store.store().held_bytes(), 3 * kSlab);
    EXPECT_LE(store.memory().mapped_bytes(), 3 * kSlab);
  }
}

TEST(ObjectStore, ReadersKeepWhatWasDropped) {
  Store store;
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

TEST(ObjectStore, NothingToCleanNothingIsVisited) {
  Store store;
  EXPECT_FALSE(store.store().wants_cleaning());
  for (uint64_t page = 0; page < 500; ++page) ASSERT_TRUE(store.put(page, 4096));
  EXPECT_FALSE(store.store().wants_cleaning());
  const Epoch::Guard guard(store.epoch());
  store.store().clean([](const StoredObject*) {
    ADD_FAILURE() << "there are no gaps";
    return false;
  });
}

// ---- memory that runs out

TEST(ObjectStore, AddThatFailsLeavesTheStore) {
  for (uint64_t nth = 0; nth < 40; nth += nth < 4 ? 1 : 6) {
    SCOPED_TRACE("call " + std::to_string(nth));
    Store store;
    store.memory().fail_from(nth);
    uint64_t pages = 0;
    while (pages < 2000 && store.put(pages, 4096)) ++pages;
    ASSERT_GT(store.memory().failures(), 0u);
    store.check();
    EXPECT_FALSE(pages > 0 && store.put(0, 4096)) << "a page keeps its old bytes";
    store.check();
    for (uint64_t page = 0; page < pages; page += 2) store.remove(page);
    store.clean();  // may have to give up
    store.check();
    store.memory().allow();
    store.clean_up();
    for (uint64_t page = 0; page < 2000; ++page) ASSERT_TRUE(store.put(page, 4096));
    store.check();
  }
}

}  // namespace
}  // namespace ramdisk
