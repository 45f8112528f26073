// The names and options of allocators: what is accepted, and the errors for everything else.

#include "disk/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "disk/registry.h"

namespace ramdisk {
namespace {

// Empty, or why this is not an EINVAL whose message has all of `parts`.
std::string fault_in(const Status& status, const std::vector<std::string>& parts) {
  if (status.errnum() != EINVAL) return "errno " + std::to_string(status.errnum());
  const std::string message = status.message();
  for (const std::string& part : parts) {
    if (message.find(part) == std::string::npos) return "no \"" + part + "\" in: " + message;
  }
  return "";
}

std::string fault_in(std::string_view value, const std::vector<std::string>& parts) {
  return fault_in(parse_allocator(value).status(), parts);
}

TEST(ParseBool, TakesTheWordsOfNbdkit) {
  for (const char* word : {"1", "true", "t", "yes", "y", "on", "TRUE", "True", "T", "YES", "oN"}) {
    Result<bool> result = parse_bool("mlock", word);
    EXPECT_TRUE(result.ok() && result.value()) << word;
  }
  for (const char* word : {"0", "false", "f", "no", "n", "off", "FALSE", "F", "No", "OFF"}) {
    Result<bool> result = parse_bool("mlock", word);
    EXPECT_TRUE(result.ok() && !result.value()) << word;
  }
}

TEST(ParseBool, RefusesAllElseAndNamesIt) {
  for (const char* word :
       {"", " ", "2", "-1", "tru", "truee", "true ", " true", "ye", "of", "01"}) {
    const Result<bool> result = parse_bool("mlock", word);
    EXPECT_EQ(fault_in(result.status(), {"mlock=" + std::string(word), "true or false"}), "");
  }
}

TEST(ParseAllocator, PlainNames) {
  for (const AllocatorType type :
       {AllocatorType::sparse, AllocatorType::malloc, AllocatorType::zstd}) {
    Result<AllocatorOptions> result = parse_allocator(allocator_name(type));
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(result.value().type, type);
    EXPECT_FALSE(result.value().mlock);
    EXPECT_EQ(result.value().level, 3);
  }
  EXPECT_STREQ(allocator_name(AllocatorType::sparse), "sparse");
  EXPECT_STREQ(allocator_name(AllocatorType::malloc), "malloc");
  EXPECT_STREQ(allocator_name(AllocatorType::zstd), "zstd");
}

// A name must match as a whole: no prefix, nothing longer, no other case.
TEST(ParseAllocator, UnknownNamesListTheKnown) {
  for (const std::string name :
       {"s", "sparsee", "Sparse", "zst", "zstd:", "mallo", "sparse=1", "foo"}) {
    for (const std::string rest : {"", ",mlock=true", ","}) {
      EXPECT_EQ(fault_in(name + rest, {"allocator=" + name + rest, "unknown allocator",
                                       "\"" + name + "\"", "sparse", "malloc", "zstd"}),
                "");
    }
  }
}

TEST(ParseAllocator, MissingName) {
  for (const std::string value : {"", ",", ",mlock=true"}) {
    EXPECT_EQ(fault_in(value, {"allocator=" + value, "missing", "sparse, malloc, zstd"}), "");
  }
}

TEST(ParseAllocator, KeyWithoutValueMeansTrue) {
  for (const char* value : {"malloc,mlock", "malloc,mlock=true", "malloc,mlock=on",
                            "malloc,mlock=1", "malloc,mlock=false,mlock"}) {
    Result<AllocatorOptions> result = parse_allocator(value);
    EXPECT_TRUE(result.ok() && result.value().mlock) << value;
  }
}

TEST(ParseAllocator, LastOfAKeyCounts) {
  Result<AllocatorOptions> result = parse_allocator("malloc,mlock=true,mlock=no");
  EXPECT_TRUE(result.ok() && !result.value().mlock);
  EXPECT_FALSE(parse_allocator("malloc,mlock=maybe,mlock=true").ok()) << "each has to be right";
}

TEST(ParseAllocator, UnknownKeysListTheKnown) {
  EXPECT_EQ(fault_in("sparse,level=3", {"allocator=sparse", "level", "zstd", "mlock"}), "");
  EXPECT_EQ(fault_in("malloc,cache=3", {"allocator=malloc", "cache", "zstd", "mlock"}), "");
  EXPECT_EQ(fault_in("zstd,leve=3", {"allocator=zstd", "\"leve\"", "level=N"}), "");
  EXPECT_EQ(fault_in("malloc,MLOCK", {"allocator=malloc", "\"MLOCK\"", "mlock"}), "");
  EXPECT_EQ(fault_in("malloc,,mlock", {"allocator=malloc,,mlock", "no option between"}), "");
  for (const char* name : {"sparse", "malloc", "zstd"}) {
    EXPECT_EQ(fault_in(std::string(name) + ",", {name, "no option after"}), "")
        << "a comma announces a key";
  }
}

// A blank is refused wherever it stands, and what was meant without it is told if that is right.
TEST(ParseAllocator, BlanksAreRefused) {
  for (const std::string value : {"malloc ", " malloc", "\tmalloc"}) {
    EXPECT_EQ(fault_in(value, {"allocator=" + value, "no blanks", "mean allocator=malloc?"}), "");
  }
  for (const std::string value :
       {"malloc, mlock=no", "malloc ,mlock=no", "malloc mlock=no", "malloc , mlock = no"}) {
    EXPECT_EQ(fault_in(value, {"no blanks", "mean allocator=malloc,mlock=no?"}), "");
  }
  for (const std::string value : {" ", "m alloc", "malloc, mlock=may be", "malloc, ,mlock"}) {
    EXPECT_EQ(fault_in(value, {"allocator=" + value, "no blanks"}), "");
    const std::string message = parse_allocator(value).status().message();
    EXPECT_EQ(message.find("mean"), std::string::npos) << message;
  }
}

TEST(ParseAllocator, BadBooleanNamesAllocatorAndKey) {
  for (const std::string word : {"maybe", "", "2", "true=true"}) {
    EXPECT_EQ(fault_in("malloc,mlock=" + word, {"allocator=malloc", "mlock=" + word, "true or"}),
              "");
  }
}

#ifdef RAMDISK_HAVE_ZSTD

TEST(ParseAllocator, LevelsAsFarAsTheLibraryHasThem) {
  const ZstdSupport range = zstd_support().value();
  for (const int level : {range.least_level, range.least_level + 1, -1, 0, 1, 3,
                          range.most_level - 1, range.most_level}) {
    Result<AllocatorOptions> result = parse_allocator("zstd,level=" + std::to_string(level));
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(result.value().level, level);
  }
  Result<AllocatorOptions> twice = parse_allocator("zstd,level=9,level=1");
  EXPECT_EQ(twice.value().level, 1);
}

TEST(ParseAllocator, BadLevelsNameTheRange) {
  const ZstdSupport range = zstd_support().value();
  const std::string least = std::to_string(range.least_level),
                    most = std::to_string(range.most_level);
  for (const std::string& level :
       {std::to_string(range.least_level - 1), std::to_string(range.most_level + 1),
        std::string(""), std::string("x"), std::string("3x"), std::string("0x3"),
        std::string("3.0"), std::string("99999999999999999999")}) {
    EXPECT_EQ(fault_in("zstd,level=" + level, {"allocator=zstd", "level=" + level, least, most}),
              "");
  }
  EXPECT_EQ(fault_in("zstd,level", {"allocator=zstd", "level", least, most}), "");
}

#endif

}  // namespace
}  // namespace ramdisk
