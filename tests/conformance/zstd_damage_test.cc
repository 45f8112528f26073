// allocator=zstd with stored bytes damaged, as by a faulty machine: a read of them fails, and
// nothing else is affected.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "support/waiting.h"
#include "support/zstd_variants.h"
#include "zstd/segment_store.h"

#if defined(__clang__) || defined(__GNUC__)
#define RAMDISK_NO_SANITIZER __attribute__((no_sanitize("address", "thread")))
#else
#define RAMDISK_NO_SANITIZER
#endif

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kDisk = 64 << 20;
constexpr uint64_t kGroup = StoredObject::kGroupPages;
constexpr size_t kNoise = 1200;  // bytes of each page, at its beginning
constexpr size_t kShared = 500;  // further bytes, equal in all pages of a group

// Forwards all calls, and records what is mapped.
class KnownMemory final : public MemorySource {
 public:
  void* map(size_t bytes, size_t alignment, bool huge) override {
    void* base = inner_->map(bytes, alignment, huge);
    const std::lock_guard lock(mutex_);
    if (base) ranges_[static_cast<std::byte*>(base)] = bytes;
    return base;
  }
  void unmap(void* base, size_t bytes) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      ranges_.erase(static_cast<std::byte*>(base));
    }
    inner_->unmap(base, bytes);
  }
  bool populate(void* base, size_t bytes) override { return inner_->populate(base, bytes); }
  bool discard(void* base, size_t bytes) noexcept override { return inner_->discard(base, bytes); }

  // Damages what comes right before `bytes` wherever they lie in the middle of a page, as the
  // literals of a compressed block do. Bytes at the beginning of a page are a page that is kept as
  // it is, or was. How often that was.
  RAMDISK_NO_SANITIZER int damage_before(const Bytes& bytes) {
    constexpr ptrdiff_t kHeader = 5;  // of the block and of its literals
    const std::lock_guard lock(mutex_);
    int found = 0;
    for (const auto& [base, length] : ranges_) {
      for (size_t i = kHeader; i + bytes.size() <= length; ++i) {
        if (i % kPage == 0 || base[i] != bytes[0]) continue;
        size_t same = 1;
        while (same < bytes.size() && base[i + same] == bytes[same]) ++same;
        if (same < bytes.size()) continue;
        for (ptrdiff_t k = 1; k <= kHeader; ++k)
          base[static_cast<ptrdiff_t>(i) - k] = std::byte{0xff};
        ++found;
      }
    }
    return found;
  }

 private:
  const std::unique_ptr<MemorySource> inner_ = make_system_memory();
  std::mutex mutex_;
  std::map<std::byte*, size_t> ranges_;
};

// A disk of groups. The bytes that a group cannot find elsewhere in itself are noise, which zstd
// stores literally.
class ZstdDamage : public testing::Test {
 protected:
  static constexpr uint64_t kPages = 4096;
  static constexpr uint64_t kDamaged = 1024;  // the first page of a group

  ZstdDamage() : disk_(options_of(kZstdVariants[1]), kDisk, memory_, hasty()) {}

  void SetUp() override {
    Bytes shared;
    for (uint64_t i = 0; i < kPages; ++i) {
      if (i % kGroup == 0) shared = make_data(kShared, Data::random, rng_);
      Bytes page = make_data(kNoise, Data::random, rng_);
      page.insert(page.end(), shared.begin(), shared.end());
      page.resize(kPage, std::byte{'x'});
      ASSERT_TRUE(disk_->write(page, i * kPage).ok());
      pages_.push_back(std::move(page));
    }
    ASSERT_TRUE(comes_true([&] { return grouped() == kPages; })) << grouped();
    // What is moved meanwhile might be missed, or damaged where it is no longer read.
    ASSERT_TRUE(comes_to_rest([&] { return disk_->usage().memory_bytes; },
                              std::chrono::seconds(slow_build() ? 60 : 20)));
    ASSERT_EQ(grouped(), kPages);
    const Bytes start(pages_[kDamaged].begin(), pages_[kDamaged].begin() + 64);
    ASSERT_GT(memory_.damage_before(start), 0);
  }

  uint64_t grouped() {
    uint64_t pages = 0;
    for (const auto& generation : disk_->statistics().generations) {
      pages += generation.grouped_pages;
    }
    return pages;
  }

  int read_error(uint64_t page) {
    Bytes bytes(kPage);
    return disk_->read(bytes, page * kPage).errnum();
  }

  KnownMemory memory_;
  Disk disk_;
  Rng rng_{71};
  std::vector<Bytes> pages_;
};

TEST_F(ZstdDamage, OnlyItsReaderIsTold) {
  for (uint64_t i = 0; i < kPages; ++i) {
    const bool damaged = i / kGroup == kDamaged / kGroup;
    EXPECT_EQ(read_error(i), damaged ? EIO : 0) << "page " << i;
    if (!damaged) {
      EXPECT_EQ(first_difference(read_back(*disk_, kPage, i * kPage), pages_[i], 0), "");
    }
  }
  // The damaged page can be written and trimmed like any other.
  ASSERT_TRUE(disk_->write(pages_[kDamaged], kDamaged * kPage).ok());
  EXPECT_EQ(read_back(*disk_, kPage, kDamaged * kPage), pages_[kDamaged]);
  EXPECT_EQ(read_error(kDamaged + 1), EIO);
  ASSERT_TRUE(disk_->zero(kGroup * kPage, kDamaged * kPage).ok());
  EXPECT_EQ(read_error(kDamaged + 1), 0);
}

// Groups that have lost pages are divided, except for the damaged one, which cannot be.
TEST_F(ZstdDamage, TheCleanerGoesOn) {
  const uint64_t before = disk_->usage().memory_bytes;
  for (uint64_t i = 0; i < kPages; ++i) {
    if (i % kGroup != 0) {
      ASSERT_TRUE(disk_->zero(kPage, i * kPage).ok());
    }
  }
  // The cleaner holds a segment that is partly filled.
  const uint64_t gone = (kPages - kPages / kGroup) * kNoise - SegmentStore::kSegmentBytes;
  EXPECT_TRUE(comes_true([&] { return disk_->usage().memory_bytes + gone < before; }))
      << disk_->usage().memory_bytes << " of " << before;
  for (uint64_t i = 0; i < kPages; i += kGroup) {
    EXPECT_EQ(read_error(i), i == kDamaged ? EIO : 0) << "page " << i;
  }
}

// Overwriting pages repeatedly leaves no gaps either.
TEST_F(ZstdDamage, OverwritingLeavesNoGaps) {
  const uint64_t before = disk_->usage().memory_bytes;
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < kPages; ++i) {
      if (i / kGroup == kDamaged / kGroup && i % kGroup != 0) continue;
      ASSERT_TRUE(disk_->write(pages_[i], i * kPage).ok());
    }
  }
  EXPECT_TRUE(comes_true([&] { return disk_->usage().memory_bytes < before * 13 / 10; }))
      << disk_->usage().memory_bytes << " of " << before;
  EXPECT_EQ(read_error(kDamaged + 1), EIO);
}

}  // namespace
}  // namespace ramdisk::conformance
