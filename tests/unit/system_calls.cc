#include "system_calls.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>

namespace ramdisk::unit {
namespace {

struct State {
  std::atomic<bool> recording{false};
  std::atomic<int> mlock2{0};
  std::atomic<int> mlock{0};
  std::atomic<uintptr_t> map_at{0};
  std::mutex mutex;  // guards the rest
  std::vector<SystemCalls::Advice> advice;
  std::map<int, int> refused_advice;  // errno by advice
};

State& state() {
  static State all;
  return all;
}

void reset(bool recording) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  all.recording = recording;
  all.advice.clear();
  all.refused_advice.clear();
  all.mlock2 = 0;
  all.mlock = 0;
  all.map_at = 0;
}

// Sets errno if there is one to be set.
bool refuse(int errnum) {
  if (errnum != 0) errno = errnum;
  return errnum != 0;
}

}  // namespace

SystemCalls::SystemCalls() {
  reset(true);
}

SystemCalls::~SystemCalls() {
  reset(false);
}

void SystemCalls::refuse_advice(int number, int errnum) {
  const std::lock_guard lock(state().mutex);
  state().refused_advice[number] = errnum;
}

void SystemCalls::refuse_mlock2(int errnum) {
  state().mlock2 = errnum;
}

void SystemCalls::refuse_mlock(int errnum) {
  state().mlock = errnum;
}

void SystemCalls::map_at(uintptr_t address) {
  state().map_at = address;
}

std::vector<SystemCalls::Advice> SystemCalls::advice() const {
  const std::lock_guard lock(state().mutex);
  return state().advice;
}

std::vector<SystemCalls::Advice> SystemCalls::advice(int number) const {
  std::vector<Advice> some;
  for (const Advice& each : advice()) {
    if (each.number == number) some.push_back(each);
  }
  return some;
}

}  // namespace ramdisk::unit

using ramdisk::unit::refuse;
using ramdisk::unit::state;

extern "C" {

int __real_madvise(void* base, size_t bytes, int advice);
int __real_munmap(void* base, size_t bytes);
int __real_mlock(const void* base, size_t bytes);
int __real_mlock2(const void* base, size_t bytes, unsigned flags);
void* __real_mmap(void* base, size_t bytes, int protection, int flags, int file, off_t offset);

int __wrap_madvise(void* base, size_t bytes, int advice) {
  if (state().recording) {
    const std::lock_guard lock(state().mutex);
    state().advice.push_back({reinterpret_cast<uintptr_t>(base), bytes, advice});
    const auto found = state().refused_advice.find(advice);
    if (found != state().refused_advice.end() && refuse(found->second)) return -1;
  }
  return __real_madvise(base, bytes, advice);
}

int __wrap_mlock(const void* base, size_t bytes) {
  return refuse(state().mlock) ? -1 : __real_mlock(base, bytes);
}

int __wrap_mlock2(const void* base, size_t bytes, unsigned flags) {
  return refuse(state().mlock2) ? -1 : __real_mlock2(base, bytes, flags);
}

// A sanitizer's own munmap would look into what it knows of an address that nothing is mapped at.
int __wrap_munmap(void* base, size_t bytes) {
  return state().map_at != 0 ? 0 : __real_munmap(base, bytes);
}

void* __wrap_mmap(void* base, size_t bytes, int protection, int flags, int file, off_t offset) {
  if (const uintptr_t at = state().map_at) {
    return reinterpret_cast<void*>(at);  // NOLINT(performance-no-int-to-ptr)
  }
  return __real_mmap(base, bytes, protection, flags, file, offset);
}

}  // extern "C"
