// What a full disk of incompressible pages accepts: data that compresses better, and what fits into
// the remaining room. Also a sparse disk that is read while it is trimmed and written again.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/page.h"
#include "full_disk.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPiece = 64 << 10;
constexpr uint64_t kMiB = 1 << 20;

class FullDiskOfNoise : public testing::TestWithParam<FullDiskSetup> {};

// The disk has noise at its beginning and other data after it. Overwrites of the other data first
// use up the remaining room. Then the noise is replaced by degrees.
TEST_P(FullDiskOfNoise, IsOverwrittenByWhatPacksBetter) {
  for (const Matter rest : {Matter::noise, Matter::text, Matter::executables}) {
    FullDiskSetup setup = GetParam();
    setup.matter = rest;
    FullDisk disk(setup);
    for (uint64_t at = 0; at < disk.limit() / 4; at += kPiece) {
      disk.write(at / kPageBytes, kPiece, Matter::noise, at / kPageBytes);
    }
    disk.fill(kPiece);
    disk.overwrite(static_cast<uint64_t>(scaled(3000)));
    for (const Matter with : {Matter::text, Matter::executables}) {
      const Tally tally = disk.overwrite_noise(static_cast<uint64_t>(scaled(700)), with);
      disk.report(std::string("overwrites of noise by ") + name_of(with), tally);
      EXPECT_EQ(tally.refused(), 0u);
    }
    disk.verify();
  }
}

// Requests of any length fill the disk as far as single pages do, except for the last request,
// which does not fit, and a page or two.
TEST_P(FullDiskOfNoise, TakesWhatFitsIntoTheRoomThatIsLeft) {
  uint64_t by_pages = 0;
  {
    FullDisk disk(GetParam());
    by_pages = disk.fill(kPageBytes);
    disk.report("stored by requests of a page", mib(by_pages));
  }
  for (const uint64_t bytes : {kMiB, kMiB / 4, kPiece, kPiece / 4}) {
    FullDisk disk(GetParam());
    const uint64_t stored = disk.fill(bytes);
    const uint64_t lost = by_pages - std::min(by_pages, stored);
    disk.report("room in which " + std::to_string(bytes >> 10) + " KiB were refused",
                std::to_string(lost >> 10) + " KiB");
    EXPECT_LE(lost, bytes + 3 * kPageBytes);
    disk.verify();
  }
}

// The beginning of a page takes a whole page, or less if it is compressed.
TEST_P(FullDiskOfNoise, TakesBeginningsOfPages) {
  FullDisk disk(GetParam());
  const uint64_t in_pieces = disk.fill(kPiece) / kPageBytes;
  disk.trim({0, disk.pages()});
  disk.settle();
  const uint64_t beginnings = disk.fill(512) / 512;
  disk.report("beginnings of pages stored",
              std::to_string(beginnings) + " of " + std::to_string(in_pieces) + " pages");
  EXPECT_GE(double(beginnings), 0.97 * double(in_pieces));
  disk.verify();
}

std::vector<FullDiskSetup> noise_setups() {
  std::vector<FullDiskSetup> all;
  const bool large = std::getenv("RAMDISK_FULL_DISK_ALL") != nullptr;
  for (const uint64_t mib :
       large ? std::vector<uint64_t>{24, 64, 256} : std::vector<uint64_t>{24}) {
    all.push_back({AllocatorType::sparse, false, mib, Matter::noise});
#ifdef RAMDISK_HAVE_ZSTD
    all.push_back({AllocatorType::zstd, true, mib, Matter::noise});
    if (!slow_build()) all.push_back({AllocatorType::zstd, false, mib, Matter::noise});
#endif
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, FullDiskOfNoise, testing::ValuesIn(noise_setups()), name_of_setup);

// Once a trim has been answered, the range can be written again, even while other threads read.
TEST(FullDiskSparse, WritesWhatWasTrimmedWhileOthersRead) {
  FullDisk disk({AllocatorType::sparse, false, 64, Matter::noise});
  disk.fill(kPiece);
  const uint64_t pieces = disk.pages() * kPageBytes / kMiB;
  std::atomic<bool> stopping{false};
  std::vector<std::thread> readers;
  for (uint64_t i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      Rng rng(i + 1);
      Bytes bytes(kMiB);
      while (!stopping) {
        const uint64_t at = rng.below(pieces * kMiB - bytes.size());
        if (!disk.disk().read(bytes, at).ok()) stopping = true;
      }
    });
  }
  Tally tally;
  int refused_early = 0;  // a machine may be so busy that readers hold pages for longer than this
  for (int i = 0; i < scaled(1500) && !stopping; ++i) {
    const uint64_t page = disk.rng().below(pieces) * (kMiB / kPageBytes);
    disk.trim({page, kMiB / kPageBytes});
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t n = page + static_cast<uint64_t>(i);
    const bool accepted = disk.write(page, kMiB, Matter::noise, n, &tally);
    const auto taken = std::chrono::steady_clock::now() - begin;
    refused_early += !accepted && taken < std::chrono::milliseconds(200);
  }
  EXPECT_FALSE(stopping) << "a read failed";
  stopping = true;
  for (std::thread& reader : readers) reader.join();
  disk.report("1 MiB writes after a trim of as much, three readers", tally);
  EXPECT_EQ(refused_early, 0);
  disk.verify();
}

}  // namespace
}  // namespace ramdisk::conformance
