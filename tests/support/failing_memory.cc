// The counting and failing of failing_memory.h.

#include "support/failing_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace ramdisk::support {
namespace {

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

uintptr_t address(const void* base) {
  return reinterpret_cast<uintptr_t>(base);
}

bool whole_pages(uintptr_t at, size_t bytes) {
  return bytes > 0 && at % page_bytes() == 0 && bytes % page_bytes() == 0;
}

}  // namespace

FailingMemory::FailingMemory(std::unique_ptr<MemorySource> inner) : inner_(std::move(inner)) {}

FailingMemory::~FailingMemory() = default;

void* FailingMemory::map(size_t bytes, size_t alignment, bool huge) {
  const std::lock_guard lock(mutex_);
  if (!whole_pages(alignment, bytes) || (alignment & (alignment - 1)) != 0) {
    complain("map of " + std::to_string(bytes) + " aligned to " + std::to_string(alignment));
  }
  if (should_fail(bytes)) return nullptr;
  void* base = inner_->map(bytes, alignment, huge);
  if (!base) return nullptr;
  if (address(base) % alignment != 0) complain("map gave memory that is not aligned");
  regions_[address(base)] = Region{bytes, std::vector<bool>(bytes / page_bytes())};
  mapped_ += bytes;
  return base;
}

void FailingMemory::unmap(void* base, size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const auto it = regions_.find(address(base));
  if (it == regions_.end() || it->second.bytes != bytes) {
    complain("unmap of " + std::to_string(bytes) + " bytes that are no whole mapped range");
    return;
  }
  discarded_ -= discarded_in(it->first, bytes);
  mapped_ -= bytes;
  regions_.erase(it);
  inner_->unmap(base, bytes);
}

bool FailingMemory::populate(void* base, size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!region_of(address(base), bytes, nullptr)) complain("populate outside a mapped range");
  if (should_fail(discarded_in(address(base), bytes))) return false;
  if (!inner_->populate(base, bytes)) return false;
  mark(address(base), bytes, false);
  return true;
}

void FailingMemory::expect_holes(void* base, size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  if (!region_of(address(base), bytes, nullptr)) complain("expect_holes outside a mapped range");
  inner_->expect_holes(base, bytes);
}

bool FailingMemory::discard(void* base, size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  if (!region_of(address(base), bytes, nullptr)) {
    complain("discard outside a mapped range");
    return false;
  }
  if (refuse_discard_) {
    std::memset(base, 0xa5, bytes);
    return false;
  }
  if (!inner_->discard(base, bytes)) return false;
  mark(address(base), bytes, true);
  return true;
}

void FailingMemory::fail_once(uint64_t nth) {
  const std::lock_guard lock(mutex_);
  mode_ = Mode::once;
  nth_ = nth;
  calls_ = 0;
}

void FailingMemory::fail_from(uint64_t nth) {
  const std::lock_guard lock(mutex_);
  mode_ = Mode::from;
  nth_ = nth;
  calls_ = 0;
}

void FailingMemory::fail_one_in(uint64_t n) {
  const std::lock_guard lock(mutex_);
  mode_ = Mode::one_in;
  nth_ = n;
  calls_ = 0;
}

void FailingMemory::allow() {
  const std::lock_guard lock(mutex_);
  mode_ = Mode::allow;
  limit_ = SIZE_MAX;
}

void FailingMemory::limit(size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
}

void FailingMemory::refuse_discard(bool refuse) {
  const std::lock_guard lock(mutex_);
  refuse_discard_ = refuse;
}

uint64_t FailingMemory::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

uint64_t FailingMemory::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

size_t FailingMemory::mapped_bytes() const {
  const std::lock_guard lock(mutex_);
  return mapped_;
}

size_t FailingMemory::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return mapped_ - discarded_;
}

size_t FailingMemory::resident_bytes() const {
  const std::lock_guard lock(mutex_);
  size_t pages = 0;
  for (const auto& [start, region] : regions_) {
    std::vector<unsigned char> present(region.bytes / page_bytes());
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the address came from a pointer
    if (mincore(reinterpret_cast<void*>(start), region.bytes, present.data()) != 0) {
      return mapped_ - discarded_;
    }
    pages += std::count_if(present.begin(), present.end(), [](auto p) { return p & 1; });
  }
  return pages * page_bytes();
}

std::string FailingMemory::misuse() const {
  const std::lock_guard lock(mutex_);
  return misuse_;
}

bool FailingMemory::should_fail(size_t more_bytes) {
  const uint64_t call = calls_++;
  // The multiplication scatters the calls that fail without a second source of randomness.
  const bool told = (mode_ == Mode::once && call == nth_) ||
                    (mode_ == Mode::from && call >= nth_) ||
                    (mode_ == Mode::one_in && (call * 0x9e3779b97f4a7c15u >> 32) % nth_ == 0);
  const bool fail = told || more_bytes > limit_ || mapped_ - discarded_ > limit_ - more_bytes;
  failures_ += fail;
  return fail;
}

void FailingMemory::complain(const std::string& what) {
  if (misuse_.empty()) misuse_ = what;
}

FailingMemory::Region* FailingMemory::region_of(uintptr_t at, size_t bytes, uintptr_t* start) {
  if (!whole_pages(at, bytes)) return nullptr;
  auto it = regions_.upper_bound(at);
  if (it == regions_.begin()) return nullptr;
  --it;
  if (at - it->first > it->second.bytes || bytes > it->second.bytes - (at - it->first)) {
    return nullptr;
  }
  if (start) *start = it->first;
  return &it->second;
}

void FailingMemory::mark(uintptr_t at, size_t bytes, bool discarded) {
  uintptr_t start = 0;
  Region* region = region_of(at, bytes, &start);
  if (!region) return;
  const size_t first = (at - start) / page_bytes();
  for (size_t page = first; page < first + bytes / page_bytes(); ++page) {
    if (region->discarded[page] == discarded) continue;
    region->discarded[page] = discarded;
    discarded_ = discarded ? discarded_ + page_bytes() : discarded_ - page_bytes();
  }
}

size_t FailingMemory::discarded_in(uintptr_t at, size_t bytes) {
  uintptr_t start = 0;
  const Region* region = region_of(at, bytes, &start);
  if (!region) return 0;
  const auto first = region->discarded.begin() + (at - start) / page_bytes();
  return std::count(first, first + bytes / page_bytes(), true) * page_bytes();
}

}  // namespace ramdisk::support
