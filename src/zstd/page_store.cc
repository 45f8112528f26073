#include "zstd/page_store.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/cpus.h"
#include "base/shared_bytes.h"
#include "base/yield.h"

namespace ramdisk {

namespace {

// There is one context more than there are CPUs, so that a thread that is preempted while it holds
// one does not block the threads that are running.
size_t contexts() {
  return cpus() + 1;
}

// Whether all byte values are about equally frequent, judged by a sample of n bytes at an odd
// stride. For noise the sum of the squares of their counts is n + n(n-1)/256 on average, with a
// deviation of about n/11; text and code have several times that sum. Of noise, one page in some
// hundreds is beyond three deviations, and is compressed in vain.
bool looks_like_noise(PageStore::Data page) {
  constexpr size_t kStep = 31;
  constexpr uint32_t kSamples = (kPageBytes + kStep - 1) / kStep;
  constexpr uint32_t kLimit = kSamples + kSamples * (kSamples - 1) / 256 + 3 * (kSamples / 11);
  std::array<uint8_t, 256> counts{};
  uint32_t squares = 0;
  for (size_t i = 0; i < kPageBytes; i += kStep) {
    // The square grows by 2c + 1 when c becomes c + 1.
    uint8_t& count = counts[std::to_integer<uint8_t>(page[i])];
    squares += 2u * count + 1;
    if (squares > kLimit) return false;
    ++count;
  }
  return true;
}

}  // namespace

PageStore::PageStore(MemorySource& memory, Epoch& epoch, int level, int group_level)
    : dictionaries_(memory, epoch),
      compressors_([level] { return Compressor::make(level, kPageBytes); }, contexts()),
      group_compressors_(
          [group_level] { return Compressor::make(group_level, StoredObject::kMaxGroupBytes); },
          cpus()),
      decompressors_(&Decompression::make, contexts()),
      store_(memory, epoch),
      plain_(memory, epoch, kPageBytes, SlabAllocator::kKeep, SlabAllocator::Growth::gradual),
      level_(level) {}

size_t PageStore::prepare() {
  if (!compressors_.prepare() || !group_compressors_.prepare() || !decompressors_.prepare()) {
    return 0;
  }
  const std::unique_ptr<Dictionary> dictionary = Dictionary::largest(level_);
  if (!dictionary) return 0;
  return contexts() * (Pool<Compressor>::Lease(compressors_)->memory_bytes() +
                       Pool<Decompression>::Lease(decompressors_)->memory_bytes()) +
         cpus() * Pool<Compressor>::Lease(group_compressors_)->memory_bytes() +
         dictionary->memory_bytes();
}

// ---- compression

PageStore::Packed PageStore::compress(Data page, Buffer& buffer) {
  const unsigned generation = dictionaries_.ref();
  const size_t length = shorten(page, buffer, dictionaries_.get(generation));
  packed_pages_.fetch_add(1, std::memory_order_relaxed);
  packed_bytes_.fetch_add(length, std::memory_order_relaxed);
  if (length == kPageBytes) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    dictionaries_.unref(generation);
    return {page, 0};
  }
  failures_.store(0, std::memory_order_relaxed);
  return {std::span(buffer).first(length), generation};
}

size_t PageStore::packed_bytes(Data page, const Dictionary* dictionary) {
  Buffer buffer;
  return shorten(page, buffer, dictionary);
}

// Returns the length of the frame in `buffer`, or kPageBytes if the page does not compress well
// enough to keep one.
size_t PageStore::shorten(Data page, Buffer& buffer, const Dictionary* dictionary) {
  const Pool<Compressor>::Lease compressor(compressors_);
  const size_t length = compressor->compress(
      std::span(buffer).first(kPageBytes - kPageBytes / kLeastGain), page, dictionary);
  return length ? length : kPageBytes;
}

PageEntry PageStore::store(uint64_t number, const Packed& packed, Claim claim,
                           const Epoch::Guard& guard) {
  DCHECK(!packed.bytes.empty() && packed.bytes.size() <= kPageBytes);
  if (packed.plain()) return store_plain(packed.bytes.first<kPageBytes>(), claim);
  if (const StoredObject* object = store_.add(number, packed.bytes, guard, claim)) {
    return PageEntry::compressed(object, packed.generation);
  }
  dictionaries_.unref(packed.generation);
  return {};
}

// ---- pages as they are

PageEntry PageStore::store_plain(Data page, Claim claim) {
  return copy_plain(page, plain_.allocate(1, claim).base);
}

PageEntry PageStore::copy_plain(Data page, std::byte* block) {
  if (!block) return {};
  copy_to_shared(block, page.data(), kPageBytes);
  return PageEntry::plain(block);
}

bool PageStore::looks_incompressible(Data page) const {
  constexpr uint32_t kInARow = 4;
  return failures_.load(std::memory_order_relaxed) >= kInARow && looks_like_noise(page);
}

// Threads that ask at once may try a page more or less.
size_t PageStore::keep_untried(size_t pages) {
  constexpr uint32_t kTryOneIn = 256;
  const uint32_t since = passed_.load(std::memory_order_relaxed) % kTryOneIn;  // the last try
  const size_t kept = since == 0 ? 0 : std::min<size_t>(pages, kTryOneIn - since);
  passed_.fetch_add(static_cast<uint32_t>(std::max<size_t>(kept, 1)), std::memory_order_relaxed);
  return kept;
}

std::optional<uint32_t> PageStore::pattern_of(Data page) {
  uint32_t pattern = 0;
  std::memcpy(&pattern, page.data(), sizeof pattern);
  uint32_t second = 0;
  std::memcpy(&second, page.data() + sizeof pattern, sizeof second);
  if (pattern != second) return {};
  const bool same =
      std::memcmp(page.data(), page.data() + sizeof pattern, kPageBytes - sizeof pattern) == 0;
  return same ? std::optional(pattern) : std::nullopt;
}

// ---- all kinds

void PageStore::drop(PageEntry entry, const Epoch::Guard& guard) {
  RAMDISK_YIELD("PageStore::drop");
  if (entry.kind() == PageKind::plain) {
    std::byte* page = entry.page();
    plain_.retire({&page, 1}, guard);
  } else if (entry.in_segment()) {
    store_.drop(entry.stored(), guard);
    dictionaries_.unref(entry.generation());
  }
}

size_t PageStore::footprint(PageEntry entry) {
  switch (entry.kind()) {
    case PageKind::plain:
      return kPageBytes;
    case PageKind::compressed:
      return entry.stored()->footprint();
    case PageKind::group:
      return head_of(entry).single_bytes();
    default:
      return 0;
  }
}

uint64_t PageStore::needed_bytes() const {
  const uint64_t plain = plain_.taken_blocks() * kPageBytes;
  return store_.needed_bytes() + plain + plain / 512 + dictionaries_.paid_bytes();
}

uint64_t PageStore::memory_bytes() const {
  return store_.held_bytes() + plain_.held_bytes() + dictionaries_.memory_bytes();
}

}  // namespace ramdisk
