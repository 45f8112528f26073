// Names of exports: how they are read, put into names of files, and printed.

#include "plugin/exports.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ramdisk {
namespace {

TEST(Exports, NamesAndSizes) {
  Result<std::vector<NamedExport>> parsed = parse_exports("a,b:5,c:d,e f ,:x,f::6,g:");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const std::vector<NamedExport> expected{{"a"},  {"b", 5},  {"c:d"}, {"e f "},
                                          {":x"}, {"f:", 6}, {"g:"}};
  EXPECT_EQ(parsed.value(), expected);
  std::string longest(kLongestName, 'x');
  longest += ":1";  // g++ 12 warns of a sum
  EXPECT_TRUE(parse_exports(longest).ok());
}

TEST(Exports, PrintableText) {
  EXPECT_EQ(printable("disk 1/x:\"y\""), "disk 1/x:\"y\"");
  EXPECT_EQ(printable("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(printable("a\nb\x1b[0m\x7f\\"), "a\\x0ab\\x1b[0m\\x7f\\x5c");
  // What is not UTF-8: a lone byte, one that is cut off, too long, a surrogate, beyond the end.
  EXPECT_EQ(printable("\xff|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe0\x80\xaf"),
            "\\xff|\\xe2\\x82|\\xc0\\xaf|\\xed\\xa0\\x80|\\xf4\\x90\\x80\\x80|\\xe0\\x80\\xaf");
  // Control characters and ends of lines beyond ASCII.
  EXPECT_EQ(printable("\xc2\x85\xe2\x80\xa8"), "\\xc2\\x85\\xe2\\x80\\xa8");
}

// Two names of up to two bytes never look alike.
TEST(Exports, DifferentNamesRemainDifferent) {
  std::set<std::string> seen;
  for (int first = 0; first < 256; ++first) {
    for (int second = -1; second < 256; ++second) {
      std::string name(1, static_cast<char>(first));
      if (second >= 0) name += static_cast<char>(second);
      EXPECT_TRUE(seen.insert(printable(name)).second) << first << " " << second;
    }
  }
  EXPECT_TRUE(seen.insert(printable("\\x0a")).second);
}

TEST(Exports, NamesOfFiles) {
  EXPECT_FALSE(names_export("a"));
  EXPECT_FALSE(names_export("%%s"));
  EXPECT_FALSE(names_export("%"));
  EXPECT_TRUE(names_export("%%%s"));
  EXPECT_EQ(file_for_export("load", "%s-%%s-%s", "a%s").value(), "a%s-%s-a%s");
  EXPECT_FALSE(file_for_export("load", "%s", "a/b").ok());
  EXPECT_TRUE(file_for_export("load", "x", "a/b").ok());
  EXPECT_FALSE(file_for_export("load", "%d", "a").ok());
}

}  // namespace
}  // namespace ramdisk
