// Filters: with which of them, in which versions of nbdkit, the statistics export is refused.

#include "plugin/filters.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

bool allowed(const std::string& name, const std::string& version) {
  return allow_second_export({{"log", version}, {name, version}}).ok();
}

TEST(Filters, TheOldOnesThatShare) {
  EXPECT_TRUE(allow_second_export({}).ok());
  EXPECT_TRUE(allowed("partition", "1.24.1"));
  EXPECT_FALSE(allowed("cow", "1.32.5"));
  EXPECT_FALSE(allowed("cow", "1.43.9"));
  EXPECT_TRUE(allowed("cow", "1.44.0"));
  EXPECT_TRUE(allowed("cow", "2.0.0"));
  EXPECT_FALSE(allowed("readahead", "1.30.3"));
  EXPECT_TRUE(allowed("readahead", "1.32.5"));
  for (const char* name : {"cache", "gzip", "luks", "tar"}) {
    EXPECT_FALSE(allowed(name, "1.24.1")) << name;
    EXPECT_FALSE(allowed(name, "9.99.1")) << name;
  }
}

// A version that cannot be parsed may be any version, so it is treated as an old one.
TEST(Filters, AnUnknownVersionIsAnOldOne) {
  for (const char* version : {"", "unknown", "1", "1.", "x.99.1", "-1.-1"}) {
    EXPECT_FALSE(allowed("cow", version)) << version;
  }
}

TEST(Filters, TheMessageNamesBothWays) {
  const Status status = allow_second_export({{"cow", "1.32.5"}});
  EXPECT_EQ(status.errnum(), ENOTSUP);
  for (const char* word : {"stats-export", "--filter=cow", "stats-file"}) {
    EXPECT_NE(std::string(status.message()).find(word), std::string::npos) << word;
  }
}

// This program has no filters loaded.
TEST(Filters, NoneAreLoadedHere) {
  EXPECT_TRUE(loaded_filters().empty());
}

}  // namespace
}  // namespace ramdisk
