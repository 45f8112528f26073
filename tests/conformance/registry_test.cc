// The names and options of the allocators: what is taken, what is refused, and with which words.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/factory.h"

namespace ramdisk::conformance {
namespace {

// What a user meets: an option is refused by the parser or by the check after it.
Status verdict(const std::string& value) {
  auto options = parse_allocator(value);
  return options.ok() ? check_options(options.value()) : options.status();
}

// The message has all of `words`, and says "allocator" in one way or the other.
void expect_refused(const Status& status, const std::vector<std::string>& words) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.errnum(), EINVAL);
  const std::string message = status.message();
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos)
        << "\"" << word << "\" is missing in: " << message;
  }
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(Registry, BooleanWords) {
  for (const char* word : {"1", "true", "t", "yes", "y", "on", "TRUE", "Yes", "oN", "T"}) {
    auto result = parse_bool("mlock", word);
    ASSERT_TRUE(result.ok()) << word;
    EXPECT_TRUE(result.value()) << word;
  }
  for (const char* word : {"0", "false", "f", "no", "n", "off", "FALSE", "No", "oFF", "N"}) {
    auto result = parse_bool("mlock", word);
    ASSERT_TRUE(result.ok()) << word;
    EXPECT_FALSE(result.value()) << word;
  }
}

TEST(Registry, BadBooleans) {
  for (const std::string word : {"", " ", "2", "-1", "01", "tru", "truee", "true ", " true", "yess",
                                 "onn", "of", "enable"}) {
    SCOPED_TRACE(word);
    expect_refused(parse_bool("some-key", word).status(), {"some-key", word, "true", "false"});
  }
  expect_refused(parse_bool("k", std::string_view("1\0", 2)).status(), {"k"});
}

TEST(Registry, NamesOfAllocators) {
  const std::pair<const char*, AllocatorType> names[] = {
      {"sparse", AllocatorType::sparse},
      {"malloc", AllocatorType::malloc},
      {"zstd", AllocatorType::zstd},
  };
  for (const auto& [name, type] : names) {
    EXPECT_STREQ(allocator_name(type), name);
    auto options = parse_allocator(name);
    ASSERT_TRUE(options.ok()) << options.status().message();
    EXPECT_EQ(options.value().type, type);
    EXPECT_FALSE(options.value().mlock);
    EXPECT_EQ(options.value().level, 3);
  }
}

// The plugin that this one replaces took every prefix, even the empty one.
TEST(Registry, OnlyExactNames) {
  for (const std::string name : {"s", "spars", "sparsee", "zst", "zstd1", "mal", "SPARSE", "Malloc",
                                 " sparse", "sparse ", "sparse;x", "none", "sparse=true"}) {
    SCOPED_TRACE(name);
    expect_refused(verdict(name), {"allocator", name, "sparse", "malloc", "zstd"});
  }
  for (const std::string name : {"", ",", ",mlock=true"}) {
    SCOPED_TRACE(name);
    expect_refused(verdict(name), {"allocator=" + name, "sparse", "malloc", "zstd"});
  }
}

TEST(Registry, Mlock) {
  const std::pair<const char*, bool> values[] = {
      {"malloc,mlock=true", true},
      {"malloc,mlock=1", true},
      {"malloc,mlock=ON", true},
      {"malloc,mlock", true},
      {"malloc,mlock=false", false},
      {"malloc,mlock=0", false},
      {"malloc", false},
      {"malloc,mlock=true,mlock=false", false},
      {"malloc,mlock=no,mlock", true},
  };
  for (const auto& [value, locked] : values) {
    auto options = parse_allocator(value);
    ASSERT_TRUE(options.ok()) << options.status().message();
    EXPECT_EQ(options.value().type, AllocatorType::malloc);
    EXPECT_EQ(options.value().mlock, locked) << value;
    const Status status = check_options(options.value());
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST(Registry, BadKeysAndValues) {
  expect_refused(verdict("malloc,mlock=maybe"), {"malloc", "mlock", "maybe", "true", "false"});
  expect_refused(verdict("malloc,mlock="), {"malloc", "mlock=", "true", "false"});
  expect_refused(verdict("malloc,mlocks=true"), {"malloc", "mlocks", "mlock"});
  expect_refused(verdict("malloc,mloc"), {"malloc", "mloc\"", "mlock"});
  expect_refused(verdict("malloc, mlock=true"), {"malloc", " mlock", "mlock="});
  expect_refused(verdict("malloc,level=3"), {"malloc", "level", "mlock"});
  expect_refused(verdict("malloc,mlock=true,x=1"), {"malloc", "x", "mlock"});
  expect_refused(verdict("malloc,=true"), {"malloc", "mlock"});
  expect_refused(verdict("malloc,,mlock=true"), {"malloc", "mlock"});
  expect_refused(verdict("sparse,level=3"), {"sparse", "level"});
  expect_refused(verdict("sparse,size=3"), {"sparse", "size"});
}

#ifdef RAMDISK_HAVE_ZSTD

TEST(Registry, Levels) {
  const std::pair<const char*, int> values[] = {
      {"zstd", 3},
      {"zstd,level=1", 1},
      {"zstd,level=22", 22},
      {"zstd,level=-5", -5},
      {"zstd,level=03", 3},
      {"zstd,level=1,level=7", 7},
      {"zstd,level=-131072", -131072},
  };
  for (const auto& [value, level] : values) {
    auto options = parse_allocator(value);
    ASSERT_TRUE(options.ok()) << value << ": " << options.status().message();
    EXPECT_EQ(options.value().type, AllocatorType::zstd);
    EXPECT_EQ(options.value().level, level) << value;
    EXPECT_TRUE(check_options(options.value()).ok());
  }
}

TEST(Registry, BadLevels) {
  for (const std::string level :
       {"", "23", "-131073", "x", "3x", "3.5", "3 ", " 3", "0x3", "1e1", "99999999999999999999"}) {
    SCOPED_TRACE(level);
    expect_refused(verdict("zstd,level=" + level), {"zstd", "level=" + level, "-131072", "22"});
  }
  // A key without a value means true, which is no level.
  expect_refused(verdict("zstd,level"), {"zstd", "level", "-131072", "22"});
  expect_refused(verdict("zstd,levels=3"), {"zstd", "levels", "level="});
}

TEST(Registry, ZstdIsThere) {
  EXPECT_TRUE(verdict("zstd").ok());
}

#else

TEST(Registry, ZstdIsRefusedAndSaidWhy) {
  const Status status = verdict("zstd,level=5");
  EXPECT_EQ(status.errnum(), ENOTSUP);
  const std::string message = status.message();
  for (const char* word : {"allocator=zstd", "built without", "sparse", "malloc"}) {
    EXPECT_NE(message.find(word), std::string::npos) << message;
  }
}

#endif

// Lines about directories come when they are asked for, one for each made and each freed.
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
