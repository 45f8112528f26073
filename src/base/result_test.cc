// Status and Result: values that copy, move and say what went wrong.

#include "ramdisk/result.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "ramdisk/status.h"

namespace ramdisk {
namespace {

TEST(Status, SuccessHasNoErrnoAndAnEmptyMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.errnum(), 0);
  EXPECT_STREQ(status.message(), "");
}

TEST(Status, LiteralIsKeptAndNotCopied) {
  static const char kMessage[] = "the disk is gone";
  const Status status = Status::error(EIO, kMessage);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.errnum(), EIO);
  EXPECT_EQ(status.message(), kMessage);
}

TEST(Status, TextOutlivesTheStringItCameFrom) {
  Status status;
  {
    std::string text = "size=" + std::string(100, '9') + ": too large";
    status = Status::error(EINVAL, text);
    text.assign(text.size(), '#');
  }
  EXPECT_EQ(status.errnum(), EINVAL);
  EXPECT_EQ(std::string(status.message()), "size=" + std::string(100, '9') + ": too large");
}

TEST(Status, CopiesAndMovesKeepTheError) {
  const Status text = Status::error(EINVAL, std::string("a text"));
  const Status literal = Status::error(ENOSPC, "a literal");
  for (const Status& original : {text, literal}) {
    const std::string message = original.message();
    Status copy = original;
    EXPECT_EQ(copy.errnum(), original.errnum());
    EXPECT_EQ(copy.message(), message);
    const Status moved = std::move(copy);
    EXPECT_EQ(moved.errnum(), original.errnum());
    EXPECT_EQ(moved.message(), message);
  }
}

TEST(Status, AssignmentReplacesErrorBySuccessAndLiteralByText) {
  Status status = Status::error(ENOSPC, "a literal");
  status = Status::error(EINVAL, std::string("a text"));
  EXPECT_STREQ(status.message(), "a text");
  status = Status();
  EXPECT_TRUE(status.ok());
  EXPECT_STREQ(status.message(), "");
}

TEST(Status, NoMemoryIsEnomem) {
  EXPECT_EQ(Status::no_memory().errnum(), ENOMEM);
  EXPECT_GT(std::strlen(Status::no_memory().message()), 0u);
}

Result<int> half_of(int number) {
  if (number % 2 != 0) return Status::error(EDOM, "odd");
  return number / 2;
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good = half_of(8);
  EXPECT_TRUE(good.ok());
  EXPECT_TRUE(good.status().ok());
  EXPECT_EQ(good.value(), 4);
  Result<int> bad = half_of(7);
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().errnum(), EDOM);
  EXPECT_EQ(bad.value(), 0);  // defined even so
}

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> made(std::make_unique<int>(5));
  ASSERT_TRUE(made.ok());
  const std::unique_ptr<int> taken = std::move(made.value());
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(*taken, 5);
  Result<std::unique_ptr<int>> failed(Status::no_memory());
  EXPECT_EQ(failed.value(), nullptr);
}

}  // namespace
}  // namespace ramdisk
