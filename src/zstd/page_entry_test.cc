// PageEntry: what it says about a page comes back as it was put in.

#include "zstd/page_entry.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "zstd/dictionaries.h"
#include "zstd/stored_object.h"

namespace ramdisk {
namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;

TEST(PageEntry, FieldsDoNotTouchEachOther) {
  const StoredObject object(kGroup, 100, false);
  const StoredObject group(kGroup, 5000, true);
  for (unsigned generation = 0; generation < Dictionaries::kGenerations; ++generation) {
    const PageEntry entry = PageEntry::compressed(&object, generation);
    EXPECT_EQ(entry.kind(), PageKind::compressed);
    EXPECT_EQ(entry.stored(), &object);
    EXPECT_EQ(entry.generation(), generation);
    for (unsigned i = 0; i < kGroup; ++i) {
      const PageEntry member = PageEntry::compressed(&group, generation).member(i);
      EXPECT_EQ(member.kind(), PageKind::group);
      EXPECT_EQ(member.stored(), &group);
      EXPECT_EQ(member.generation(), generation);
      EXPECT_EQ(member.index(), i);
      EXPECT_EQ(member.bits() % 8, 0u);
    }
  }
  for (const uint32_t pattern : {0u, 1u, 0x80000000u, 0xffffffffu}) {
    EXPECT_EQ(PageEntry::same_filled(pattern).kind(), PageKind::same_filled);
    EXPECT_EQ(PageEntry::same_filled(pattern).pattern(), pattern);
    EXPECT_NE(PageEntry::same_filled(pattern), PageEntry());
  }
  alignas(8) std::byte page[8];
  const PageEntry plain = PageEntry::plain(page);
  EXPECT_FALSE(plain.cached() || plain.claimed() || plain.touched());
  const PageEntry all = plain.as_cached().as_claimed().as_touched();
  EXPECT_TRUE(all.cached() && all.claimed() && all.touched());
  EXPECT_EQ(all.page(), page);
  EXPECT_EQ(all.kind(), PageKind::plain);
  EXPECT_EQ(all.as_untouched().as_unclaimed(), plain.as_cached());
  EXPECT_EQ(all.as_plain(), plain);
}

}  // namespace
}  // namespace ramdisk
