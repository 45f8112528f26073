// The data of data.h.

#include "support/data.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace ramdisk::support {
namespace {

#if defined(__has_feature)
#define RAMDISK_SUPPORT_HAS(x) __has_feature(x)
#else
#define RAMDISK_SUPPORT_HAS(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || RAMDISK_SUPPORT_HAS(thread_sanitizer)
constexpr int kSlowness = 8;
#elif defined(__SANITIZE_ADDRESS__) || RAMDISK_SUPPORT_HAS(address_sanitizer)
constexpr int kSlowness = 6;
#else
constexpr int kSlowness = 1;
#endif

constexpr uint64_t kFixedSeed = 20240229;
constexpr size_t kMixedPage = 4096;

uint64_t choose_seed() {
  const char* given = std::getenv("RAMDISK_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 0) : kFixedSeed;
  std::printf("RAMDISK_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

void fill_word(std::span<std::byte> bytes, uint64_t word) {
  for (size_t i = 0; i < bytes.size(); i += sizeof word) {
    std::memcpy(&bytes[i], &word, std::min(sizeof word, bytes.size() - i));
  }
}

// Calls `work(i, word, n)` for each word of random bytes: `n` bytes of it belong at `i`. Ends early
// when `work` returns false; the result is whether it never did.
template <typename Work>
bool for_each_random_word(size_t count, Rng& rng, Work work) {
  for (size_t i = 0; i < count; i += sizeof(uint64_t)) {
    const uint64_t word = rng.next();
    if (!work(i, &word, std::min(sizeof word, count - i))) return false;
  }
  return true;
}

void fill_random(std::span<std::byte> bytes, Rng& rng) {
  for_each_random_word(bytes.size(), rng, [&](size_t i, const uint64_t* word, size_t n) {
    std::memcpy(&bytes[i], word, n);
    return true;
  });
}

void fill_text(std::span<std::byte> bytes, Rng& rng) {
  static constexpr std::array<std::string_view, 12> kWords = {
      "disk ", "a ",     "memory ", "page\n",    "of the ", "directory/",
      "42 ",   "server", ", ",      "reads as ", "key=",    "\tindented "};
  for (size_t i = 0; i < bytes.size();) {
    const std::string_view word = rng.pick(kWords);
    const size_t count = std::min(word.size(), bytes.size() - i);
    std::memcpy(&bytes[i], word.data(), count);
    i += count;
  }
}

// Pages of which about half are zero, as in the image of a file system.
void fill_mixed(std::span<std::byte> bytes, Rng& rng) {
  for (size_t i = 0; i < bytes.size(); i += kMixedPage) {
    const auto page = bytes.subspan(i, std::min(kMixedPage, bytes.size() - i));
    const Data kind = rng.chance(50) ? Data::zeroes : rng.chance(50) ? Data::text : Data::random;
    fill(page, kind, rng);
  }
}

}  // namespace

uint64_t run_seed() {
  static const uint64_t seed = choose_seed();
  return seed;
}

int scaled(int plain) {
  return std::max(1, plain / kSlowness);
}

bool slow_build() {
  return kSlowness > 1;
}

void fill(std::span<std::byte> bytes, Data kind, Rng& rng) {
  switch (kind) {
    case Data::zeroes:
      return fill_word(bytes, 0);
    case Data::word:
      return fill_word(bytes, rng.next() | 1);
    case Data::text:
      return fill_text(bytes, rng);
    case Data::random:
      return fill_random(bytes, rng);
    case Data::mixed:
      return fill_mixed(bytes, rng);
  }
}

Bytes make_data(size_t count, Data kind, Rng& rng) {
  Bytes bytes(count);
  fill(bytes, kind, rng);
  return bytes;
}

void fill_pattern(std::span<std::byte> bytes, uint64_t tag) {
  Rng rng(tag);
  fill_random(bytes, rng);
}

bool has_pattern(std::span<const std::byte> bytes, uint64_t tag) {
  Rng rng(tag);
  return for_each_random_word(bytes.size(), rng, [&](size_t i, const uint64_t* word, size_t n) {
    return std::memcmp(&bytes[i], word, n) == 0;
  });
}

bool all_zero(std::span<const std::byte> bytes) {
  if (bytes.empty()) return true;
  // Every byte equals its neighbour and the first is zero.
  return bytes[0] == std::byte{0} && std::memcmp(&bytes[0], &bytes[0] + 1, bytes.size() - 1) == 0;
}

std::string first_difference(std::span<const std::byte> got, std::span<const std::byte> want,
                             uint64_t offset) {
  if (got.size() != want.size()) return "lengths differ";
  // The bytes are nearly always equal, and memcmp() is fast in a slow build, too.
  if (got.empty() || std::memcmp(got.data(), want.data(), got.size()) == 0) return "";
  const auto [g, w] = std::mismatch(got.begin(), got.end(), want.begin());
  return "byte " + std::to_string(offset + (g - got.begin())) + " is " +
         std::to_string(static_cast<int>(*g)) + ", should be " +
         std::to_string(static_cast<int>(*w));
}

}  // namespace ramdisk::support
