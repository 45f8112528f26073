// StatsFile: when the file is written, what it contains, and that nothing else is left behind.

#include "plugin/stats_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"

namespace ramdisk {
namespace {

using std::chrono::milliseconds;
namespace fs = std::filesystem;

constexpr StatsFile::Timing kHasty{milliseconds(5), milliseconds(40)};

class StatsFileTest : public testing::Test {
 protected:
  StatsFileTest() {
    std::string name = fs::temp_directory_path() / "stats-file-test.XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ / "disk.prom";
  }
  ~StatsFileTest() override {
    fs::permissions(directory_, fs::perms::owner_all);
    fs::remove_all(directory_);
  }

  std::unique_ptr<StatsFile> make(StatsFile::Timing timing = kHasty) {
    return std::make_unique<StatsFile>(
        path_,
        StatsFile::Source{.document =
                              [this](bool ended) {
                                ++documents_;
                                return std::to_string(content_) + (ended ? " ended" : "");
                              },
                          .requests = [this] { return requests_.load(); },
                          .failed = [this](const Status& status) { note(status); }},
        timing);
  }

  // Changes the content, as a request does.
  void request(StatsFile& file, int content) {
    content_ = content;
    ++requests_;
    file.note_request();
  }

  std::string content() const {
    std::ifstream in(path_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  ino_t inode() const {
    struct stat now {};
    EXPECT_EQ(stat(path_.c_str(), &now), 0);
    return now.st_ino;
  }

  void note(const Status& status) {
    MutexLock lock(mutex_);
    failures_.emplace_back(status.message());
  }
  size_t failures() {
    MutexLock lock(mutex_);
    return failures_.size();
  }

  // Expects no other file in the directory.
  void expect_alone() const {
    for (const auto& entry : fs::directory_iterator(directory_)) {
      EXPECT_EQ(entry.path(), path_) << "this was left behind";
    }
  }

  template <typename Condition>
  static bool comes_true(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }

  // Waits until the thread sleeps, having looked again a few times and found nothing.
  void wait_for_rest() {
    EXPECT_TRUE(comes_true([&] {
      const int before = documents_;
      std::this_thread::sleep_for(milliseconds(200));
      return documents_ == before;
    })) << "it looks all the time";
  }

  fs::path directory_;
  fs::path path_;
  std::atomic<int> content_{1};
  std::atomic<uint64_t> requests_{0};
  std::atomic<int> documents_{0};
  Mutex mutex_;
  std::vector<std::string> failures_ GUARDED_BY(mutex_);
};

TEST_F(StatsFileTest, FirstAndLastDocument) {
  const auto file = make();
  ASSERT_TRUE(file->check().ok());
  EXPECT_FALSE(fs::exists(path_)) << "check() leaves nothing";
  expect_alone();
  ASSERT_TRUE(file->start(true).ok());
  EXPECT_TRUE(file->has_thread());
  EXPECT_EQ(content(), "1");
  file->stop();
  EXPECT_EQ(content(), "1 ended");
  content_ = 2;
  file->stop();
  EXPECT_EQ(content(), "1 ended") << "there is one end";
  expect_alone();
}

// Such files are collected by programs that run as other users.
TEST_F(StatsFileTest, EverybodyMayReadIt) {
  const auto file = make();
  ASSERT_TRUE(file->start(true).ok());
  struct stat now {};
  ASSERT_EQ(stat(path_.c_str(), &now), 0);
  EXPECT_EQ(now.st_mode & 0777, 0644u);
}

TEST_F(StatsFileTest, ChangesAreWrittenSoonAndOnlyThey) {
  const auto file = make();
  ASSERT_TRUE(file->start(true).ok());
  for (int i = 2; i < 10; ++i) {
    request(*file, i);
    EXPECT_TRUE(comes_true([&] { return content() == std::to_string(i); })) << content();
    if (i % 3 == 0) wait_for_rest();
  }
  wait_for_rest();
  const ino_t before = inode();
  // A request that changes nothing must not cause a write, and neither must the absence of
  // requests.
  request(*file, 9);
  wait_for_rest();
  EXPECT_EQ(inode(), before) << "the same document was written again";
  expect_alone();
}

// Background work continues after the last request, without any notice of it.
TEST_F(StatsFileTest, ChangesAfterTheLastRequest) {
  const auto file = make({milliseconds(5), milliseconds(20000)});
  ASSERT_TRUE(file->start(true).ok());
  request(*file, 2);
  ASSERT_TRUE(comes_true([&] { return content() == "2"; }));
  for (const int later : {3, 4}) {
    const int looks = documents_;
    ASSERT_TRUE(comes_true([&] { return documents_ >= looks + 2; })) << "it looks once only";
    content_ = later;
    EXPECT_TRUE(comes_true([&] { return content() == std::to_string(later); })) << content();
  }
}

TEST_F(StatsFileTest, NotMoreOftenThanItShould) {
  const auto begin = std::chrono::steady_clock::now();
  const auto file = make({milliseconds(300), milliseconds(300)});
  ASSERT_TRUE(file->start(true).ok());
  for (int i = 2; content() != "40" && i < 100000; ++i) {
    request(*file, std::min(i, 40));
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(content(), "40");
  const int documents = documents_;
  const auto passed = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(documents, 2 + passed / milliseconds(300));
}

TEST_F(StatsFileTest, RequestsOfManyThreads) {
  const auto file = make({milliseconds(1), milliseconds(2)});
  ASSERT_TRUE(file->start(true).ok());
  for (int round = 1; round <= 20; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 200; ++n) {
          ++content_;
          ++requests_;
          file->note_request();
          if (n % 50 == 0) std::this_thread::sleep_for(milliseconds(1));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(comes_true([&] { return content() == std::to_string(1 + 800 * round); }))
        << content() << " in round " << round;
  }
  expect_alone();
}

TEST_F(StatsFileTest, WithoutAThread) {
  const auto file = make();
  ASSERT_TRUE(file->start(false).ok());
  EXPECT_FALSE(file->has_thread());
  EXPECT_EQ(content(), "1");
  request(*file, 2);
  file->stop();
  EXPECT_EQ(content(), "2 ended");
}

TEST_F(StatsFileTest, StopWithoutAStartWritesNothing) {
  make()->stop();
  make().reset();
  EXPECT_FALSE(fs::exists(path_));
}

// ---- what cannot be written

TEST_F(StatsFileTest, CheckRefusesWhatCannotBe) {
  path_ = directory_ / "missing" / "file";
  EXPECT_EQ(make()->check().errnum(), ENOENT);
  EXPECT_EQ(make()->start(true).errnum(), ENOENT);
  path_ = directory_;  // a directory itself
  EXPECT_EQ(make()->check().errnum(), EINVAL);
  path_ = directory_ / "pipe";
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(make()->check().errnum(), EINVAL);
  path_ = directory_ / "link";
  fs::create_symlink("/dev/null", path_);
  EXPECT_EQ(make()->check().errnum(), EINVAL) << "the link would go";
  EXPECT_TRUE(fs::is_symlink(path_));
  EXPECT_NE(std::string(make()->check().message()).find(path_), std::string::npos);
  EXPECT_EQ(failures(), 0u) << "it is the caller's to tell";
}

TEST_F(StatsFileTest, AFileThatIsThereIsReplaced) {
  std::ofstream(path_) << "something long that somebody else has written";
  const auto file = make();
  ASSERT_TRUE(file->check().ok());
  EXPECT_NE(content(), "1");
  ASSERT_TRUE(file->start(true).ok());
  EXPECT_EQ(content(), "1");
  expect_alone();
}

// A failure is reported once; when it is over, the file is brought up to date.
TEST_F(StatsFileTest, FailuresWhileServing) {
  const auto file = make();
  ASSERT_TRUE(file->start(true).ok());
  for (size_t round = 1; round <= 2; ++round) {
    // The directory is moved away for a while, because root could write to it whatever its
    // permissions.
    const fs::path aside = directory_.string() + ".aside";
    fs::rename(directory_, aside);
    for (int i = 0; i < 5; ++i) {
      request(*file, static_cast<int>(10 * round) + i);
      std::this_thread::sleep_for(milliseconds(10));
    }
    EXPECT_TRUE(comes_true([&] { return failures() == round; }));
    wait_for_rest();
    EXPECT_EQ(failures(), round) << "told more than once";
    fs::rename(aside, directory_);
    request(*file, content_);  // what could not be written is still to be written
    EXPECT_TRUE(comes_true([&] { return content() == std::to_string(content_); })) << content();
  }
  file->stop();
  EXPECT_EQ(failures(), 2u);
  expect_alone();
}

}  // namespace
}  // namespace ramdisk
