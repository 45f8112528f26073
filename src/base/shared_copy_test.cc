// The choice between the ways to copy. What each of them copies, shared_bytes_test.cc looks at.

#include "base/shared_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace ramdisk {
namespace {

class SharedCopy : public testing::Test {
 protected:
  void TearDown() override { copy_choice = before_; }

 private:
  const CopyChoice before_ = copy_choice;
};

bool is_variant(const CopyVariant& variant) {
  const std::span<const CopyVariant> all = copy_variants();
  return std::any_of(all.begin(), all.end(), [&](const CopyVariant& v) {
    return v.copy == variant.copy && v.name == variant.name;
  });
}

TEST_F(SharedCopy, EveryCpuHasMemcpy) {
  ASSERT_FALSE(copy_variants().empty());
  EXPECT_EQ(std::string(copy_variants().front().name), "memcpy");
}

// The last is preferred: another has to be a twentieth faster, so that noise does not decide.
TEST_F(SharedCopy, OnlyClearlyFasterVariantsAreTaken) {
  using Times = std::vector<double>;
  EXPECT_EQ(best_copy(Times{1}), 0u);
  EXPECT_EQ(best_copy(Times{1, 1}), 1u);
  EXPECT_EQ(best_copy(Times{0.96, 1}), 1u);
  EXPECT_EQ(best_copy(Times{0.94, 1}), 0u);
  EXPECT_EQ(best_copy(Times{1, 0.5}), 1u);
  EXPECT_EQ(best_copy(Times{0.9, 0.8, 1}), 1u);
  EXPECT_EQ(best_copy(Times{0.8, 0.9, 1}), 0u);
}

TEST_F(SharedCopy, WithoutRoomTheLastIsTaken) {
  choose_copies({});
  for (const CopyVariant& chosen : copy_choice) {
    EXPECT_EQ(chosen.copy, copy_variants().back().copy);
  }
}

TEST_F(SharedCopy, EachKindGetsAVariantAndTheLogNamesIt) {
  copy_choice.fill({"none", nullptr});
  alignas(4096) static std::byte room[kTrialBytes];
  choose_copies(room);
  const std::string text = describe_copies();
  for (const CopyVariant& chosen : copy_choice) {
    EXPECT_TRUE(is_variant(chosen));
    EXPECT_NE(text.find(chosen.name), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace ramdisk
