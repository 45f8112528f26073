// The registry and the disks that it makes, beyond src/disk/registry_test.cc: odd spellings, which
// the parser or the check after it refuses, and the trace of directories.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/factory.h"

namespace ramdisk::conformance {
namespace {

// Returns what the user is told about a value of allocator=.
Status verdict(const std::string& value) {
  auto options = parse_allocator(value);
  return options.ok() ? check_options(options.value()) : options.status();
}

void expect_refused(const Status& status, const std::vector<std::string>& words) {
  EXPECT_EQ(status.errnum(), EINVAL);
  const std::string message = status.message();
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos)
        << "\"" << word << "\" is missing in: " << message;
  }
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(Registry, OddSpellings) {
  expect_refused(parse_bool("k", std::string_view("1\0", 2)).status(), {"k"});
  expect_refused(verdict("sparse;x"), {"allocator", "sparse;x", "sparse", "malloc", "zstd"});
  expect_refused(verdict("malloc, mlock=true"), {"malloc", " mlock", "mlock="});
  expect_refused(verdict("malloc,=true"), {"malloc,=true", "no option"});
  expect_refused(verdict("malloc,mlock=true,x=1"), {"malloc", "x", "mlock"});
}

// There is one line for each directory that is made and one for each that is freed.
TEST(Registry, TraceOfDirectories) {
  for (const AllocatorType type : sparse_allocators()) {
    std::vector<std::string> lines;
    const auto memory = make_system_memory();
    Disk disk(type, kLargestDisk, *memory, [&](const std::string& line) { lines.push_back(line); });
    ASSERT_TRUE(disk.works()) << disk.status().message();
    ASSERT_TRUE(disk->write(std::vector<std::byte>(1, std::byte{1}), 0).ok());
    ASSERT_TRUE(disk->write(std::vector<std::byte>(1, std::byte{1}), kLargestDisk - 1).ok());
    EXPECT_EQ(lines.size(), 2u);
    ASSERT_TRUE(disk->zero(kLargestDisk, 0).ok());
    EXPECT_EQ(lines.size(), 4u);
    for (const std::string& line : lines) {
      EXPECT_FALSE(line.empty());
      EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    }
  }
}

}  // namespace
}  // namespace ramdisk::conformance
