// populate_in_parallel(): every byte once, by several threads, and what happens when a piece fails.

#include "memory/populate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace ramdisk {
namespace {

constexpr size_t kMebibyte = size_t{1} << 20;

// Records what is populated and by which thread; touches nothing, so the addresses need not exist.
class NotedMemory final : public MemorySource {
 public:
  void* map(size_t, size_t, bool) override { return nullptr; }
  void unmap(void*, size_t) noexcept override {}
  bool discard(void*, size_t) noexcept override { return false; }

  bool populate(void* base, size_t bytes) override {
    std::unique_lock lock(mutex_);
    const size_t call = ranges_.size();
    EXPECT_TRUE(ranges_.emplace(reinterpret_cast<uintptr_t>(base), bytes).second);
    threads_.insert(std::this_thread::get_id());
    arrived_.notify_all();
    if (expected_threads_ > 0) {
      arrived_.wait_for(lock, std::chrono::seconds(20),
                        [&] { return threads_.size() >= expected_threads_; });
    }
    return call != failing_call_;
  }

  // Makes the first threads wait until this many have come.
  void expect_threads(size_t count) { expected_threads_ = count; }
  void fail_call(size_t nth) { failing_call_ = nth; }

  const std::map<uintptr_t, size_t>& ranges() const { return ranges_; }
  size_t threads() const { return threads_.size(); }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<uintptr_t, size_t> ranges_;
  std::set<std::thread::id> threads_;
  size_t expected_threads_ = 0;
  size_t failing_call_ = SIZE_MAX;
};

std::byte* some_address() {
  constexpr uintptr_t kAddress = uintptr_t{1} << (sizeof(uintptr_t) > 4 ? 40 : 28);
  return reinterpret_cast<std::byte*>(kAddress);  // NOLINT(performance-no-int-to-ptr)
}

TEST(PopulateInParallel, EveryByteOnce) {
  constexpr uint64_t kMore = kMebibyte;
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{4096}, 64 * kMore - 4096, 64 * kMore,
                               64 * kMore + 4096, 640 * kMore, 8192 * kMore + 2 * kMore}) {
    SCOPED_TRACE(bytes);
    if (bytes > SIZE_MAX / 2) continue;  // no address space for it
    NotedMemory memory;
    EXPECT_TRUE(populate_in_parallel(memory, some_address(), static_cast<size_t>(bytes)));
    uintptr_t at = reinterpret_cast<uintptr_t>(some_address());
    const uintptr_t end = at + static_cast<size_t>(bytes);
    for (const auto& [start, length] : memory.ranges()) {
      EXPECT_EQ(start, at);
      EXPECT_EQ(start % (2 * kMebibyte), 0u) << "cuts a huge page";
      at = start + length;
    }
    EXPECT_EQ(at, end);
  }
}

TEST(PopulateInParallel, AsManyThreadsAsCpus) {
  const size_t cpus = std::max(1u, std::thread::hardware_concurrency());
  NotedMemory memory;
  memory.expect_threads(cpus);
  EXPECT_TRUE(populate_in_parallel(memory, some_address(), cpus * 128 * kMebibyte));
  EXPECT_EQ(memory.threads(), cpus);
}

TEST(PopulateInParallel, FewPiecesTakeFewThreads) {
  NotedMemory memory;
  EXPECT_TRUE(populate_in_parallel(memory, some_address(), 64 * kMebibyte));
  EXPECT_EQ(memory.threads(), 1u);
}

// Whichever thread meets the failure: with two threads, odd and even calls come from either.
TEST(PopulateInParallel, AnyFailureIsReported) {
  for (size_t nth = 0; nth < 8; ++nth) {
    NotedMemory memory;
    memory.fail_call(nth);
    EXPECT_FALSE(populate_in_parallel(memory, some_address(), 512 * kMebibyte)) << nth;
  }
}

// The other thread fails; the caller's own piece is good.
TEST(PopulateInParallel, FailureOfAHelperIsReported) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "SKIP: one CPU, no helper";
  class HelperFails final : public MemorySource {
   public:
    void* map(size_t, size_t, bool) override { return nullptr; }
    void unmap(void*, size_t) noexcept override {}
    bool discard(void*, size_t) noexcept override { return false; }
    bool populate(void*, size_t) override {
      if (std::this_thread::get_id() != caller_) {
        failed_.test_and_set();
        failed_.notify_all();
        return false;
      }
      failed_.wait(false);
      return true;
    }

   private:
    const std::thread::id caller_ = std::this_thread::get_id();
    std::atomic_flag failed_;
  };
  HelperFails memory;
  EXPECT_FALSE(populate_in_parallel(memory, some_address(), 512 * kMebibyte));
}

#if defined(__linux__)

// Runs in a child whose limit leaves no address space for the stack of a thread.
TEST(PopulateInParallel, WithoutThreadsTheCallerDoesIt) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "SKIP: a sanitizer needs address space of its own";
#endif
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit none{0, 0};
    NotedMemory memory;
    if (setrlimit(RLIMIT_AS, &none) != 0) _exit(1);
    // An emulator does not apply the limit to what it emulates.
    if (mmap(nullptr, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) _exit(77);
    const bool good = populate_in_parallel(memory, some_address(), 512 * kMebibyte) &&
                      memory.ranges().size() == 8 && memory.threads() == 1;
    _exit(good ? 0 : 1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  ASSERT_TRUE(WIFEXITED(result)) << result;
  if (WEXITSTATUS(result) == 77) GTEST_SKIP() << "SKIP: RLIMIT_AS limits nothing here";
  EXPECT_EQ(WEXITSTATUS(result), 0);
}

#endif

}  // namespace
}  // namespace ramdisk
