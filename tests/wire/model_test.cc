// Thousands of random requests, each done to the disk and to a vector of bytes that must agree.
//
// The seed is fixed and printed; RAMDISK_SEED in the environment gives another.

#include <algorithm>
#include <cstdlib>

#include "fixture.h"

namespace wire {
namespace {

uint64_t seed() {
  const char* given = getenv("RAMDISK_SEED");
  return given ? std::strtoull(given, nullptr, 0) : 20240229;
}

// The vector stands for the last `bytes` of the disk before `end`; the rest is never touched.
class Model {
 public:
  Model(const Client& client, uint64_t end, uint64_t bytes, bool sparse)
      : client_(client),
        base_(end - bytes),
        sparse_(sparse),
        bytes_(bytes, 0),
        used_(bytes / kUnit + 2, false),
        random_(seed()) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      if (testing::Test::HasFatalFailure()) {
        ADD_FAILURE() << "step " << i << ", seed " << seed();
        return;
      }
    }
    compare(bytes_.size(), 0);
  }

 private:
  // Only what lies in a unit that some write has touched may be data on a sparse disk.
  static constexpr uint64_t kUnit = 64 * KiB;

  void step() {
    const uint64_t offset = pick_offset();
    const uint64_t count = pick_count(bytes_.size() - offset);
    const uint32_t fua = pick(random_, 8) == 0 ? LIBNBD_CMD_FLAG_FUA : 0;
    switch (pick(random_, 12)) {
      case 0:
      case 1:
      case 2:
        return store(noise(count, random_()), offset, fua);
      case 3:
      case 4:
        return store(text(count, random_()), offset, fua);
      case 5:
        return store(Bytes(count, 0), offset, fua);
      case 6:
        client_.zero(count, base_ + offset, fua | LIBNBD_CMD_FLAG_NO_HOLE);
        break;
      case 7:
        client_.zero(count, base_ + offset, fua | LIBNBD_CMD_FLAG_FAST_ZERO);
        break;
      case 8:
        client_.trim(count, base_ + offset, fua);
        break;
      case 9:
        return check_extents(count, offset);
      case 10:
        client_.cache(count, base_ + offset);
        [[fallthrough]];
      default:
        return compare(count, offset);
    }
    std::fill_n(bytes_.begin() + static_cast<int64_t>(offset), count, uint8_t{0});
  }

  uint64_t pick_offset() {
    const uint64_t offset = pick(random_, bytes_.size());
    // Half of them next to something aligned: that is where the mistakes are.
    if (pick(random_, 2)) return offset;
    const uint64_t unit = uint64_t{512} << pick(random_, 9);
    const uint64_t near = offset / unit * unit + pick(random_, 3);
    return near == 0 ? 0 : std::min<uint64_t>(near - 1, bytes_.size() - 1);
  }

  uint64_t pick_count(uint64_t most) {
    static const uint64_t limits[] = {16, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, 2 * MiB};
    const uint64_t limit = limits[pick(random_, std::size(limits))];
    return 1 + pick(random_, std::min(most, limit));
  }

  void store(const Bytes& data, uint64_t offset, uint32_t flags) {
    client_.write(data, base_ + offset, flags);
    std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<int64_t>(offset));
    const uint64_t first = (base_ + offset) / kUnit - base_ / kUnit;
    const uint64_t last = (base_ + offset + data.size() - 1) / kUnit - base_ / kUnit;
    for (uint64_t unit = first; unit <= last; ++unit) used_[unit] = true;
  }

  void compare(uint64_t count, uint64_t offset) {
    const Bytes got = client_.read(count, base_ + offset);
    const auto from = bytes_.begin() + static_cast<int64_t>(offset);
    const auto differs = std::mismatch(got.begin(), got.end(), from);
    ASSERT_TRUE(differs.first == got.end())
        << "read of " << count << " at " << base_ + offset << ": byte "
        << base_ + offset + static_cast<uint64_t>(differs.first - got.begin()) << " is "
        << int{*differs.first} << " and should be " << int{*differs.second};
  }

  void check_extents(uint64_t count, uint64_t offset) {
    uint64_t next = base_ + offset;
    for (const Extent& extent : client_.extents(count, base_ + offset)) {
      ASSERT_EQ(next, extent.offset);
      next += extent.length;
      const uint64_t from = extent.offset - base_;
      if (extent.flags & LIBNBD_STATE_ZERO) {
        const auto begin = bytes_.begin() + static_cast<int64_t>(from);
        ASSERT_EQ(extent.length, std::count(begin, begin + static_cast<int64_t>(extent.length), 0))
            << "data are reported as zeroes in " << testing::PrintToString(extent);
      } else if (sparse_) {
        const uint64_t first = extent.offset / kUnit - base_ / kUnit;
        const uint64_t last = (extent.offset + extent.length - 1) / kUnit - base_ / kUnit;
        for (uint64_t unit = first; unit <= last; ++unit) {
          ASSERT_TRUE(used_[unit])
              << "a hole is reported as data in " << testing::PrintToString(extent);
        }
      }
    }
    ASSERT_EQ(base_ + offset + count, next);
  }

  const Client& client_;
  const uint64_t base_;
  const bool sparse_;
  Bytes bytes_;
  std::vector<bool> used_;
  Random random_;
};

void run_model(const std::string& allocator, uint64_t size, uint64_t end, int steps) {
  std::printf("seed: %llu\n", static_cast<unsigned long long>(seed()));
  const Server server(disk(allocator, size));
  const Client client(server);
  Model(client, end, 4 * MiB + 321, allocator != "malloc").run(steps);
}

using RandomRequests = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, RandomRequests, all_allocators(), allocator_name);
using SparseRandomRequests = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, SparseRandomRequests, sparse_allocators(), allocator_name);

TEST_P(RandomRequests, AllOfASmallDisk) {
  run_model(GetParam(), 4 * MiB + 321, 4 * MiB + 321, 3000);
}

TEST_P(RandomRequests, AroundADirectoryEdge) {
  run_model(GetParam(), 132 * MiB, 130 * MiB, 1500);
}

TEST_P(SparseRandomRequests, AroundAnEdgeOfALargeDisk) {
  run_model(GetParam(), kLargestDisk, 1024 * GiB + 2 * MiB, 1500);
}

TEST_P(SparseRandomRequests, EndOfTheLargestDisk) {
  run_model(GetParam(), kLargestDisk, kLargestDisk, 1500);
}

}  // namespace
}  // namespace wire
