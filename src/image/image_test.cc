// What a disk loads from a file and saves as one: every byte and every hole, with all allocators.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "image/data_ranges.h"
#include "image/image_file.h"
#include "image/save.h"
#include "support/data.h"
#include "support/extent_check.h"
#include "support/factory.h"

namespace ramdisk {
namespace {

namespace fs = std::filesystem;
using support::Bytes;

constexpr uint64_t kMiB = 1 << 20;

Status no_watch(uint64_t) {
  return {};
}

class ImageTest : public testing::TestWithParam<AllocatorType> {
 protected:
  ImageTest() {
    std::string name = fs::temp_directory_path() / "image-test.XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ / "disk.img";
  }
  ~ImageTest() override { fs::remove_all(directory_); }

  // A file of `bytes` bytes, all of it a hole but for what put() writes.
  void make_file(uint64_t bytes) {
    std::ofstream(path_).flush();
    fs::resize_file(path_, bytes);
  }
  void put(const Bytes& data, uint64_t offset) const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(data.data()),
               static_cast<std::streamsize>(data.size()));
    EXPECT_TRUE(file.flush().good());
  }
  Bytes content() const {
    Bytes bytes(fs::file_size(path_));
    std::ifstream file(path_, std::ios::binary);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    EXPECT_TRUE(file.good() || bytes.empty());
    return bytes;
  }
  uint64_t stored() const {
    struct stat status {};
    EXPECT_EQ(stat(path_.c_str(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }

  void load(Allocator& disk) const {
    auto file = ImageFile::open(path_);
    ASSERT_TRUE(file.ok()) << file.status().message();
    const Status status = file.value()->load(disk, no_watch);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  void save(Allocator& disk, uint64_t bytes) const {
    const Status status = save_image(disk, bytes, path_, no_watch);
    EXPECT_TRUE(status.ok()) << status.message();
  }

  // Loads the file into a disk of `disk_bytes`, compares all of it, saves it, and compares that.
  void go_round(uint64_t disk_bytes) {
    Bytes want = content();
    support::Disk disk(GetParam(), disk_bytes);
    load(*disk);
    want.resize(disk_bytes);
    EXPECT_EQ(support::first_difference(support::read_back(*disk, disk_bytes, 0), want, 0), "");
    save(*disk, disk_bytes);
    EXPECT_EQ(support::first_difference(content(), want, 0), "");
    EXPECT_EQ(fs::file_size(path_), disk_bytes);
  }

  support::Rng rng_{1};
  fs::path directory_;
  fs::path path_;
};

TEST_P(ImageTest, SizesThatAreNoMultipleOfAnything) {
  for (const uint64_t bytes : {1u, 511u, 4095u, 4096u, 4097u, 262'143u, 262'145u, 1'000'001u}) {
    make_file(bytes);
    put(support::make_data(bytes, support::Data::text, rng_), 0);
    go_round(bytes);
    make_file(bytes);
    put(Bytes(1, std::byte{7}), bytes - 1);
    go_round(bytes);
  }
}

TEST_P(ImageTest, AnEmptyFile) {
  make_file(0);
  go_round(0);
  EXPECT_EQ(fs::file_size(path_), 0u);
  make_file(0);
  go_round(kMiB);
}

TEST_P(ImageTest, ALargerDiskHasZeroesBehind) {
  make_file(100'001);
  put(support::make_data(100'001, support::Data::random, rng_), 0);
  go_round(5 * kMiB + 3);
}

TEST_P(ImageTest, HolesAtTheBeginningTheEndAndInBetween) {
  make_file(9 * kMiB + 123);
  for (const uint64_t at : {kMiB + 1, 3 * kMiB - 5000, 6 * kMiB + 4095}) {
    put(support::make_data(300'000, support::Data::text, rng_), at);
  }
  const uint64_t before = stored();
  go_round(9 * kMiB + 123);
  EXPECT_LE(stored(), before + 3 * 4096);
  support::Disk disk(GetParam(), 9 * kMiB + 123);
  load(*disk);
  if (!support::has_holes(GetParam())) return;
  const std::vector<support::Extent> extents = support::extents_of(*disk, 9 * kMiB + 123, 0);
  ASSERT_EQ(extents.size(), 7u);
  EXPECT_EQ(extents.front(), (support::Extent{0, kMiB, ExtentKind::hole}));
  EXPECT_EQ(extents.back().kind, ExtentKind::hole);
}

// Blocks of zeroes need no memory and no room, whether they are holes in the file or not.
TEST_P(ImageTest, ZeroesAreNotKept) {
  make_file(4 * kMiB);
  put(Bytes(4 * kMiB), 0);
  put(Bytes(4096, std::byte{1}), 2 * kMiB);
  support::Disk disk(GetParam(), 4 * kMiB);
  load(*disk);
  if (support::has_holes(GetParam())) {
    EXPECT_EQ(disk->usage().stored_bytes, 4096u);
  }
  save(*disk, 4 * kMiB);
  EXPECT_LE(stored(), 64u << 10);
  go_round(4 * kMiB);
}

TEST_P(ImageTest, PagesThatWereTrimmedAreHoles) {
  make_file(2 * kMiB);
  put(support::make_data(2 * kMiB, support::Data::random, rng_), 0);
  support::Disk disk(GetParam(), 2 * kMiB);
  load(*disk);
  EXPECT_TRUE(disk->zero(kMiB, kMiB / 2).ok());
  save(*disk, 2 * kMiB);
  EXPECT_LE(stored(), kMiB + (64 << 10));
  go_round(2 * kMiB);
}

// Beyond what fits into 32 bits, and with holes that nothing may walk through.
TEST_P(ImageTest, LargeFilesThatAreMostlyHoles) {
  if (!support::has_holes(GetParam())) GTEST_SKIP() << "this disk takes the memory for all of it";
  const uint64_t bytes = (uint64_t{5} << 30) + 17;
  make_file(bytes);
  const Bytes data = support::make_data(70'000, support::Data::text, rng_);
  for (const uint64_t at : {uint64_t{0}, (uint64_t{4} << 30) - 30'000, bytes - 70'000}) {
    put(data, at);
  }
  support::Disk disk(GetParam(), uint64_t{1} << 62);
  load(*disk);
  fs::remove(path_);
  save(*disk, bytes);
  EXPECT_LE(stored(), 1u << 20);
  support::Disk again(GetParam(), bytes);
  load(*again);
  for (const uint64_t at : {uint64_t{0}, (uint64_t{4} << 30) - 30'000, bytes - 70'000}) {
    EXPECT_EQ(support::first_difference(support::read_back(*again, 70'000, at), data, at), "");
  }
  EXPECT_LE(again->usage().stored_bytes, 300'000u);
}

TEST_P(ImageTest, TheRangesOfAHugeDiskAreFound) {
  if (!support::has_holes(GetParam())) GTEST_SKIP() << "this disk takes the memory for all of it";
  support::Disk disk(GetParam(), support::kLargestDisk);
  const Bytes page(4096, std::byte{3});
  const uint64_t far = uint64_t{1} << 62;
  EXPECT_TRUE(disk->write(page, far).ok());
  EXPECT_TRUE(disk->write(page, 65 * kMiB).ok());
  DataRanges ranges(*disk, support::kLargestDisk);
  EXPECT_EQ(ranges.next().value(), (Range{65 * kMiB, 4096}));
  EXPECT_EQ(ranges.next().value(), (Range{far, 4096}));
  EXPECT_EQ(ranges.next().value().length, 0u);
  EXPECT_EQ(ranges.next().value().length, 0u);
}

TEST_P(ImageTest, AFileThatBecomesShorterIsAFailure) {
  make_file(kMiB);
  put(support::make_data(kMiB, support::Data::random, rng_), 0);
  auto file = ImageFile::open(path_);
  ASSERT_TRUE(file.ok());
  fs::resize_file(path_, 5000);
  support::Disk disk(GetParam(), kMiB);
  const Status status = file.value()->load(*disk, no_watch);
  EXPECT_EQ(status.errnum(), EIO);
  EXPECT_STREQ(status.message(), "became shorter while it was read");
}

TEST_P(ImageTest, ADiskWithoutMemoryIsAFailure) {
  if (!support::has_holes(GetParam())) GTEST_SKIP() << "this disk has its memory from the start";
  make_file(8 * kMiB);
  put(support::make_data(8 * kMiB, support::Data::random, rng_), 0);
  auto file = ImageFile::open(path_);
  ASSERT_TRUE(file.ok());
  support::FailingMemory memory;
  memory.limit(6 * kMiB);
  support::Disk disk(GetParam(), 8 * kMiB, memory);
  ASSERT_TRUE(disk.works());
  EXPECT_EQ(file.value()->load(*disk, no_watch).errnum(), ENOMEM);
}

TEST_P(ImageTest, WhatIsNoImageIsRefused) {
  EXPECT_EQ(ImageFile::open(path_).status().errnum(), ENOENT);
  EXPECT_EQ(ImageFile::open(directory_).status().errnum(), EINVAL);
  EXPECT_EQ(ImageFile::open("/dev/null").status().errnum(), EINVAL);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(ImageFile::open(path_).status().errnum(), EINVAL);
}

TEST_P(ImageTest, AWatcherCanEndEither) {
  make_file(kMiB);
  put(support::make_data(kMiB, support::Data::random, rng_), 0);
  support::Disk disk(GetParam(), kMiB);
  load(*disk);
  const Bytes before = content();
  EXPECT_TRUE(disk->zero(kMiB, 0).ok());
  const auto enough = [](uint64_t) { return Status::error(EINTR, "enough"); };
  auto file = ImageFile::open(path_);
  ASSERT_TRUE(file.ok());
  EXPECT_STREQ(file.value()->load(*disk, enough).message(), "enough");
  EXPECT_STREQ(save_image(*disk, kMiB, path_, enough).message(), "enough");
  EXPECT_EQ(support::first_difference(content(), before, 0), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 1);
}

INSTANTIATE_TEST_SUITE_P(All, ImageTest, testing::ValuesIn(support::all_allocators()),
                         support::name_of_type);

}  // namespace
}  // namespace ramdisk
