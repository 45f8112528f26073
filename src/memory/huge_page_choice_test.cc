// HugePageChoice: told of pieces of memory that took this or that long.

#include "memory/huge_page_choice.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

using std::chrono::microseconds;

constexpr size_t kPiece = size_t{2} << 20;
constexpr microseconds kFast(200);
constexpr microseconds kUsual(800);  // with small pages
constexpr microseconds kSlow(6000);

// Takes pieces as the choice wants them, each in the time for its kind. Returns how many had huge
// pages.
int take(HugePageChoice& choice, int pieces, microseconds huge, microseconds small) {
  int count = 0;
  for (int i = 0; i < pieces; ++i) {
    const bool wanted = choice.wanted();
    choice.took(wanted, kPiece, wanted ? huge : small);
    if (wanted) ++count;
  }
  return count;
}

TEST(HugePageChoice, HugeWhereNothingIsKnown) {
  HugePageChoice choice;
  EXPECT_TRUE(choice.wanted());
  EXPECT_EQ(take(choice, 100, kSlow, kUsual), 100) << "nothing to compare it with";
}

TEST(HugePageChoice, HugeWhileTheyAreFaster) {
  HugePageChoice choice;
  choice.took(false, kPiece / 32, kUsual / 32);
  EXPECT_EQ(take(choice, 1000, kFast, kUsual), 1000);
  EXPECT_EQ(take(choice, 1000, kUsual, kUsual), 1000) << "they are still of use afterwards";
}

TEST(HugePageChoice, SlowOnesAreTriedLessAndLess) {
  HugePageChoice choice;
  choice.took(false, kPiece / 32, kUsual / 32);
  EXPECT_EQ(take(choice, 9, kSlow, kUsual), 1);
  EXPECT_EQ(take(choice, 17, kSlow, kUsual), 1);
  EXPECT_EQ(take(choice, 33, kSlow, kUsual), 1);
  take(choice, 1000, kSlow, kUsual);
  EXPECT_LE(take(choice, 1290, kSlow, kUsual), 10);
  EXPECT_GE(take(choice, 1290, kSlow, kUsual), 10) << "but they are tried again and again";
}

TEST(HugePageChoice, FastAgain) {
  HugePageChoice choice;
  choice.took(false, kPiece, kUsual);
  take(choice, 1000, kSlow, kUsual);
  take(choice, 129, kFast, kUsual);  // until they are tried again
  EXPECT_EQ(take(choice, 100, kFast, kUsual), 100);
  EXPECT_EQ(take(choice, 9, kSlow, kUsual), 1) << "one that is slow later counts for little again";
}

// Where all memory comes slowly, small pages have no advantage.
TEST(HugePageChoice, SmallPagesThatAreAsSlow) {
  HugePageChoice choice;
  choice.took(false, kPiece / 32, kUsual / 32);
  EXPECT_GE(take(choice, 100, kSlow, kSlow), 50);
}

// A short piece that came slowly says nothing of the others.
TEST(HugePageChoice, TheFastestSmallPagesCount) {
  HugePageChoice choice;
  choice.took(false, kPiece / 32, kUsual / 32);
  choice.took(false, kPiece / 32, kSlow);
  EXPECT_EQ(take(choice, 9, kSlow, kUsual), 1);
}

}  // namespace
}  // namespace ramdisk
