// Disks of up to 2^63-1 bytes with little data: clusters far apart, and requests that span more
// pages than any table could list one by one.

#include <gtest/gtest.h>

#include "support/session.h"

namespace ramdisk::conformance {
namespace {

class HugeDisk : public testing::TestWithParam<Kind> {
 protected:
  HugeDisk() : disk_(GetParam().type, kLargestDisk, make_memory(GetParam().memory)) {
    EXPECT_TRUE(disk_.works()) << disk_.status().message();
  }

  Disk disk_;
};

TEST_P(HugeDisk, RandomClusters) {
  Rng rng(2);
  Session session(disk_, GetParam().type, kLargestDisk);
  random_steps(session, Places(kLargestDisk), scaled(1000), 300000, rng);
}

TEST_P(HugeDisk, VeryLastBytes) {
  Rng rng(3);
  Session session(disk_, GetParam().type, kLargestDisk);
  for (const uint64_t count : {1, 2, 4095, 4096, 40000}) {
    session.write(make_data(count, Data::random, rng), kLargestDisk - count);
    session.check_around(count, kLargestDisk - count);
  }
  session.zero(1, kLargestDisk - 1);
  session.check_around(1, kLargestDisk - 1);
  // The last page is one byte short; zeroing the part that exists has to free it.
  session.zero(session.page_bytes() - 1, kLargestDisk - session.page_bytes() + 1);
  session.check_everything();
  session.zero(40000, kLargestDisk - 40000);
  session.check_everything();
  session.zero(kLargestDisk, 0);
  EXPECT_EQ(extents_of(*disk_, kLargestDisk, 0),
            (std::vector<Extent>{{0, kLargestDisk, ExtentKind::hole}}));
}

TEST_P(HugeDisk, FarApartPagesAtRandom) {
  Rng rng(4);
  Session session(disk_, GetParam().type, kLargestDisk);
  for (int i = 0; i < scaled(4000); ++i) {
    session.write(make_data(1 + rng.below(5000), rng.pick(kAllData), rng),
                  rng.below(kLargestDisk - 5000));
  }
  session.check_everything();
  // Zeroing a range between two random places frees the pages in it and no others.
  for (int i = 0; i < 20; ++i) {
    const uint64_t a = rng.below(kLargestDisk);
    session.zero(rng.below((kLargestDisk - a) / 8), a);
  }
  session.check_everything();
}

// A loop over each page, or even each directory, of such a range would take years.
TEST_P(HugeDisk, ZeroAndExtentsOfEverything) {
  Rng rng(5);
  Session session(disk_, GetParam().type, kLargestDisk);
  for (int round = 0; round < 100; ++round) {
    session.zero(kLargestDisk, 0);
    session.zero(kLargestDisk - 2, 1);
    session.check_extents_only(kLargestDisk, 0);
    session.write(make_data(5000, Data::random, rng), rng.below(kLargestDisk - 5000));
    session.check_extents_only(kLargestDisk, 0);
    session.check_extents_only(kLargestDisk - 3000, 3000);
  }
  session.zero(kLargestDisk, 0);
  session.check_everything();
  EXPECT_EQ(disk_->usage().stored_bytes, 0u);
}

std::vector<Kind> huge_kinds() {
  std::vector<Kind> kinds = all_kinds({Base::empty, Base::data});
  std::erase_if(kinds, [](const Kind& kind) { return !has_holes(kind.type); });
  return kinds;
}
INSTANTIATE_TEST_SUITE_P(All, HugeDisk, testing::ValuesIn(huge_kinds()), name_of_kind);

}  // namespace
}  // namespace ramdisk::conformance
