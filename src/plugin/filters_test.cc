// Filters: with which of them, in which versions of nbdkit, the statistics export is refused.

#include "plugin/filters.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

bool allowed(const std::string& name, const std::string& version) {
  return allow_exports({{"log", version}, {name, version}}, Beside::statistics).ok();
}

TEST(Filters, TheOldOnesThatShare) {
  EXPECT_TRUE(allow_exports({}, Beside::private_disks).ok());
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
  const Status status = allow_exports({{"cow", "1.32.5"}}, Beside::statistics);
  EXPECT_EQ(status.errnum(), ENOTSUP);
  for (const char* word : {"stats-export", "--filter=cow", "stats-file"}) {
    EXPECT_NE(std::string(status.message()).find(word), std::string::npos) << word;
  }
}

// What the statistics do not mind may confuse disks.
TEST(Filters, SeveralDisksMindMore) {
  const auto allows = [](Beside beside, const char* name, const char* version) {
    return allow_exports({{name, version}}, beside).ok();
  };
  EXPECT_TRUE(allows(Beside::statistics, "cacheextents", "1.44.0"));
  EXPECT_FALSE(allows(Beside::disks, "cacheextents", "1.44.0"));
  EXPECT_FALSE(allows(Beside::private_disks, "cacheextents", "1.44.0"));
  EXPECT_FALSE(allows(Beside::disks, "cow", "1.42.0"));
  EXPECT_TRUE(allows(Beside::disks, "cow", "1.44.0"));
  EXPECT_FALSE(allows(Beside::private_disks, "cow", "1.44.0"));
  EXPECT_FALSE(allows(Beside::private_disks, "cache", "1.44.0"));
  EXPECT_TRUE(allows(Beside::private_disks, "partition", "1.44.0"));
  const Status status = allow_exports({{"cow", "1.44.0"}}, Beside::private_disks);
  EXPECT_EQ(std::string(status.message()),
            "scratch=true does not go with --filter=cow, which confuses the disks of several "
            "connections");
}

// This program has no filters loaded.
TEST(Filters, NoneAreLoadedHere) {
  EXPECT_TRUE(loaded_filters().empty());
}

}  // namespace
}  // namespace ramdisk
