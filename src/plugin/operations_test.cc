// Operations: each request is counted once, in the bucket for its time.

#include "plugin/operations.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

namespace ramdisk {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

size_t bucket_of(Operations::Clock::duration taken) {
  Operations operations;
  operations.add(Operation::read, true, 1, taken);
  const Operations::Figures figures = operations.figures(Operation::read);
  size_t bucket = 0;
  while (figures.buckets.at(bucket) == 0) ++bucket;
  return bucket;
}

TEST(Operations, BucketsEndAtPowersOfTwo) {
  EXPECT_EQ(bucket_of(nanoseconds(0)), 0u);
  EXPECT_EQ(bucket_of(nanoseconds(1000)), 0u);
  EXPECT_EQ(bucket_of(nanoseconds(1001)), 1u);
  for (size_t i = 1; i + 1 < Operations::kBuckets; ++i) {
    EXPECT_EQ(bucket_of(microseconds(1 << i)), i);
    EXPECT_EQ(bucket_of(microseconds(1 << i) + nanoseconds(1)), i + 1);
  }
  EXPECT_EQ(bucket_of(std::chrono::hours(10000)), Operations::kBuckets - 1);
}

TEST(Operations, FailuresCountNoBytes) {
  Operations operations;
  operations.add(Operation::write, true, 100, nanoseconds(7));
  operations.add(Operation::write, false, 1000, nanoseconds(70));
  const Operations::Figures writes = operations.figures(Operation::write);
  EXPECT_EQ(writes.requests, 2u);
  EXPECT_EQ(writes.errors, 1u);
  EXPECT_EQ(writes.bytes, 100u);
  EXPECT_EQ(writes.nanoseconds, 77u);
  EXPECT_EQ(operations.figures(Operation::read).requests, 0u);
}

TEST(Operations, ThreadsLoseNothing) {
  Operations operations;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10000; ++n) operations.add(Operation::trim, true, 3, microseconds(n));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Operations::Figures trims = operations.figures(Operation::trim);
  EXPECT_EQ(trims.requests, 40000u);
  EXPECT_EQ(trims.bytes, 120000u);
  EXPECT_EQ(std::accumulate(trims.buckets.begin(), trims.buckets.end(), uint64_t{0}), 40000u);
}

}  // namespace
}  // namespace ramdisk
