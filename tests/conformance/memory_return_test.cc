// Memory is returned: the memory held follows the data stored, and the statistics show it.

#include <gtest/gtest.h>

#include <algorithm>

#include "support/session.h"
#include "support/waiting.h"

namespace ramdisk::conformance {
namespace {

const uint64_t kFill = (slow_build() ? 32 : 64) << 20;

// An empty disk may still hold some free memory for the next requests. After writes that were far
// apart this is memory of each kind: pages, directories and tree nodes.
constexpr size_t kSmall = 6 << 20;
constexpr size_t kSmallOfEachKind = 12 << 20;

// Divides the first `kFill` bytes of a disk into pieces and returns their offsets, shuffled.
std::vector<uint64_t> shuffled_pieces(uint64_t piece, Rng& rng) {
  std::vector<uint64_t> all;
  for (uint64_t at = 0; at < kFill; at += piece) all.push_back(at);
  rng.shuffle(all);
  return all;
}

class MemoryReturn : public testing::TestWithParam<DiskType> {
 protected:
  MemoryReturn() : disk_(GetParam(), kLargestDisk, memory_) {}

  void fill_disk(Data kind) {
    constexpr uint64_t kPiece = 1 << 20;
    const Bytes data = make_data(kPiece, kind, rng_);
    for (uint64_t at = 0; at < kFill; at += kPiece) {
      ASSERT_TRUE(disk_->write(data, at).ok());
    }
  }

  // A background thread may hold the memory that it is using for a moment, or for longer if it has
  // to wait for a CPU.
  void expect_at_most(size_t most, size_t most_addresses = SIZE_MAX) {
    comes_true([&] {
      return disk_->usage().memory_bytes <= most && memory_.resident_bytes() <= most &&
             memory_.held_bytes() <= most_addresses;
    });
    EXPECT_LE(memory_.resident_bytes(), most);
    EXPECT_LE(disk_->usage().memory_bytes, most);
    EXPECT_LE(memory_.held_bytes(), most_addresses);
  }

  void expect_empty(size_t most) {
    EXPECT_EQ(disk_->usage().stored_bytes, 0u);
    // Addresses include some that take no memory: slabs that become present block by block.
    expect_at_most(most, 2 * most + (4 << 20));
  }

  // Expects the memory for half of `kFill`, and little more.
  void expect_half() {
    EXPECT_EQ(disk_->usage().stored_bytes, kFill / 2);
    expect_at_most(kFill / 2 * 11 / 10 + (16 << 20));
  }

