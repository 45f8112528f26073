#include "zstd/page_store.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/cpus.h"
#include "base/shared_bytes.h"
#include "base/yield.h"

namespace ramdisk {

namespace {

// There are more contexts than CPUs, so that a thread that is preempted while it holds one does not
// block the threads that are running.
size_t contexts() {
  return 2 * cpus();
}

// A frame that saves less than this is not worth the time to decompress it.
constexpr size_t kLeastGain = kPageBytes / 32;

// Has one bit for each page of the group, set once that page has been read.
uint8_t& seen_pages(StoredObject& group) {
  return reinterpret_cast<GroupHead*>(group.bytes().data())->seen;
}

// Whether all byte values are about equally frequent, judged by a sample of n bytes at an odd
// stride. For noise the sum of the squares of their counts is n + n(n-1)/256 on average, with a
// deviation of about n/11; text and code have several times that sum.
bool looks_like_noise(PageStore::Data page) {
  constexpr size_t kStep = 15;
  constexpr uint32_t kSamples = (kPageBytes + kStep - 1) / kStep;
  constexpr uint32_t kLimit = kSamples + kSamples * (kSamples - 1) / 256 + 6 * (kSamples / 11);
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

PageStore::PageStore(MemorySource& memory, Epoch& epoch, int level)
    : dictionaries_(memory, epoch),
      compressors_([level] { return Compressor::make(level, kPageBytes); }, contexts()),
      decompressors_(&Decompressor::make, contexts()),
      store_(memory, epoch),
      plain_(memory, epoch, kPageBytes),
      level_(level) {}

size_t PageStore::prepare() {
  if (!compressors_.prepare() || !decompressors_.prepare()) return 0;
  const std::unique_ptr<Dictionary> dictionary = Dictionary::largest(level_);
  if (!dictionary) return 0;
  return contexts() * (Pool<Compressor>::Lease(compressors_)->memory_bytes() +
                       Pool<Decompressor>::Lease(decompressors_)->memory_bytes()) +
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
  const size_t length =
      compressor->compress(std::span(buffer).first(kPageBytes - kLeastGain), page, dictionary);
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

PageEntry PageStore::store_group(uint64_t first, std::span<const std::byte> frame,
                                 unsigned generation, size_t single_bytes,
                                 const Epoch::Guard& guard) {
  const StoredObject* group = store_.add_group(first, frame, single_bytes, guard);
  if (!group) return {};
  for (unsigned i = 0; i < StoredObject::kGroupPages; ++i) dictionaries_.ref(generation);
  return PageEntry::compressed(group, generation);
}

PageEntry PageStore::entry_for_copy(const StoredObject* copy, PageEntry original) {
  dictionaries_.ref(original.generation());
  return PageEntry::compressed(copy, original.generation()).member(original.index());
}

// ---- pages as they are

PageEntry PageStore::store_plain(Data page, Claim claim) {
  std::byte* copy = plain_.allocate(1, claim).base;
  if (!copy) return {};
  copy_to_shared(copy, page.data(), kPageBytes);
  return PageEntry::plain(copy);
}

bool PageStore::looks_incompressible(Data page) {
  constexpr uint32_t kInARow = 4;
  constexpr uint32_t kTryOneIn = 64;
  if (failures_.load(std::memory_order_relaxed) < kInARow || !looks_like_noise(page)) return false;
  return passed_.fetch_add(1, std::memory_order_relaxed) % kTryOneIn != 0;
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
      return reinterpret_cast<const GroupHead*>(entry.stored()->bytes().data())->single_bytes();
    default:
      return 0;
  }
}

Status PageStore::Reader::load_object(const StoredObject& object, unsigned generation,
                                      std::span<std::byte> out) {
  if (!decompressor_) decompressor_.emplace(pages_.decompressors_);
  CHECK(generation == 0 || pages_.dictionaries_.get(generation));
  const std::span<const std::byte> frame =
      object.bytes().subspan(object.group() ? sizeof(GroupHead) : 0);
  if ((*decompressor_)->decompress(out, frame, pages_.dictionaries_.get(generation))) return {};
  return Status::error(EIO, "allocator=zstd: a compressed page is damaged in memory");
}

Status PageStore::Reader::load(PageEntry entry, Page page) {
  switch (entry.kind()) {
    case PageKind::hole:
      std::memset(page.data(), 0, kPageBytes);
      return {};
    case PageKind::same_filled: {
      const uint32_t pattern = entry.pattern();
      for (size_t i = 0; i < kPageBytes; i += sizeof pattern) {
        std::memcpy(page.data() + i, &pattern, sizeof pattern);
      }
      return {};
    }
    case PageKind::plain:
      copy_from_shared(page.data(), entry.page(), kPageBytes);
      return {};
    case PageKind::compressed:
      return load_object(*entry.stored(), entry.generation(), page);
    case PageKind::group:
      break;
  }
  StoredObject* group = entry.stored();
  if (group != group_) {
    group_ = nullptr;
    if (Status status = load_object(*group, entry.generation(), group_bytes_); !status.ok()) {
      return status;
    }
    group_ = group;
  }
  std::memcpy(page.data(), group_bytes_.data() + entry.index() * kPageBytes, kPageBytes);
  const auto bit = static_cast<uint8_t>(1u << entry.index());
  // This uses the builtin of gcc and clang, because not every C++20 library has std::atomic_ref.
  if (__atomic_fetch_or(&seen_pages(*group), bit, __ATOMIC_RELAXED) & bit) {
    hot_page_ = group->page() + entry.index();
  }
  return {};
}

uint64_t PageStore::needed_bytes() const {
  const uint64_t plain = plain_.taken_blocks() * kPageBytes;
  return store_.needed_bytes() + plain + plain / 512 + dictionaries_.paid_bytes();
}

uint64_t PageStore::memory_bytes() const {
  return store_.held_bytes() + plain_.held_bytes() + dictionaries_.memory_bytes();
}

}  // namespace ramdisk
