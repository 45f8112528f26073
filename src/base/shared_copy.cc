#include "base/shared_copy.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ramdisk {

namespace {

void copy_plainly(std::byte* to, const std::byte* from, size_t count) {
  std::memcpy(to, from, count);
}

constexpr CopyVariant kPlain{"memcpy", copy_plainly};

#if defined(__x86_64__)

// The stores are aligned, because one that crosses a cache line costs more than such a load.
[[gnu::target("avx")]] void copy_vectors(std::byte* to, const std::byte* from, size_t count) {
  constexpr size_t kVector = sizeof(__m256i);
  constexpr size_t kBlock = 4 * kVector;
  const size_t head = -reinterpret_cast<uintptr_t>(to) % kVector;
  if (count < head + kBlock) return copy_plainly(to, from, count);
  if (head > 0) {
    std::memcpy(to, from, head);
    to += head;
    from += head;
    count -= head;
  }
  for (; count >= kBlock; to += kBlock, from += kBlock, count -= kBlock) {
    const auto* const source = reinterpret_cast<const __m256i_u*>(from);
    auto* const target = reinterpret_cast<__m256i*>(to);
    const __m256i a = _mm256_loadu_si256(source);
    const __m256i b = _mm256_loadu_si256(source + 1);
    const __m256i c = _mm256_loadu_si256(source + 2);
    const __m256i d = _mm256_loadu_si256(source + 3);
    _mm256_store_si256(target, a);
    _mm256_store_si256(target + 1, b);
    _mm256_store_si256(target + 2, c);
    _mm256_store_si256(target + 3, d);
  }
  if (count > 0) std::memcpy(to, from, count);
}

constexpr std::array<CopyVariant, 2> kVariants{kPlain, {"vectors", copy_vectors}};

bool has_vectors() {
  return __builtin_cpu_supports("avx");
}

void leave_caches(const std::byte* bytes, size_t count) {
  constexpr size_t kLine = 64;
  for (size_t at = 0; at < count; at += kLine) _mm_clflush(bytes + at);
  _mm_mfence();
}

#else

constexpr std::array<CopyVariant, 1> kVariants{kPlain};

bool has_vectors() {
  return true;  // all there are
}

void leave_caches(const std::byte*, size_t) {}

#endif

// ---- the measurement

using Clock = std::chrono::steady_clock;

constexpr size_t kPage = 4096;
constexpr size_t kPassBytes = 128 << 10;
static_assert(kTrialBytes == 2 * kPassBytes + kPage && kPassBytes >= kLongCopy);

// Copies kPassBytes between a bit of a disk, which is not in the caches, and a buffer as nbdkit has
// it: large blocks of malloc begin 16 bytes into a page. Returns the seconds that it took.
double pass(const CopyVariant& variant, CopyKind kind, std::byte* room) {
  const bool reads = kind == kReadShort || kind == kReadLong;
  const size_t piece = kind == kReadShort || kind == kWriteShort ? kPage : kPassBytes;
  std::byte* const buffer = room + kPassBytes + 16;
  leave_caches(room, kPassBytes);
  const Clock::time_point begin = Clock::now();
  for (size_t at = 0; at < kPassBytes; at += piece) {
    reads ? variant.copy(buffer, room + at, piece) : variant.copy(room + at, buffer, piece);
  }
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

constinit CopyChoice copy_choice{kPlain, kPlain, kPlain, kPlain};

std::span<const CopyVariant> copy_variants() {
  return {kVariants.data(), has_vectors() ? kVariants.size() : 1};
}

size_t best_copy(CopyTimes times) {
  size_t best = times.size() - 1;
  double to_beat = times[best] * 0.95;
  for (size_t i = 0; i + 1 < times.size(); ++i) {
    if (times[i] > to_beat) continue;
    best = i;
    to_beat = times[i];
  }
  return best;
}

// The variants take turns, so that what else the machine does meets all of them, and the shortest
// of each one's times counts.
void choose_copies(std::span<std::byte> room) {
  const std::span<const CopyVariant> variants = copy_variants();
  copy_choice.fill(variants.back());
  if (variants.size() == 1 || room.size() < kTrialBytes) return;
  std::memset(room.data(), 1, kTrialBytes);  // makes it present
  std::array<std::array<double, kVariants.size()>, kCopyKinds> times;
  for (auto& of_kind : times) of_kind.fill(std::numeric_limits<double>::infinity());
  constexpr int kLeastRounds = 3;  // however slow the machine is
  constexpr std::chrono::microseconds kEnough{1500};
  const Clock::time_point begin = Clock::now();
  for (int round = 0; round < kLeastRounds || Clock::now() - begin < kEnough; ++round) {
    for (size_t kind = 0; kind < kCopyKinds; ++kind) {
      for (size_t i = 0; i < variants.size(); ++i) {
        const double seconds = pass(variants[i], static_cast<CopyKind>(kind), room.data());
        times[kind][i] = std::min(times[kind][i], seconds);
      }
    }
  }
  for (size_t kind = 0; kind < kCopyKinds; ++kind) {
    copy_choice[kind] = variants[best_copy(times[kind])];
  }
}

std::string describe_copies() {
  const auto name = [](CopyKind kind) { return std::string(copy_choice[kind].name); };
  return "copies: pages are read with " + name(kReadShort) + " and written with " +
         name(kWriteShort) + ", longer blocks with " + name(kReadLong) + " and " + name(kWriteLong);
}

}  // namespace ramdisk
