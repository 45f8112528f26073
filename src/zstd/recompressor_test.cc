// Recompressor: cold neighbours become a group together, or not at all.

#include "zstd/recompressor.h"

#include <gtest/gtest.h>

#include "unit/still_disk.h"

namespace ramdisk {
namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;

class RecompressorPlainTest : public unit::StillDisk {
 protected:
  // Walks over the disk once, at a time when everything on it is cold.
  void walk() {
    for (recompressor_.begin(); recompressor_.under_way();) recompressor_.step(1);
  }

  Cleaner cleaner_{state_};
  Trainer trainer_{state_};
  Recompressor recompressor_{state_, cleaner_, trainer_};
};

class RecompressorTest : public RecompressorPlainTest {
 protected:
  RecompressorTest() {
    for (uint64_t page = 0; page < 2 * kGroup; ++page) write_text(page);
  }

  void expect_kinds(PageKind first, PageKind second) {
    for (uint64_t page = 0; page < 2 * kGroup; ++page) {
      EXPECT_EQ(entry(page).kind(), page < kGroup ? first : second) << "page " << page;
    }
    expect_written();
  }
};

TEST_F(RecompressorTest, NeighboursBecomeAGroup) {
  walk();
  expect_kinds(PageKind::group, PageKind::group);
  EXPECT_FALSE(recompressor_.expects_more());
  EXPECT_EQ(state_.pages.totals().recompressed, 2u);
}

// While one of them is locked, none is grouped; a later walk does it.
TEST_F(RecompressorTest, APageInUseKeepsItsNeighboursSingle) {
  for (uint64_t used = 0; used < kGroup; ++used) {
    const Epoch::Guard guard(state_.epoch);
    const PageTable::Slot slot =
        PageTable::Cursor(state_.table, guard).try_lock(used, entry(used).bits());
    ASSERT_TRUE(slot);
    walk();
    expect_kinds(PageKind::compressed, PageKind::group);
    EXPECT_TRUE(recompressor_.expects_more());
  }
  walk();
  expect_kinds(PageKind::group, PageKind::group);
  EXPECT_FALSE(recompressor_.expects_more());
}

// A dictionary that is new in the middle of a walk serves what follows.
TEST_F(RecompressorTest, AWalkGoesOnWithANewDictionary) {
  constexpr uint64_t kNext = PageTable::kDirectoryPages;
  for (uint64_t page = kNext; page < kNext + kGroup; ++page) write_text(page);
  install_dictionary();
  recompressor_.begin();
  EXPECT_TRUE(recompressor_.step(1).found);
  const unsigned first = state_.pages.dictionaries().current();
  install_dictionary();
  EXPECT_TRUE(recompressor_.step(1).found);
  const unsigned second = state_.pages.dictionaries().current();
  EXPECT_NE(first, second);
  EXPECT_EQ(entry(0).generation(), first);
  EXPECT_EQ(entry(kNext).kind(), PageKind::group);
  EXPECT_EQ(entry(kNext).generation(), second);
  expect_written();
}

// Groups that were made without a dictionary get one, made of them, when they are cold.
TEST_F(RecompressorPlainTest, TheFirstWalkTrainsTheDictionary) {
  for (uint64_t page = 0; page < TrainingSamples::kMost / 2; ++page) write_text(page);
  for (uint64_t i = 0; i < TrainingSamples::kMost; ++i) {
    state_.samples.add(i % (TrainingSamples::kMost / 2));
  }
  walk();
  ASSERT_EQ(state_.pages.dictionaries().count(), 1u);
  EXPECT_EQ(entry(0).kind(), PageKind::group);
  EXPECT_EQ(entry(0).generation(), state_.pages.dictionaries().current());
  expect_written();
}

// A hole does not keep the other pages of its run from becoming a group.
TEST_F(RecompressorTest, HolesAreNotGrouped) {
  {
    const Epoch::Guard guard(state_.epoch);
    PageTable::Slot slot = PageTable::Cursor(state_.table, guard).lock(1);
    state_.replace(slot, PageEntry(), guard);
  }
  walk();
  EXPECT_EQ(entry(0).kind(), PageKind::group);
  EXPECT_EQ(entry(1).kind(), PageKind::hole);
  EXPECT_EQ(entry(kGroup - 1).kind(), PageKind::group);
  EXPECT_EQ(entry(kGroup).kind(), PageKind::group);
}

// What a group keeps for a page that has left it is freed, and if that gains nothing, it is tried
// once.
TEST_F(RecompressorTest, AGroupThatHasLostAPageIsMadeAnew) {
  walk();
  const StoredObject* const whole = entry(0).stored();
  {
    const Epoch::Guard guard(state_.epoch);
    PageTable::Slot slot = PageTable::Cursor(state_.table, guard).lock(1);
    state_.replace(slot, PageEntry(), guard);
    state_.table.mark(0, guard);
  }
  walk();
  EXPECT_LT(entry(0).stored()->footprint(), whole->footprint());
  EXPECT_EQ(PageStore::head_of(entry(0)).count(), kGroup - 1);
  const uint64_t made = state_.pages.totals().recompressed;
  {
    const Epoch::Guard guard(state_.epoch);
    state_.table.mark(0, guard);
  }
  walk();
  EXPECT_EQ(state_.pages.totals().recompressed, made);
}

// A page is overwritten in place after it was read for a group and before the group is published.
// All pages are plain, so the group needs memory for the first segment, and that is the moment.
TEST_F(RecompressorPlainTest, WhatIsOverwrittenMeanwhileIsKept) {
  const auto text = [&] { return make_data(kPageBytes, conformance::Data::text, rng_); };
  for (uint64_t page = 0; page < kGroup; ++page) write_plain(page, text());
  memory_.step = [&] { overwrite_plain(2, text()); };
  walk();
  EXPECT_FALSE(memory_.step) << "it was not overwritten";
  EXPECT_EQ(entry(2).kind(), PageKind::plain);
  EXPECT_TRUE(recompressor_.expects_more());
  expect_written();
  walk();
  EXPECT_EQ(entry(0).kind(), PageKind::group);
  expect_written();
}

}  // namespace
}  // namespace ramdisk
