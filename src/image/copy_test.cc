// copy_in_parallel(): every piece is copied once, and the first failure ends the copy.

#include "image/copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace ramdisk {
namespace {

using std::chrono::milliseconds;

// With the caller alone and with several threads.
class CopyTest : public testing::TestWithParam<size_t> {
 protected:
  // Hands out `count` pieces of ten bytes and notes which of them are copied.
  CopyJob job(uint64_t count) {
    CopyJob job;
    job.next = [this, count]() -> Result<Range> {
      if (handed_out_ == count) return Range{};
      return Range{handed_out_++ * 10, 10};
    };
    job.copy = [this](Range piece, std::span<std::byte> buffer) {
      EXPECT_EQ(buffer.size(), piece.length);
      std::fill(buffer.begin(), buffer.end(), std::byte{1});
      const MutexLock lock(mutex_);
      EXPECT_TRUE(copied_.insert(piece.offset).second);
      return Status();
    };
    job.watch = [this](uint64_t bytes) {
      EXPECT_GE(bytes, watched_);
      watched_ = bytes;
      return Status();
    };
    return job;
  }

  size_t copied() {
    const MutexLock lock(mutex_);
    return copied_.size();
  }

  uint64_t handed_out_ = 0;
  uint64_t watched_ = 0;

 private:
  Mutex mutex_;
  std::set<uint64_t> copied_ GUARDED_BY(mutex_);
};

TEST_P(CopyTest, CopiesEveryPieceOnce) {
  EXPECT_TRUE(copy_in_parallel(job(1000), GetParam()).ok());
  EXPECT_EQ(copied(), 1000u);
  EXPECT_EQ(watched_, 10'000u);
}

TEST_P(CopyTest, CopiesNothing) {
  EXPECT_TRUE(copy_in_parallel(job(0), GetParam()).ok());
  EXPECT_EQ(watched_, 0u);
}

TEST_P(CopyTest, AFailureToCopyEndsIt) {
  CopyJob failing = job(1'000'000);
  failing.copy = [](Range piece, std::span<std::byte>) {
    return piece.offset == 100 ? Status::error(EIO, "broken") : Status();
  };
  const Status status = copy_in_parallel(failing, GetParam());
  EXPECT_EQ(status.errnum(), EIO);
  EXPECT_STREQ(status.message(), "broken");
  EXPECT_LT(handed_out_, 1'000'000u);
}

TEST_P(CopyTest, AFailureToFindTheNextEndsIt) {
  CopyJob failing = job(0);
  failing.next = []() -> Result<Range> { return Status::error(EIO, "lost"); };
  EXPECT_STREQ(copy_in_parallel(failing, GetParam()).message(), "lost");
}

TEST_P(CopyTest, AnExceptionIsAFailure) {
  CopyJob failing = job(10);
  failing.copy = [](Range, std::span<std::byte>) -> Status { throw std::bad_alloc(); };
  EXPECT_EQ(copy_in_parallel(failing, GetParam()).errnum(), ENOMEM);
}

// The copy would go on for an hour.
TEST_P(CopyTest, TheWatcherCanEndIt) {
  CopyJob slow = job(3'600'000);
  slow.interval = milliseconds(1);
  slow.copy = [](Range, std::span<std::byte>) {
    std::this_thread::sleep_for(milliseconds(1));
    return Status();
  };
  slow.watch = [](uint64_t bytes) { return bytes > 0 ? Status::error(EINTR, "enough") : Status(); };
  EXPECT_STREQ(copy_in_parallel(slow, GetParam()).message(), "enough");
}

INSTANTIATE_TEST_SUITE_P(Threads, CopyTest, testing::Values(0u, 1u, 4u));

}  // namespace
}  // namespace ramdisk