  FailingMemory memory_;
  Disk disk_;
  Rng rng_{9};
};

TEST_P(MemoryReturn, ZeroOfEverythingAtOnce) {
  fill_disk(Data::random);
  EXPECT_GE(memory_.held_bytes(), kFill);
  EXPECT_GE(memory_.resident_bytes(), kFill);
  ASSERT_TRUE(disk_->zero(kLargestDisk, 0).ok());
  expect_empty(kSmall);
}

TEST_P(MemoryReturn, ZeroInPiecesInAnyOrder) {
  for (const uint64_t piece : {64 << 10, 4096}) {
    fill_disk(Data::random);
    for (const uint64_t at : shuffled_pieces(piece, rng_)) {
      ASSERT_TRUE(disk_->zero(piece, at).ok());
    }
    expect_empty(kSmall);
  }
}

TEST_P(MemoryReturn, FillAndTrimOverAndOver) {
  for (int round = 0; round < (slow_build() ? 2 : 4); ++round) {
    fill_disk(round % 2 ? Data::mixed : Data::random);
    ASSERT_TRUE(disk_->zero(kFill, 0).ok());
    expect_empty(kSmall);
  }
}

TEST_P(MemoryReturn, FarApartPages) {
  for (int round = 0; round < 2; ++round) {
    std::vector<uint64_t> places;
    for (int i = 0; i < 4000; ++i) places.push_back(rng_.below(kLargestDisk / 4096) * 4096);
    for (const uint64_t at : places) {
      ASSERT_TRUE(disk_->write(make_data(2048, Data::random, rng_), at).ok());
    }
    if (round == 0) {
      ASSERT_TRUE(disk_->zero(kLargestDisk, 0).ok());
    } else {
      for (const uint64_t at : places) ASSERT_TRUE(disk_->zero(4096, at).ok());
    }
    expect_empty(kSmallOfEachKind);
  }
}

// Random pieces are trimmed until half is left; the memory held must shrink, too.
TEST_P(MemoryReturn, HalfOfItTrimmedAtRandom) {
  fill_disk(Data::random);
  auto pieces = shuffled_pieces(64 << 10, rng_);
  pieces.resize(pieces.size() / 2);
  for (const uint64_t at : pieces) ASSERT_TRUE(disk_->zero(64 << 10, at).ok());
  expect_half();
}

// Every other stored page is trimmed, so that no freed piece is larger than a page.
TEST_P(MemoryReturn, EveryOtherPageTrimmedAtOnce) {
  constexpr uint64_t kOther = uint64_t{1} << 40;
  for (uint64_t at = 0; at < kFill / 2; at += 4096) {
    const Bytes data = make_data(4096, Data::random, rng_);
    ASSERT_TRUE(disk_->write(data, at).ok());
    ASSERT_TRUE(disk_->write(data, kOther + at).ok());
  }
  ASSERT_TRUE(disk_->zero(kOther, 0).ok());
  expect_half();
}

// Pages of every compressed length, replaced in any order, must not leave permanent gaps.
TEST_P(MemoryReturn, OverwritingDoesNotFragment) {
  constexpr uint64_t kPages = 4096;
  const auto write_page = [&](uint64_t page) {
    Bytes data = make_data(4096, Data::text, rng_);
    fill(std::span(data).first(rng_.below(4096)), Data::random, rng_);
    ASSERT_TRUE(disk_->write(data, page * 4096).ok());
  };
  for (uint64_t page = 0; page < kPages; ++page) write_page(page);
  const uint64_t at_first = disk_->usage().memory_bytes;
  for (uint64_t i = 0; i < 4 * kPages; ++i) write_page(rng_.below(kPages));
  EXPECT_EQ(disk_->usage().stored_bytes, kPages * 4096);
  expect_at_most(at_first * 13 / 10 + (4 << 20));
}

TEST_P(MemoryReturn, AllIsUnmappedAtTheEnd) {
  fill_disk(Data::mixed);
  disk_.stop();
  EXPECT_EQ(memory_.mapped_bytes(), 0u);
  EXPECT_EQ(memory_.misuse(), "");
}

TEST_P(MemoryReturn, StoredBytesCountPages) {
  const uint64_t page = Allocator::kBlockBytes;
  EXPECT_EQ(disk_->usage().stored_bytes, 0u);
  const Bytes data = make_data(3 * page, Data::random, rng_);
  const auto write = [&](uint64_t count, uint64_t offset) {
    EXPECT_TRUE(disk_->write(std::span(data).first(count), offset).ok());
    return disk_->usage().stored_bytes;
  };
  EXPECT_EQ(write(1, 10 * page + 5), page);
  EXPECT_EQ(write(page, 10 * page), page);
  EXPECT_EQ(write(2, 11 * page - 1), 2 * page);
  EXPECT_EQ(write(3 * page, uint64_t{1} << 62), 5 * page);
  EXPECT_TRUE(disk_->zero(page, 10 * page).ok());
  EXPECT_EQ(disk_->usage().stored_bytes, 4 * page);
  EXPECT_TRUE(disk_->zero(1, 11 * page).ok());
  EXPECT_EQ(disk_->usage().stored_bytes, 3 * page);
  EXPECT_TRUE(disk_->zero(kLargestDisk, 0).ok());
  EXPECT_EQ(disk_->usage().stored_bytes, 0u);
}

// memory_bytes counts all memory obtained from the source, not only the pages in use.
TEST_P(MemoryReturn, MemoryBytesAreWhatIsHeld) {
  fill_disk(Data::random);
  uint64_t said = 0;
  // A background thread may change the memory between two of these readings.
  EXPECT_TRUE(comes_true([&] {
    said = disk_->usage().memory_bytes;
    return said <= memory_.held_bytes() && said >= memory_.resident_bytes();
  })) << said
      << " bytes of " << memory_.held_bytes() << " held and " << memory_.resident_bytes()
      << " resident";
  EXPECT_GE(said, kFill);
}

INSTANTIATE_TEST_SUITE_P(All, MemoryReturn,
                         testing::ValuesIn(with_clones(sparse_allocators(), {Base::empty})),
                         name_of_disk);

#ifdef RAMDISK_HAVE_ZSTD
// The purpose of allocator=zstd: compressible data takes less memory than its size.
TEST(ZstdMemory, TextTakesLessThanItsBytes) {
  FailingMemory memory;
  Disk disk(AllocatorType::zstd, kFill, memory);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Rng rng(10);
  for (uint64_t at = 0; at < kFill / 2; at += 1 << 20) {
    ASSERT_TRUE(disk->write(make_data(1 << 20, Data::text, rng), at).ok());
  }
  EXPECT_EQ(disk->usage().stored_bytes, kFill / 2);
  // When the write cache has been compressed.
  EXPECT_TRUE(comes_true([&] {
    return disk->usage().memory_bytes < kFill / 4 && memory.resident_bytes() < kFill / 4;
  })) << disk->usage().memory_bytes
      << " and " << memory.resident_bytes();
}
#endif

}  // namespace
}  // namespace ramdisk::conformance
