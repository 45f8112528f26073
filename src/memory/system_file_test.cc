// System files: what is read of them, and what is made of text that is not as expected.

#include "memory/system_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace ramdisk {
namespace {

constexpr std::string_view kStatus =
    "Name:\tnbdkit\n"
    "VmLckX:\t  7 kB\n"
    "XVmLck:\t  8 kB\n"
    "VmLck:\t    12 kB\n"
    "VmLck:\t    13 kB\n"
    "Threads:   3";

TEST(SystemFile, ANumberFollowsItsWholeName) {
  EXPECT_EQ(number_of(kStatus, "VmLck:"), 12u);
  EXPECT_EQ(number_of(kStatus, "Threads:"), 3u) << "the last line has no end";
  EXPECT_EQ(number_of(kStatus, "VmLc"), 0u);
  EXPECT_EQ(number_of(kStatus, "Name:"), 0u) << "that is no number";
  EXPECT_EQ(number_of(kStatus, "VmPin:"), 0u);
  EXPECT_EQ(number_of("", "VmLck:"), 0u);
  EXPECT_EQ(number_of("level1 7\nlevel 5\n", "level"), 5u);
}

TEST(SystemFile, NumbersAtTheStart) {
  EXPECT_EQ(number_at("17\n"), 17u);
  EXPECT_EQ(number_at(" \t18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(number_at("18446744073709551616"), std::nullopt) << "more than 64 bits";
  EXPECT_EQ(number_at("max\n"), std::nullopt);
  EXPECT_EQ(number_at("-1"), std::nullopt);
  EXPECT_EQ(number_at(""), std::nullopt);
  EXPECT_EQ(number_at("  "), std::nullopt);
}

TEST(SystemFile, LineByLine) {
  std::string_view text = "one\n\nthree";
  EXPECT_EQ(take_line(text), "one");
  EXPECT_EQ(take_line(text), "");
  EXPECT_EQ(take_line(text), "three");
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(take_line(text), "");
}

// Their length is not known before they are read: stat() says that it is 0.
TEST(SystemFile, FilesOfProcAreReadToTheEnd) {
  const std::string status = read_system_file("/proc/self/status");
  if (status.empty()) GTEST_SKIP() << "there is no /proc here";
  EXPECT_GT(number_of(status, "Threads:"), 0u);
}

TEST(SystemFile, EveryByteIsRead) {
  std::string path = testing::TempDir() + "system_file-XXXXXX";
  const int fd = mkstemp(path.data());
  ASSERT_GE(fd, 0);
  std::string text(10000, 'x');  // of more than one piece, without an end of its last line
  text[5000] = '\0';
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(fd);
  EXPECT_EQ(read_system_file(path), text);
  unlink(path.c_str());
}

TEST(SystemFile, WhatCannotBeReadIsEmpty) {
  EXPECT_EQ(read_system_file("/proc/self/there is no such file"), "");
  EXPECT_EQ(read_system_file("/"), "") << "a directory";
}

}  // namespace
}  // namespace ramdisk
