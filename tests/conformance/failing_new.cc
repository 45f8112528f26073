#include "failing_new.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace ramdisk::conformance {
namespace {

thread_local uint64_t calls_left = 0;  // calls until one fails, including that one; 0: none fails
thread_local bool exempt = false;
std::atomic<bool> others_fail{false};
std::atomic<int64_t> others_left{0};  // as calls_left
std::atomic<uint64_t> others_failed{0};

bool should_fail() {
  if (calls_left > 0 && --calls_left == 0) return true;
  if (exempt) return false;
  const bool once = others_left.load(std::memory_order_relaxed) > 0 &&
                    others_left.fetch_sub(1, std::memory_order_relaxed) == 1;
  if (!once && !others_fail.load(std::memory_order_relaxed)) return false;
  others_failed.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void* allocate(size_t bytes, size_t alignment) {
  if (should_fail()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(size_t bytes, size_t alignment) {
  void* p = allocate(bytes, alignment);
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace

void fail_own_new(uint64_t nth) {
  calls_left = nth + 1;
}

bool end_own_new() {
  const bool came = calls_left == 0;
  calls_left = 0;
  return came;
}

void fail_others_new_once(uint64_t nth) {
  exempt = true;
  others_left.store(static_cast<int64_t>(nth) + 1, std::memory_order_relaxed);
}

bool end_others_new_once() {
  return others_left.exchange(0, std::memory_order_relaxed) <= 0;
}

void fail_others_new() {
  exempt = true;
  others_fail.store(true, std::memory_order_relaxed);
}

void allow_others_new() {
  others_fail.store(false, std::memory_order_relaxed);
}

uint64_t others_failures() {
  return others_failed.load(std::memory_order_relaxed);
}

}  // namespace ramdisk::conformance

using ramdisk::conformance::allocate;
using ramdisk::conformance::allocate_or_throw;

void* operator new(size_t bytes) {
  return allocate_or_throw(bytes, 0);
}
void* operator new[](size_t bytes) {
  return allocate_or_throw(bytes, 0);
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 0);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 0);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, size_t, std::align_val_t) noexcept {
  std::free(p);
}
