// Mistyped names: the distance between two words, and the name that is found for one.

#include "base/names.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace ramdisk {
namespace {

TEST(Names, EditDistance) {
  struct Case {
    const char* a;
    const char* b;
    size_t distance;
  };
  for (const Case& c : {Case{"", "", 0},
                        {"", "abc", 3},
                        {"mlock", "mlock", 0},
                        {"mlok", "mlock", 1},
                        {"mllock", "mlock", 1},
                        {"mlonk", "mlock", 1},
                        {"mlokc", "mlock", 2},
                        {"kitten", "sitting", 3},
                        {"abc", "xyz", 3},
                        {"abcd", "bcda", 2}}) {
    EXPECT_EQ(edit_distance(c.a, c.b), c.distance) << c.a << " " << c.b;
    EXPECT_EQ(edit_distance(c.b, c.a), c.distance) << c.b << " " << c.a;
  }
}

constexpr std::array<std::string_view, 6> kKnown{"size",       "mlock",      "stats-export",
                                                 "stats-file", "max-memory", "dump"};

TEST(Names, FindsWhatWasMeant) {
  const auto similar = [](const char* word) { return std::string(similar_name(word, kKnown)); };
  EXPECT_EQ(similar("mlok"), "mlock");
  EXPECT_EQ(similar("MLOCK"), "mlock");
  EXPECT_EQ(similar("maxmemory"), "max-memory");
  EXPECT_EQ(similar("max_memry"), "max-memory") << "two edits";
  EXPECT_EQ(similar("stats-fiel"), "stats-file");
  EXPECT_EQ(similar("max"), "max-memory") << "it begins so";
  EXPECT_EQ(similar("memory"), "max-memory") << "it contains that";
  EXPECT_EQ(similar("d"), "dump");
}

TEST(Names, FindsNothingWhereNothingIsNear) {
  for (const char* word :
       {"", "foo", "stats", "m", "mx_memrry", "le", "mor", "xx", "si-ze-of-it"}) {
    EXPECT_EQ(similar_name(word, kKnown), "") << word;
  }
  EXPECT_EQ(similar_name("mlock", {}), "");
  EXPECT_EQ(similar_name(std::string(100000, 'm'), kKnown), "");
}

TEST(Names, TheNearestCountsBeforeTheFirst) {
  constexpr std::array<std::string_view, 2> kTwo{"load", "loads"};
  EXPECT_EQ(similar_name("loadz", kTwo), "load") << "both are one edit away";
  EXPECT_EQ(similar_name("loads", kTwo), "loads");
}

}  // namespace
}  // namespace ramdisk
