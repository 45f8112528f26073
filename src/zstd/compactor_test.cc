// Compactor: what has left the write cache is compressed once, and its room is free again.

#include "zstd/compactor.h"

#include <gtest/gtest.h>

#include <string_view>

#include "unit/at_yield.h"
#include "unit/still_disk.h"

namespace ramdisk {
namespace {

using support::Bytes;
using support::Data;
using support::make_data;

class CompactorTest : public unit::StillDisk {
 protected:
  CompactorTest() { state_.write_cache.set_limit(64); }

  // Writes the page into the write cache.
  void cache_text(uint64_t number) {
    Bytes page = make_data(kPageBytes, Data::text, rng_);
    const Epoch::Guard guard(state_.epoch);
    PageTable::Slot slot = PageTable::Cursor(state_.table, guard).lock(number);
    ASSERT_TRUE(slot);
    ASSERT_TRUE(state_.cache(slot, PageStore::Data(page.data(), kPageBytes), guard));
    note_written(number, std::move(page));
  }

  // Makes the page a hole. Its number stays in the write cache.
  void trim(uint64_t number) {
    const Epoch::Guard guard(state_.epoch);
    PageTable::Slot slot = PageTable::Cursor(state_.table, guard).lock_existing(number);
    ASSERT_TRUE(slot);
    state_.replace(slot, PageEntry(), guard);
  }

  void compact_all() {
    state_.write_cache.hurry();
    while (compactor_.compact_some(Claim::data) == Compactor::Outcome::done) {
    }
  }

  Compactor compactor_{state_};
};

TEST_F(CompactorTest, NeighboursBecomeAGroup) {
  for (uint64_t page = 0; page < StoredObject::kGroupPages; ++page) cache_text(page);
  compact_all();
  for (uint64_t page = 0; page < StoredObject::kGroupPages; ++page) {
    EXPECT_EQ(entry(page).kind(), PageKind::group) << "page " << page;
  }
  EXPECT_TRUE(state_.write_cache.empty());
  expect_written();
}

// A page that was trimmed and written again is in the write cache twice. If that happens once more
// between its two turns, it is claimed at both of them: it counts as one page of the batch, and
// both places in the write cache become free.
TEST_F(CompactorTest, APageThatIsClaimedTwiceIsOnePage) {
  NEEDS_YIELD_POINTS();
  for (const uint64_t neighbours : {0, 1}) {
    SCOPED_TRACE(neighbours);
    cache_text(8);
    trim(8);
    cache_text(8);
    for (uint64_t page = 9; page < 9 + neighbours; ++page) cache_text(page);
    {
      bool replaced = false;
      const unit::AtYield at([&](std::string_view place) {
        if (replaced || place != "Compactor::claim_page, claimed") return;
        replaced = true;
        trim(8);
        cache_text(8);
      });
      compact_all();
      EXPECT_TRUE(replaced);
    }
    compact_all();  // takes out the last of its places
    EXPECT_TRUE(state_.write_cache.empty()) << state_.write_cache.size();
    EXPECT_EQ(entry(8).kind(), neighbours ? PageKind::group : PageKind::compressed);
    expect_written();
  }
}

}  // namespace
}  // namespace ramdisk
