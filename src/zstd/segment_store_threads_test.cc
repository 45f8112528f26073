// SegmentStore in many threads, with a PageTable that refers to the objects as that of the zstd
// disk does, but without compression, so that more steps fit into a second.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/threads.h"
#include "table/page_table.h"
#include "zstd/segment_store.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

constexpr uint64_t kPages = 1500;

// The first bytes of an object are a tag that determines the others.
class Disk {
 public:
  void step(Rng& rng) {
    const Epoch::Guard guard(epoch_);
    PageTable::Cursor cursor(table_, guard);
    const uint64_t page = rng.below(kPages);
    const uint64_t choice = rng.below(100);
    if (choice < 45) {
      write(cursor, page, rng, guard);
    } else if (choice < 55) {
      remove(page, page + 1 + rng.below(8), guard);
    } else {
      read(page, page + 1 + rng.below(8), guard);
    }
    clean(cursor, rng.chance(2), guard);
  }

  void remove(uint64_t first, uint64_t end, const Epoch::Guard& guard) {
    const Status status = table_.change(first, end, guard, [&](PageTable::Slot& slot) {
      const StoredObject* old = object_at(slot.payload());
      slot.unlock(0);
      store_.drop(old, guard);
      return Status();
    });
    ASSERT_TRUE(status.ok());
  }

  // Checks all stored pages and returns how many there are.
  uint64_t count() {
    const Epoch::Guard guard(epoch_);
    return read(0, kPages + 8, guard);
  }

  void finish() {
    EXPECT_EQ(store_.pages(), count());
    EXPECT_GT(moved_.load(), 0u) << "nothing was ever cleaned";
    {
      const Epoch::Guard guard(epoch_);
      remove(0, kPages + 8, guard);
    }
    EXPECT_EQ(store_.pages(), 0u);
    EXPECT_EQ(count(), 0u);
  }

  uint64_t held_bytes() const { return store_.held_bytes(); }

 private:
  static const StoredObject* object_at(uint64_t payload) {
    return reinterpret_cast<const StoredObject*>(static_cast<uintptr_t>(payload));
  }
  static uint64_t payload_for(const StoredObject* object) {
    return reinterpret_cast<uintptr_t>(object);
  }

  void write(PageTable::Cursor& cursor, uint64_t page, Rng& rng, const Epoch::Guard& guard) {
    std::array<std::byte, kPageBytes> buffer;
    const size_t bytes = 8 + rng.below(rng.chance(50) ? 1000 : kPageBytes - 7);
    const uint64_t tag = rng.next();
    std::memcpy(buffer.data(), &tag, sizeof tag);
    unit::fill_pattern({buffer.data() + 8, bytes - 8}, tag);
    StoredObject* object = store_.add(page, {buffer.data(), bytes}, guard);
    ASSERT_NE(object, nullptr);
    PageTable::Slot slot = cursor.lock(page);
    ASSERT_TRUE(slot);
    const StoredObject* old = object_at(slot.payload());
    slot.unlock(payload_for(object));
    if (old) store_.drop(old, guard);
  }

  uint64_t read(uint64_t first, uint64_t end, const Epoch::Guard& guard) {
    uint64_t pages = 0;
    table_.scan(first, end, guard, [&](uint64_t page, uint64_t payload) {
      const StoredObject* object = object_at(payload);
      uint64_t tag = 0;
      EXPECT_EQ(object->page(), page);
      const std::span<const std::byte> bytes = object->bytes();
      std::memcpy(&tag, bytes.data(), sizeof tag);
      EXPECT_TRUE(unit::has_pattern(bytes.subspan(8), tag)) << "page " << page;
      ++pages;
      return !testing::Test::HasFailure();
    });
    return pages;
  }

  void clean(PageTable::Cursor& cursor, bool eager, const Epoch::Guard& guard) {
    using Moved = SegmentStore::Moved;
    const auto effort = eager ? SegmentStore::Effort::all : SegmentStore::Effort::usual;
    store_.clean(effort, guard, [&](const StoredObject* object) {
      PageTable::Slot slot = cursor.try_lock(object->page(), payload_for(object));
      if (!slot) return Moved::left;
      const StoredObject* copy = store_.add_copy(*object, guard);
      if (!copy) return Moved::no_memory;
      slot.unlock(payload_for(copy));
      store_.drop(object, guard);
      ++moved_;
      return Moved::yes;
    });
  }

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Epoch epoch_;
  SegmentStore store_{*memory_, epoch_};
  PageTable table_{*memory_, epoch_, INT64_MAX, {}};
  std::atomic<uint64_t> moved_{0};
};

void run(int threads, int steps) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  Disk disk;
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) disk.step(rng);
  });
  disk.finish();
  // The first slab, the spare one, those of the open segment and of the reserve, and one for each
  // thread that grew the allocator at the same time as others and did not need its slab.
  EXPECT_LE(disk.held_bytes(), (4 + static_cast<uint64_t>(threads)) * SlabAllocator::kSlabBytes);
}

TEST(SegmentStoreThreads, NothingIsLostWhileSegmentsAreCleaned) {
  run(1, scaled(20000));
  run(4, scaled(10000));
  run(16, scaled(2000));
}

}  // namespace
}  // namespace ramdisk
