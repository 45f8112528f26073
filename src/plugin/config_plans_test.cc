// The parameters: what is planned for each disk.

#include <gtest/gtest.h>

#include <vector>

#include "plugin/config.h"

namespace ramdisk {
namespace {

TEST(ConfigPlans, OneDiskUnlessToldOtherwise) {
  Config config;
  ASSERT_TRUE(config.set("size", "5").ok());
  ASSERT_TRUE(config.set("save", "100%s.img").ok());
  ASSERT_TRUE(config.complete().ok());
  EXPECT_EQ(config.serving(), Serving::one);
  ASSERT_EQ(config.plans().size(), 1u);
  EXPECT_EQ(config.plans().front().name, "");
  EXPECT_EQ(config.plans().front().bytes, 5u);
  EXPECT_EQ(config.plans().front().save, "/here/100%s.img") << "a percent sign is one";
}

TEST(ConfigPlans, AFileForEachExport) {
  Config config;
  for (const char* exports : {"c", "a:7,b 100%,c:d:9,::1"}) {
    ASSERT_TRUE(config.set("exports", exports).ok());
  }
  ASSERT_TRUE(config.set("size", "5").ok());
  ASSERT_TRUE(config.set("load", "/in/%s/100%%.img").ok());
  ASSERT_TRUE(config.set("save", "%s%s").ok());
  ASSERT_TRUE(config.complete().ok()) << config.complete().message();
  EXPECT_EQ(config.serving(), Serving::named);
  const std::vector<DiskPlan>& plans = config.plans();
  ASSERT_EQ(plans.size(), 4u);
  EXPECT_EQ(plans[0].name, "a");
  EXPECT_EQ(plans[0].bytes, 7u);
  EXPECT_EQ(plans[0].load, "/in/a/100%.img");
  EXPECT_EQ(plans[0].save, "/here/aa");
  EXPECT_EQ(plans[1].name, "b 100%");
  EXPECT_EQ(plans[1].bytes, 5u);
  EXPECT_EQ(plans[1].save, "/here/b 100%b 100%");
  EXPECT_EQ(plans[2].name, "c:d") << "the last colon counts";
  EXPECT_EQ(plans[3].name, ":");
  EXPECT_EQ(plans[3].bytes, 1u);
}

TEST(ConfigPlans, AnyName) {
  Config config;
  ASSERT_TRUE(config.set("size", "5").ok());
  ASSERT_TRUE(config.set("exports", "*").ok());
  ASSERT_TRUE(config.complete().ok());
  EXPECT_EQ(config.serving(), Serving::any);
  EXPECT_TRUE(config.plans().empty());
  EXPECT_EQ(config.most_disks(), 100u);
  ASSERT_TRUE(config.set("exports-max", "7").ok());
  EXPECT_EQ(config.most_disks(), 7u);
}

}  // namespace
}  // namespace ramdisk
