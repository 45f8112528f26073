// CodecPool: what goes in comes out, what is damaged does not get out, and threads share contexts.

#include "core/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "conformance/data.h"
#include "core/page.h"
#include "unit/threads.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::make_data;
using conformance::Rng;
using conformance::scaled;

constexpr std::byte kGuard{0xee};

// Empty if the page does not compress to fewer bytes than it has.
Bytes compressed(CodecPool::Lease& codec, const Bytes& page) {
  Bytes out(kPageBytes - 1);
  out.resize(codec.compress(out, page));
  return out;
}

// Whether `data` gives a page; whatever happens, nothing is written beyond the page.
bool decompresses(CodecPool::Lease& codec, const Bytes& data, Bytes* result = nullptr) {
  Bytes page(kPageBytes + 64, kGuard);
  const bool ok = codec.decompress(std::span(page).first(kPageBytes), data);
  const auto is_guard = [](std::byte b) { return b == kGuard; };
  EXPECT_TRUE(std::all_of(page.begin() + kPageBytes, page.end(), is_guard));
  page.resize(kPageBytes);
  if (result) *result = page;
  return ok;
}

TEST(Codec, LevelsIncludeTheDefault) {
  EXPECT_LE(zstd_levels().least, -1);
  EXPECT_GE(zstd_levels().most, 19);
  EXPECT_NE(std::string(zstd_version()), "");
}

TEST(Codec, RoundTripOfEveryKindAtEveryLevel) {
  const LevelRange range = zstd_levels();
  Rng rng(1);
  for (const int level : {range.least, -5, -1, 0, 1, 3, 9, 19, range.most}) {
    SCOPED_TRACE("level " + std::to_string(level));
    CodecPool pool(level, 1);
    ASSERT_TRUE(pool.prepare());
    CodecPool::Lease codec(pool);
    for (const Data kind : conformance::kAllData) {
      for (int i = 0; i < 5; ++i) {
        const Bytes page = make_data(kPageBytes, kind, rng);
        const Bytes data = compressed(codec, page);
        if (data.empty()) continue;
        ASSERT_LT(data.size(), kPageBytes);
        Bytes result;
        ASSERT_TRUE(decompresses(codec, data, &result));
        ASSERT_EQ(result, page);
      }
    }
  }
}

TEST(Codec, WhatPeopleStoreGetsSmaller) {
  CodecPool pool(3, 1);
  ASSERT_TRUE(pool.prepare());
  CodecPool::Lease codec(pool);
  Rng rng(2);
  const size_t text = compressed(codec, make_data(kPageBytes, Data::text, rng)).size();
  EXPECT_GT(text, 0u);
  EXPECT_LT(text, kPageBytes / 2);
  const size_t word = compressed(codec, make_data(kPageBytes, Data::word, rng)).size();
  EXPECT_GT(word, 0u);
  EXPECT_LT(word, 100u);
}

TEST(Codec, IncompressibleGivesZeroAndLeavesThePoolUsable) {
  CodecPool pool(3, 1);
  ASSERT_TRUE(pool.prepare());
  CodecPool::Lease codec(pool);
  Rng rng(3);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(compressed(codec, make_data(kPageBytes, Data::random, rng)).size(), 0u);
    const Bytes page = make_data(kPageBytes, Data::text, rng);
    Bytes result;
    ASSERT_TRUE(decompresses(codec, compressed(codec, page), &result));
    EXPECT_EQ(result, page);
  }
}

TEST(Codec, NothingIsWrittenBeyondAShortOutput) {
  CodecPool pool(3, 1);
  ASSERT_TRUE(pool.prepare());
  CodecPool::Lease codec(pool);
  Rng rng(4);
  const Bytes page = make_data(kPageBytes, Data::text, rng);
  const size_t needed = compressed(codec, page).size();
  for (const size_t room : {size_t{0}, size_t{1}, size_t{8}, needed / 2, needed - 1}) {
    Bytes out(room + 64, kGuard);
    EXPECT_EQ(codec.compress(std::span(out).first(room), page), 0u) << room;
    for (size_t i = room; i < out.size(); ++i) ASSERT_EQ(out[i], kGuard) << room;
  }
}

// ---- damage

class Damage : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(pool_.prepare());
    codec_.emplace(pool_);
    Rng rng(5);
    page_ = make_data(kPageBytes, Data::text, rng);
    data_ = compressed(*codec_, page_);
    ASSERT_GT(data_.size(), 20u);
  }
  void TearDown() override {
    Bytes result;
    EXPECT_TRUE(decompresses(*codec_, data_, &result)) << "damaged data harmed the context";
    EXPECT_EQ(result, page_);
  }

  CodecPool pool_{3, 1};
  std::optional<CodecPool::Lease> codec_;
  Bytes page_, data_;
};

