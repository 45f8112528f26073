// zero_run() against a look at every byte.

#include "disk/zero_run.h"

#include <gtest/gtest.h>

#include <string>

#include "support/data.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Rng;
using conformance::scaled;

// Goes through the parts of pages for as long as each is all zero.
size_t expected(const Bytes& data, uint64_t offset, size_t position) {
  size_t end = position;
  while (end < data.size()) {
    size_t next = end;
    do {
      ++next;
    } while (next < data.size() && (offset + next) % kPageBytes != 0);
    if (!conformance::all_zero({data.data() + end, next - end})) break;
    end = next;
  }
  return end - position;
}

void check(const Bytes& data, uint64_t offset) {
  SCOPED_TRACE(std::to_string(data.size()) + " bytes at " + std::to_string(offset));
  for (size_t position = 0; position < data.size();) {
    ASSERT_EQ(zero_run(data, offset, position), expected(data, offset, position)) << position;
    position += kPageBytes - (offset + position) % kPageBytes;
  }
}

TEST(ZeroRun, AllZero) {
  for (const uint64_t offset : {0, 1, 4095, 4096}) {
    for (const size_t count : {1, 4095, 4096, 4097, 20000}) {
      EXPECT_EQ(zero_run(Bytes(count), offset, 0), count);
      check(Bytes(count), offset);
    }
  }
}

TEST(ZeroRun, OneByteAtEachEdge) {
  for (const uint64_t offset : {0, 1, 4000, 4095}) {
    for (const size_t at : {0, 1, 95, 96, 97, 4095, 4096, 4097, 8191, 8192, 12287}) {
      Bytes data(12288);
      data[at] = std::byte{1};
      check(data, offset);
    }
  }
}

TEST(ZeroRun, LastBytesOfTheLargestDisk) {
  const uint64_t end = INT64_MAX;
  for (const size_t count : {1, 4095, 4096, 10000}) {
    Bytes data(count);
    EXPECT_EQ(zero_run(data, end - count, 0), count);
    data.back() = std::byte{1};
    check(data, end - count);
  }
}

TEST(ZeroRun, Random) {
  Rng rng(1);
  for (int round = 0; round < scaled(300); ++round) {
    Bytes data(1 + rng.below(40000));
    for (uint64_t i = rng.below(6); i > 0; --i) data[rng.below(data.size())] = std::byte{1};
    check(data, rng.below(10000));
  }
}

}  // namespace
}  // namespace ramdisk
