// Random requests against the model, on disks whose sizes are edges themselves.

#include <gtest/gtest.h>

#include "support/session.h"

namespace ramdisk::conformance {
namespace {

class RandomOps : public testing::TestWithParam<Kind> {
 protected:
  void run(uint64_t disk_bytes, int steps, uint64_t most) {
    SCOPED_TRACE("disk of " + std::to_string(disk_bytes) + " bytes");
    Rng rng(disk_bytes);
    Disk disk(GetParam().type, disk_bytes, make_memory(GetParam().memory));
    ASSERT_TRUE(disk.works()) << disk.status().message();
    Session session(disk, GetParam().type, disk_bytes);
    session.check_everything();  // nothing was written
    random_steps(session, Places(disk_bytes), scaled(steps), most, rng);
  }
};

TEST_P(RandomOps, TinyDisks) {
  for (const uint64_t bytes : {0, 1, 2, 511, 512, 4095, 4096, 4097}) run(bytes, 300, 8192);
}

TEST_P(RandomOps, DisksOfAboutOnePage) {
  for (const uint64_t bytes : {32767, 32768, 32769, 65535}) run(bytes, 300, 1 << 20);
}

TEST_P(RandomOps, DisksOfAboutOneMebibyte) {
  for (const uint64_t bytes : {(1 << 20) - 1, 1 << 20, (1 << 20) + 1}) run(bytes, 200, 1 << 20);
}

TEST_P(RandomOps, DiskWithOddEnd) {
  run((5 << 20) + 123, 500, 2 << 20);
}

TEST_P(RandomOps, DiskAcrossA128MebibyteEdge) {
  run((129 << 20) + 77, 300, 1 << 20);
}

// Small requests return to the same pages, so that pages often change between empty, plain,
// compressed and all zero.
TEST_P(RandomOps, FewPagesOften) {
  run(70000, 3000, 9000);
}

INSTANTIATE_TEST_SUITE_P(All, RandomOps, testing::ValuesIn(all_kinds({Base::empty, Base::data})),
                         name_of_kind);

// Requests of 1 byte to 64 MiB, at odd offsets, with every kind of data.
class LargeRequests : public testing::TestWithParam<DiskType> {};

TEST_P(LargeRequests, UpTo64Mebibytes) {
  constexpr uint64_t kDisk = (66 << 20) + 5;
  Rng rng(1);
  Disk disk(GetParam(), kDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kDisk);
  std::vector<uint64_t> counts = {64 << 20, (8 << 20) + 4097, 1};
  if (!slow_build()) counts.insert(counts.end(), {(64 << 20) - 1, 33 << 20});
  for (const uint64_t count : counts) {
    const uint64_t offset = rng.below(kDisk - count + 1);
    session.write(make_data(count, rng.pick(kAllData), rng), offset);
    EXPECT_EQ(first_difference(read_back(*disk, count, offset), session.model().read(count, offset),
                               offset),
              "");
    session.check_around(1, offset);
    session.check_around(1, offset + count - 1);
  }
  session.zero(64 << 20, 4095);
  session.check_everything();
}

INSTANTIATE_TEST_SUITE_P(All, LargeRequests,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::data})),
                         name_of_disk);

// The tests rely on streams that repeat for the same seed and differ for different ones.
TEST(RandomNumbers, StreamsDifferAndRepeat) {
  Rng a(1), again(1), b(2);
  const uint64_t first = a.next();
  EXPECT_EQ(first, again.next());
  EXPECT_NE(first, b.next());
}

}  // namespace
}  // namespace ramdisk::conformance