TEST_F(Damage, CutShort) {
  for (size_t length = 0; length < data_.size(); ++length) {
    ASSERT_FALSE(decompresses(*codec_, Bytes(data_.begin(), data_.begin() + length))) << length;
  }
}

TEST_F(Damage, BytesBehind) {
  for (const size_t more : {1, 3, 4, 100}) {
    Bytes longer = data_;
    longer.insert(longer.end(), more, std::byte{0x55});
    EXPECT_FALSE(decompresses(*codec_, longer)) << more;
  }
}

TEST_F(Damage, WrongMagic) {
  for (size_t i = 0; i < 4; ++i) {
    Bytes bad = data_;
    bad[i] ^= std::byte{1};
    EXPECT_FALSE(decompresses(*codec_, bad)) << i;
  }
}

TEST_F(Damage, RandomBytes) {
  Rng rng(6);
  for (int i = 0; i < scaled(1000); ++i) {
    EXPECT_FALSE(decompresses(*codec_, make_data(1 + rng.below(4000), Data::random, rng)));
  }
}

// There is no checksum, so damage may give another page; it must never do more than that.
TEST_F(Damage, AnyBitFlipped) {
  int noticed = 0;
  for (size_t bit = 0; bit < data_.size() * 8; ++bit) {
    Bytes bad = data_;
    bad[bit / 8] ^= std::byte{1} << bit % 8;
    noticed += !decompresses(*codec_, bad);
  }
  EXPECT_GT(noticed, 0);
}

// Of less or more than one page.
TEST_F(Damage, WrongLength) {
  Rng rng(7);
  for (const size_t length :
       {size_t{0}, size_t{1}, kPageBytes - 1, kPageBytes + 1, 2 * kPageBytes}) {
    const Bytes source = make_data(length, Data::word, rng);
    Bytes data(kPageBytes);
    data.resize(codec_->compress(data, source));
    ASSERT_FALSE(data.empty());
    EXPECT_FALSE(decompresses(*codec_, data)) << length;
  }
}

// ---- threads

void share(size_t contexts, int threads, int rounds) {
  SCOPED_TRACE(std::to_string(threads) + " threads, " + std::to_string(contexts) + " contexts");
  CodecPool pool(1, contexts);
  ASSERT_TRUE(pool.prepare());
  std::atomic<int> done{0};
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
      const Bytes page = make_data(kPageBytes, rng.pick(conformance::kAllData), rng);
      CodecPool::Lease codec(pool);
      const Bytes data = compressed(codec, page);
      ++done;
      if (data.empty()) continue;
      Bytes result;
      ASSERT_TRUE(decompresses(codec, data, &result));
      ASSERT_EQ(result, page);
    }
  });
  EXPECT_EQ(done.load(), threads * rounds);
}

TEST(CodecThreads, MoreThreadsThanContexts) {
  share(1, 1, scaled(2000));
  share(1, 8, scaled(500));
  share(2, 8, scaled(500));
  share(4, 3, scaled(500));
  share(3, 32, scaled(100));
}

// Whoever comes back at once must not pass those who wait: then one thread's long request would
// keep all others from theirs.
TEST(CodecThreads, ThoseWhoWaitAreServed) {
  CodecPool pool(1, 1);
  ASSERT_TRUE(pool.prepare());
  std::atomic<int> busy{3};
  unit::run_threads(4, [&](int i) {
    Rng rng(static_cast<uint64_t>(i));
    const Bytes page = make_data(kPageBytes, Data::text, rng);
    if (i == 0) {
      // Takes the context again and again until the others are done.
      while (busy > 0) {
        CodecPool::Lease codec(pool);
        ASSERT_FALSE(compressed(codec, page).empty());
      }
      return;
    }
    for (int round = 0; round < scaled(300); ++round) {
      CodecPool::Lease codec(pool);
      ASSERT_FALSE(compressed(codec, page).empty());
    }
    --busy;
  });
  EXPECT_EQ(busy.load(), 0);
}

// No more contexts than asked for, so a second thread waits for the only one.
TEST(CodecThreads, OnlyContextIsLentOnce) {
  CodecPool pool(1, 1);
  ASSERT_TRUE(pool.prepare());
  int inside = 0;  // not atomic: the thread sanitizer sees two at once
  unit::run_threads(4, [&](int) {
    for (int round = 0; round < scaled(2000); ++round) {
      const CodecPool::Lease codec(pool);
      ASSERT_EQ(++inside, 1);
      --inside;
    }
  });
}

}  // namespace
}  // namespace ramdisk
