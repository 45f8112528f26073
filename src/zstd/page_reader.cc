// PageStore::Reader: how the contents of a stored page are produced.

#include <cstring>

#include "base/check.h"
#include "base/shared_bytes.h"
#include "zstd/page_store.h"

namespace ramdisk {

std::unique_ptr<PageStore::Decompression> PageStore::Decompression::make() {
  auto made = std::make_unique<Decompression>();
  made->decompressor = Decompressor::make();
  return made->decompressor ? std::move(made) : nullptr;
}

PageStore::Decompression& PageStore::Reader::context() {
  if (!context_) context_.emplace(pages_.decompressors_);
  return **context_;
}

Status PageStore::Reader::load_object(const StoredObject& object, unsigned generation,
                                      std::span<std::byte> out) {
  const Dictionary* dictionary = pages_.dictionaries_.get(generation);
  CHECK(generation == 0 || dictionary);
  const std::span<const std::byte> frame =
      object.bytes().subspan(object.group() ? sizeof(GroupHead) : 0);
  if (context().decompressor->decompress(out, frame, dictionary)) return {};
  return Status::error(EIO, "allocator=zstd: a compressed page is damaged in memory");
}

Status PageStore::Reader::load_group(PageEntry entry, std::span<std::byte> contents) {
  DCHECK(contents.size() == head_of(entry).content_bytes());
  return load_object(*entry.stored(), entry.generation(), contents);
}

// Says in `decompressed` whether the group had to be decompressed for this page.
Status PageStore::Reader::load_member(PageEntry entry, Page page, bool& decompressed) {
  const StoredObject* group = entry.stored();
  const uint64_t serial = pages_.store_.serial_of(group);
  Decompression& last = context();
  decompressed = last.group != group || last.serial != serial;
  const GroupHead& head = head_of(entry);
  DCHECK(head.pages >> entry.index() & 1);
  if (decompressed) {
    last.group = nullptr;
    const auto contents = std::span(last.contents).first(head.content_bytes());
    if (Status status = load_group(entry, contents); !status.ok()) return status;
    last.group = group;
    last.serial = serial;
  }
  std::memcpy(page.data(), last.contents.data() + head.offset_of(entry.index()), kPageBytes);
  return {};
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
  bool decompressed = false;
  return load_member(entry, page, decompressed);
}

// A page is hot when its group has been decompressed for it twice, unless neighbours were read
// between, because then the group serves its readers well.
Status PageStore::Reader::load_for_client(PageEntry entry, Page page) {
  if (entry.kind() != PageKind::group) return load(entry, page);
  bool decompressed = false;
  if (Status status = load_member(entry, page, decompressed); !status.ok()) return status;
  // These use the builtins of gcc and clang, because not every C++20 library has std::atomic_ref.
  uint8_t& seen = head_of_group(*entry.stored()).seen;
  const auto bit = static_cast<uint8_t>(1u << entry.index());
  if (!decompressed) {
    if (__atomic_load_n(&seen, __ATOMIC_RELAXED)) __atomic_store_n(&seen, 0, __ATOMIC_RELAXED);
  } else if (__atomic_fetch_or(&seen, bit, __ATOMIC_RELAXED) & bit) {
    hot_page_ = entry.stored()->page() + entry.index();
  }
  return {};
}

}  // namespace ramdisk
