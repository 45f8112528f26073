// HugePageChoice: told of pieces of memory that took this or that long.

#include "memory/huge_page_choice.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

using std::chrono::microseconds;

constexpr microseconds kFast(200);
constexpr microseconds kUsual(800);  // with small pages
constexpr microseconds kSlow(6000);

// Takes pieces as the choice wants them, each in the time for its kind. Returns how many had huge
// pages.
int take(HugePageChoice& choice, int pieces, microseconds huge, microseconds small) {
  int count = 0;
  for (int i = 0; i < pieces; ++i) {
    const bool wanted = choice.next();
    choice.took(wanted, wanted ? huge : small);
    if (wanted) ++count;
  }
  return count;
}

TEST(HugePageChoice, TheFirstIsSmallToCompareWith) {
  HugePageChoice choice;
  EXPECT_FALSE(choice.next());
  EXPECT_FALSE(choice.next()) << "nothing is known yet";
  choice.took(false, kUsual);
  EXPECT_TRUE(choice.next());
}

TEST(HugePageChoice, HugeWhileTheyAreFaster) {
  HugePageChoice choice;
  EXPECT_EQ(take(choice, 1000, kFast, kUsual), 999);
  EXPECT_EQ(take(choice, 1000, kUsual, kUsual), 1000) << "they are still of use afterwards";
}

TEST(HugePageChoice, WithoutAClockTheyAreHuge) {
  HugePageChoice choice;
  EXPECT_EQ(take(choice, 100, microseconds(0), microseconds(0)), 99);
}

TEST(HugePageChoice, SlowOnesAreTriedLessAndLess) {
  HugePageChoice choice;
  EXPECT_EQ(take(choice, 10, kSlow, kUsual), 1);
  EXPECT_EQ(take(choice, 17, kSlow, kUsual), 1);
  EXPECT_EQ(take(choice, 33, kSlow, kUsual), 1);
  take(choice, 1000, kSlow, kUsual);
  EXPECT_EQ(take(choice, 1290, kSlow, kUsual), 10) << "but they are tried again and again";
}

TEST(HugePageChoice, FastAgain) {
  HugePageChoice choice;
  take(choice, 1000, kSlow, kUsual);
  take(choice, 129, kFast, kUsual);  // until they are tried again
  EXPECT_EQ(take(choice, 100, kFast, kUsual), 100);
  EXPECT_EQ(take(choice, 9, kSlow, kUsual), 1) << "one that is slow later counts for little again";
}

// Where all memory comes slowly, small pages have no advantage.
TEST(HugePageChoice, SmallPagesThatAreAsSlow) {
  HugePageChoice choice;
  choice.took(false, kUsual);
  EXPECT_GE(take(choice, 100, kSlow, kSlow), 50);
}

// Of threads that take pieces at the same time one tries, and all that find them slow at once are
// one finding.
TEST(HugePageChoice, OneTriesForAll) {
  HugePageChoice choice;
  choice.took(false, kUsual);
  for (int thread = 0; thread < 5; ++thread) EXPECT_TRUE(choice.next());
  for (int thread = 0; thread < 5; ++thread) choice.took(true, kSlow);
  EXPECT_EQ(take(choice, 8, kSlow, kUsual), 0);
  EXPECT_TRUE(choice.next());
  EXPECT_FALSE(choice.next());
  EXPECT_FALSE(choice.next());
  choice.took(true, kFast);
  EXPECT_TRUE(choice.next());
}

}  // namespace
}  // namespace ramdisk
