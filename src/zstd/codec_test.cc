// Compressor and Decompressor: pages survive the round trip, and damaged data is harmless.

#include "zstd/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/page.h"
#include "support/data.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::make_data;
using conformance::Rng;
using conformance::scaled;

constexpr std::byte kGuard{0xee};

struct Codec {
  explicit Codec(int level) : compressor(Compressor::make(level, kPageBytes)) {
    if (!compressor || !decompressor) throw std::bad_alloc();
  }
  size_t compress(std::span<std::byte> out, const Bytes& data) {
    return compressor->compress(out, data, nullptr);
  }
  bool decompress(std::span<std::byte> out, const Bytes& data) {
    return decompressor->decompress(out, data, nullptr);
  }

  std::unique_ptr<Compressor> compressor;
  std::unique_ptr<Decompressor> decompressor = Decompressor::make();
};

// Returns an empty result if compression does not make the page smaller.
Bytes compressed(Codec& codec, const Bytes& page) {
  Bytes out(kPageBytes - 1);
  out.resize(codec.compress(out, page));
  return out;
}

// Whether `data` decompresses to a page. Checks that nothing is written beyond the page in any
// case.
bool decompresses(Codec& codec, const Bytes& data, Bytes* result = nullptr) {
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
    Codec codec(level);
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
  Codec codec(3);
  Rng rng(2);
  const size_t text = compressed(codec, make_data(kPageBytes, Data::text, rng)).size();
  EXPECT_GT(text, 0u);
  EXPECT_LT(text, kPageBytes / 2);
  const size_t word = compressed(codec, make_data(kPageBytes, Data::word, rng)).size();
  EXPECT_GT(word, 0u);
  EXPECT_LT(word, 100u);
}

TEST(Codec, IncompressibleGivesZeroAndLeavesTheContextUsable) {
  Codec codec(3);
  Rng rng(3);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(compressed(codec, make_data(kPageBytes, Data::random, rng)).size(), 0u);
    const Bytes page = make_data(kPageBytes, Data::text, rng);
    Bytes result;
    ASSERT_TRUE(decompresses(codec, compressed(codec, page), &result));
    EXPECT_EQ(result, page);
  }
}

// A page that does not compress leaves zstd in the middle of a frame; the next page may need
// another dictionary.
TEST(Codec, AnotherDictionaryAfterAPageThatDoesNotCompress) {
  Rng rng(9);
  const auto dictionary_of = [&](Data kind) {
    return Dictionary::collect(make_data(300 * kPageBytes, kind, rng), 3);
  };
  const auto first = dictionary_of(Data::text);
  const auto second = dictionary_of(Data::text);
  ASSERT_TRUE(first && second);
  const auto compressor = Compressor::make(3, kPageBytes);
  const auto decompressor = Decompressor::make();
  ASSERT_TRUE(compressor && decompressor);
  const Bytes noise = make_data(kPageBytes, Data::random, rng);
  const Bytes page = make_data(kPageBytes, Data::text, rng);
  const std::array<const Dictionary*, 3> dictionaries{first.get(), second.get(), nullptr};
  for (const Dictionary* before : dictionaries) {
    for (const Dictionary* after : dictionaries) {
      Bytes out(kPageBytes - 1);
      ASSERT_EQ(compressor->compress(out, noise, before), 0u);
      const size_t length = compressor->compress(out, page, after);
      ASSERT_GT(length, 0u);
      Bytes result(kPageBytes);
      ASSERT_TRUE(decompressor->decompress(result, std::span(out).first(length), after));
      EXPECT_EQ(result, page);
    }
  }
}

TEST(Codec, NothingIsWrittenBeyondAShortOutput) {
  Codec codec(3);
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
    Rng rng(5);
    page_ = make_data(kPageBytes, Data::text, rng);
    data_ = compressed(codec_, page_);
    ASSERT_GT(data_.size(), 20u);
  }
  void TearDown() override {
    Bytes result;
    EXPECT_TRUE(decompresses(codec_, data_, &result)) << "damaged data harmed the context";
    EXPECT_EQ(result, page_);
  }

  Codec codec_{3};
  Bytes page_, data_;
};

TEST_F(Damage, CutShort) {
  for (size_t length = 0; length < data_.size(); ++length) {
    ASSERT_FALSE(decompresses(codec_, Bytes(data_.begin(), data_.begin() + length))) << length;
  }
}

TEST_F(Damage, BytesBehind) {
  for (const size_t more : {1, 3, 4, 100}) {
    Bytes longer = data_;
    longer.insert(longer.end(), more, std::byte{0x55});
    EXPECT_FALSE(decompresses(codec_, longer)) << more;
  }
}

TEST_F(Damage, WrongMagic) {
  for (size_t i = 0; i < 4; ++i) {
    Bytes bad = data_;
    bad[i] ^= std::byte{1};
    EXPECT_FALSE(decompresses(codec_, bad)) << i;
  }
}

TEST_F(Damage, RandomBytes) {
  Rng rng(6);
  for (int i = 0; i < scaled(1000); ++i) {
    EXPECT_FALSE(decompresses(codec_, make_data(1 + rng.below(4000), Data::random, rng)));
  }
}

// There is no checksum, so damage may yield a different page, but must have no other effect.
TEST_F(Damage, AnyBitFlipped) {
  int noticed = 0;
  for (size_t bit = 0; bit < data_.size() * 8; ++bit) {
    Bytes bad = data_;
    bad[bit / 8] ^= std::byte{1} << bit % 8;
    noticed += !decompresses(codec_, bad);
  }
  EXPECT_GT(noticed, 0);
}

// Frames of data that is shorter or longer than one page.
TEST_F(Damage, WrongLength) {
  Rng rng(7);
  for (const size_t length :
       {size_t{0}, size_t{1}, kPageBytes - 1, kPageBytes + 1, 2 * kPageBytes}) {
    const Bytes source = make_data(length, Data::word, rng);
    Bytes data(kPageBytes);
    data.resize(codec_.compress(data, source));
    ASSERT_FALSE(data.empty());
    EXPECT_FALSE(decompresses(codec_, data)) << length;
  }
}

}  // namespace
}  // namespace ramdisk
