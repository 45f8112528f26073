// The accesses declared in access_counter.h. A plugin that was compiled with -fsanitize=thread, but
// linked without it, calls the functions below for each access; the names are those of GCC's and
// LLVM's instrumentation (gcc/sanitizer.def; compiler-rt/lib/tsan/rtl/tsan_interface.h).

#include "access_counter.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace bench {

namespace {

constexpr unsigned kLineBits = 6;

struct Count {
  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t last_read = 0;  // numbers of requests
  uint64_t last_write = 0;
};

struct ThreadLog {
  std::unordered_map<uintptr_t, Count> lines;
  uint64_t locks = 0;
  uint64_t request = 0;     // its number; 0 in a background thread
  uintptr_t last_read = 0;  // lines
  uintptr_t last_write = 0;
};

std::atomic<bool> counting{false};
std::mutex logs_mutex;
std::vector<std::unique_ptr<ThreadLog>> logs;
std::atomic<unsigned> generation{0};
std::atomic<uint64_t> requests{0};

thread_local ThreadLog* mine = nullptr;
thread_local unsigned my_generation = 0;
thread_local bool busy = false;  // in here, where a mutex or an allocation must not count

ThreadLog& my_log() {
  if (!mine || my_generation != generation) {
    const std::lock_guard lock(logs_mutex);
    mine = logs.emplace_back(std::make_unique<ThreadLog>()).get();
    my_generation = generation;
  }
  return *mine;
}

template <typename Note>
void note(Note body) {
  if (busy || !counting.load(std::memory_order_relaxed)) return;
  busy = true;
  body(my_log());
  busy = false;
}

// Whether an access is the first one of its request to the line. A background thread has no
// requests; there, it is the first of a run of accesses to the line.
bool is_first(const ThreadLog& log, uintptr_t line, uintptr_t& last_line, uint64_t& last_request) {
  const bool first = log.request ? last_request != log.request : last_line != line;
  last_line = line;
  last_request = log.request;
  return first;
}

void note_read(const volatile void* address) {
  note([&](ThreadLog& log) {
    const uintptr_t line = reinterpret_cast<uintptr_t>(address) >> kLineBits;
    Count& count = log.lines[line];
    count.reads += is_first(log, line, log.last_read, count.last_read);
  });
}

void note_write(const volatile void* address) {
  note([&](ThreadLog& log) {
    const uintptr_t line = reinterpret_cast<uintptr_t>(address) >> kLineBits;
    Count& count = log.lines[line];
    count.writes += is_first(log, line, log.last_write, count.last_write);
  });
}

}  // namespace

void start_counting() {
  {
    const std::lock_guard lock(logs_mutex);
    logs.clear();
    ++generation;
  }
  counting = true;
}

void begin_request() {
  if (counting) my_log().request = ++requests;
}

Accesses stop_counting() {
  counting = false;
  const std::lock_guard lock(logs_mutex);
  struct Sum {
    Count all;
    unsigned readers = 0;
    unsigned writers = 0;
    unsigned threads = 0;
  };
  std::unordered_map<uintptr_t, Sum> lines;
  Accesses accesses;
  for (const auto& log : logs) {
    accesses.locks += log->locks;
    for (const auto& [line, count] : log->lines) {
      Sum& sum = lines[line];
      sum.all.reads += count.reads;
      sum.all.writes += count.writes;
      sum.writers += count.writes > 0;
      ++sum.threads;
      accesses.all += count.reads + count.writes;
    }
  }
  for (const auto& [line, sum] : lines) {
    if (sum.writers == 0 || sum.threads < 2) continue;
    accesses.shared_reads += sum.all.reads;
    accesses.shared_writes += sum.all.writes;
    accesses.hottest_writes = std::max(accesses.hottest_writes, sum.all.writes);
  }
  return accesses;
}

}  // namespace bench

extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static const Lock lock = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  bench::note([](bench::ThreadLog& log) { ++log.locks; });
  bench::note_write(mutex);
  return lock(mutex);
}

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* address, size_t) {
  bench::note_read(address);
}
void __tsan_write_range(void* address, size_t) {
  bench::note_write(address);
}

#define PLAIN(BYTES)                                  \
  void __tsan_read##BYTES(void* address) {            \
    bench::note_read(address);                        \
  }                                                   \
  void __tsan_write##BYTES(void* address) {           \
    bench::note_write(address);                       \
  }                                                   \
  void __tsan_unaligned_read##BYTES(void* address) {  \
    bench::note_read(address);                        \
  }                                                   \
  void __tsan_unaligned_write##BYTES(void* address) { \
    bench::note_write(address);                       \
  }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)
#undef PLAIN

// The strongest order stands for all.
#define UPDATE(BITS, NAME, BUILTIN)                                             \
  uint##BITS##_t __tsan_atomic##BITS##_##NAME(volatile uint##BITS##_t* address, \
                                              uint##BITS##_t value, int) {      \
    bench::note_write(address);                                                 \
    return BUILTIN(address, value, __ATOMIC_SEQ_CST);                           \
  }
#define EXCHANGE(BITS, STRENGTH)                                                          \
  int __tsan_atomic##BITS##_compare_exchange_##STRENGTH(volatile uint##BITS##_t* address, \
                                                        uint##BITS##_t* expected,         \
                                                        uint##BITS##_t value, int, int) { \
    bench::note_write(address);                                                           \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST, \
                                       __ATOMIC_SEQ_CST);                                 \
  }
#define ATOMIC(BITS)                                                                              \
  uint##BITS##_t __tsan_atomic##BITS##_load(const volatile uint##BITS##_t* address, int) {        \
    bench::note_read(address);                                                                    \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                            \
  }                                                                                               \
  void __tsan_atomic##BITS##_store(volatile uint##BITS##_t* address, uint##BITS##_t value, int) { \
    bench::note_write(address);                                                                   \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                           \
  }                                                                                               \
  UPDATE(BITS, exchange, __atomic_exchange_n)                                                     \
  UPDATE(BITS, fetch_add, __atomic_fetch_add)                                                     \
  UPDATE(BITS, fetch_sub, __atomic_fetch_sub)                                                     \
  UPDATE(BITS, fetch_and, __atomic_fetch_and)                                                     \
  UPDATE(BITS, fetch_or, __atomic_fetch_or)                                                       \
  UPDATE(BITS, fetch_xor, __atomic_fetch_xor)                                                     \
  EXCHANGE(BITS, strong)                                                                          \
  EXCHANGE(BITS, weak)
ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)
#undef ATOMIC
#undef EXCHANGE
#undef UPDATE

void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

}  // extern "C"
