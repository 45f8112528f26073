// Checks: what they report, and that the data structures notice misuse.

#include "base/check.h"

#include <gtest/gtest.h>

#include "unit/expect_dcheck.h"

namespace ramdisk {
namespace {

TEST(CheckDeathTest, SaysWhereAndWhat) {
  const int three = 3;
  EXPECT_DEATH(CHECK(1 + 1 == three),
               "src/base/check_test.cc:[0-9]+: 1 \\+ 1 == three does not hold");
  EXPECT_DCHECK(DCHECK(three < 1), "three < 1 does not hold");
}

TEST(Check, LooksOnceAndGoesOn) {
  int looks = 0;
  CHECK(++looks > 0);
  EXPECT_EQ(looks, 1);
  DCHECK(++looks > 0);
#ifdef RAMDISK_CHECKS
  EXPECT_EQ(looks, 2);
#else
  EXPECT_EQ(looks, 1);
#endif
}

}  // namespace
}  // namespace ramdisk
