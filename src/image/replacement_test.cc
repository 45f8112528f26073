// Replacement: a file takes the place of another when it is complete, and not before.

#include "image/replacement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace ramdisk {
namespace {

namespace fs = std::filesystem;

class ReplacementTest : public testing::Test {
 protected:
  ReplacementTest() {
    std::string name = fs::temp_directory_path() / "replacement-test.XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = fs::canonical(name);
    path_ = directory_ / "disk.img";
    hidden_ = directory_ / ".disk.img.saving";
  }
  ~ReplacementTest() override { fs::remove_all(directory_); }

  static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string content(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static mode_t mode(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(directory_), fs::directory_iterator());
  }

  fs::path directory_;
  fs::path path_;
  fs::path hidden_;
};

TEST_F(ReplacementTest, TakesThePlaceWhenItIsComplete) {
  put(path_, "old");
  fs::permissions(path_, fs::perms(0640));
  {
    Replacement file(path_);
    ASSERT_TRUE(file.create(3).ok());
    ASSERT_EQ(pwrite(file.fd(), "new", 3, 0), 3);
    EXPECT_EQ(content(path_), "old");
    EXPECT_TRUE(file.commit().ok());
    EXPECT_EQ(content(path_), "new");
  }
  EXPECT_EQ(content(path_), "new");
  EXPECT_EQ(mode(path_), 0640u);
  EXPECT_EQ(files(), 1);
}

TEST_F(ReplacementTest, LeavesNothingUnlessItIsComplete) {
  put(path_, "old");
  {
    Replacement file(path_);
    ASSERT_TRUE(file.create(1 << 20).ok());
    EXPECT_EQ(files(), 2);
  }
  EXPECT_EQ(content(path_), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(ReplacementTest, ANewFileHasTheModeOfNewFiles) {
  const mode_t before = umask(027);
  Replacement file(path_);
  ASSERT_TRUE(file.create(5).ok());
  EXPECT_TRUE(file.commit().ok());
  umask(before);
  EXPECT_EQ(mode(path_), 0640u);
  EXPECT_EQ(fs::file_size(path_), 5u);
}

// A process that was killed has left one.
TEST_F(ReplacementTest, AnOlderOneIsReplaced) {
  put(hidden_, "half of a disk");
  EXPECT_TRUE(Replacement::check(path_, 0).ok());
  EXPECT_EQ(files(), 0);
  put(hidden_, "half of a disk");
  Replacement file(path_);
  ASSERT_TRUE(file.create(0).ok());
  EXPECT_TRUE(file.commit().ok());
  EXPECT_EQ(content(path_), "");
  EXPECT_EQ(files(), 1);
}

// One that begins is refused while another saves. But what has to be saved now is saved beside it.
TEST_F(ReplacementTest, TwoAtOnce) {
  Replacement first(path_);
  ASSERT_TRUE(first.create(1).ok());
  EXPECT_EQ(Replacement::check(path_, 0).errnum(), EBUSY);
  {
    Replacement second(path_);
    ASSERT_TRUE(second.create(2).ok());
    EXPECT_EQ(files(), 2);
    EXPECT_TRUE(second.commit().ok());
    EXPECT_EQ(fs::file_size(path_), 2u);
  }
  EXPECT_TRUE(first.commit().ok());
  EXPECT_EQ(fs::file_size(path_), 1u);
  EXPECT_EQ(files(), 1);
}

TEST_F(ReplacementTest, WhatCannotBeRemovedIsInNobodysWay) {
  fs::create_directory(hidden_);
  EXPECT_FALSE(Replacement::check(path_, 0).ok());
  Replacement file(path_);
  ASSERT_TRUE(file.create(3).ok());
  EXPECT_TRUE(file.commit().ok());
  EXPECT_EQ(fs::file_size(path_), 3u);
  EXPECT_EQ(files(), 2);
}

// In a process of its own, because the limit cannot be raised again.
TEST_F(ReplacementTest, ALimitOnTheSizeOfFilesIsKnownBefore) {
  const auto check = [&] {
    const struct rlimit limit { 8192, 8192 };
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    if (!Replacement::check(path_, 8192).ok()) _exit(2);
    _exit(Replacement::check(path_, 8193).errnum() == EFBIG ? 0 : 3);
  };
  EXPECT_EXIT(check(), testing::ExitedWithCode(0), "");
}

TEST_F(ReplacementTest, ALinkIsFollowed) {
  put(path_, "old");
  const fs::path link = directory_ / "link";
  fs::create_symlink("disk.img", link);
  EXPECT_EQ(Replacement::resolve(link).value(), path_);
  fs::remove(path_);
  EXPECT_EQ(Replacement::resolve(link).status().errnum(), ENOENT);
  fs::create_directory(directory_ / "real");
  fs::create_directory_symlink("real", directory_ / "folder");
  EXPECT_EQ(Replacement::resolve(directory_ / "folder" / "new").value(),
            directory_ / "real" / "new");
}

TEST_F(ReplacementTest, OnlyAFileCanBeReplaced) {
  EXPECT_EQ(Replacement::resolve(directory_).status().errnum(), EINVAL);
  EXPECT_EQ(Replacement::resolve("/dev/null").status().errnum(), EINVAL);
  EXPECT_EQ(Replacement::resolve(directory_ / "missing" / "x").status().errnum(), ENOENT);
  EXPECT_FALSE(Replacement::resolve((directory_ / "missing").string() + "/").ok());
  EXPECT_EQ(Replacement::resolve("/name").value(), "/name");
}

TEST_F(ReplacementTest, ADirectoryWithoutPermissionIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::permissions(directory_, fs::perms(0555));
  EXPECT_EQ(Replacement::check(path_, 0).errnum(), EACCES);
  fs::permissions(directory_, fs::perms(0755));
}

TEST_F(ReplacementTest, KnowsTheRoom) {
  EXPECT_GT(Replacement::room(path_), 0u);
  EXPECT_EQ(Replacement::room(directory_ / "missing" / "x"), UINT64_MAX);
}

}  // namespace
}  // namespace ramdisk
