// Locking memory: what the system says is locked, and what a person is told when it may not be.

#include "core/memory_lock.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ramdisk {
namespace {

constexpr size_t kBytes = 64 << 10;

// Bytes locked by this process, as the system has them.
size_t locked_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    size_t kib = 0;
    if (word == "VmLck:" && status >> kib) return kib * 1024;
  }
  return 0;
}

class Mapping {
 public:
  explicit Mapping(size_t bytes)
      : bytes_(bytes),
        base_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~Mapping() { munmap(base_, bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  void* base() const { return base_; }

  size_t resident_pages() const {
    std::string pages(bytes_ / 4096, 0);
    mincore(base_, bytes_, reinterpret_cast<unsigned char*>(pages.data()));
    size_t count = 0;
    for (const char page : pages) count += page & 1;
    return count;
  }

 private:
  const size_t bytes_;
  void* const base_;
};

bool may_lock(size_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return geteuid() == 0 || limit.rlim_cur >= bytes;
}

// Sanitizers let mlock do nothing, successfully: no limit can be met with them.
bool mlock_is_real() {
  const Mapping mapping(kBytes);
  const size_t before = locked_bytes();
  return may_lock(kBytes) && mlock(mapping.base(), kBytes) == 0 && locked_bytes() > before;
}

TEST(MemoryLock, ThisSystemHasIt) {
  EXPECT_TRUE(memory_lock_supported());
}

TEST(MemoryLock, TryingLeavesNothingLockedAndNothingPresent) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  const Mapping mapping(kBytes);
  const size_t before = locked_bytes();
  const Status status = try_lock_memory(mapping.base(), kBytes);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(mapping.resident_pages(), 0u);
  if (!mlock_is_real()) GTEST_SKIP() << "SKIP: munlock has no effect here (a sanitizer?)";
  EXPECT_EQ(locked_bytes(), before);
}

TEST(MemoryLock, LocksUntilUnmapped) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  const size_t before = locked_bytes();
  {
    const Mapping mapping(kBytes);
    const Status status = lock_memory(mapping.base(), kBytes);
    ASSERT_TRUE(status.ok()) << status.message();
    if (!mlock_is_real()) GTEST_SKIP() << "SKIP: mlock has no effect here (a sanitizer?)";
    EXPECT_EQ(locked_bytes(), before + kBytes);
    EXPECT_EQ(mapping.resident_pages(), kBytes / 4096);
  }
  EXPECT_EQ(locked_bytes(), before);
}

// Runs `check` in a child that is not root and may lock `limit` bytes; what it returns is empty or
// what was wrong. The child of a program without threads may do as it likes.
void in_limited_child(size_t limit, const std::function<std::string()>& check) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit lower{limit, limit};
    std::string answer;
    if (setrlimit(RLIMIT_MEMLOCK, &lower) != 0 || (geteuid() == 0 && setuid(65534) != 0)) {
      answer = "SKIP: cannot become somebody with limits";
    } else {
      answer = check();
    }
    const ssize_t written = write(ends[1], answer.data(), answer.size());
    _exit(written == static_cast<ssize_t>(answer.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string answer;
  char buffer[512];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  if (answer.starts_with("SKIP")) GTEST_SKIP() << answer;
  EXPECT_EQ(answer, "");
}

// Empty, or why this is not the error of somebody who wants `bytes` and may have `limit`.
std::string fault_in(const Status& status, size_t bytes, size_t limit) {
  const std::string message = status.message();
  if (status.ok()) return "it was locked";
  for (const int errnum : {EPERM, ENOMEM, EAGAIN, 0}) {
    if (errnum == status.errnum()) break;
    if (errnum == 0) return "errno " + std::to_string(status.errnum());
  }
  for (const std::string& wanted : {std::string("mlock=true"), std::to_string(bytes) + " bytes",
                                    std::to_string(limit) + " bytes", std::string("ulimit -l"),
                                    std::string("RLIMIT_MEMLOCK")}) {
    if (message.find(wanted) == std::string::npos) return "no \"" + wanted + "\" in: " + message;
  }
  return "";
}

TEST(MemoryLock, BeyondTheLimitNamesIt) {
  for (const size_t limit : {size_t{0}, kBytes, 2 * kBytes - 4096}) {
    SCOPED_TRACE("limit of " + std::to_string(limit));
    in_limited_child(limit, [&] {
      const Mapping mapping(2 * kBytes);
      return fault_in(try_lock_memory(mapping.base(), 2 * kBytes), 2 * kBytes, limit);
    });
    if (!mlock_is_real()) continue;
    in_limited_child(limit, [&] {
      const Mapping mapping(2 * kBytes);
      return fault_in(lock_memory(mapping.base(), 2 * kBytes), 2 * kBytes, limit);
    });
  }
}

TEST(MemoryLock, WithinTheLimitWorks) {
  in_limited_child(2 * kBytes, [] {
    const Mapping mapping(2 * kBytes);
    Status status = try_lock_memory(mapping.base(), 2 * kBytes);
    if (status.ok()) status = lock_memory(mapping.base(), 2 * kBytes);
    return std::string(status.message());
  });
}

// Not the limit's fault: the message must not send people to raise it.
TEST(MemoryLock, MemoryThatIsNotThere) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  void* base = nullptr;
  {
    const Mapping mapping(kBytes);
    base = mapping.base();
  }
  const Status status = try_lock_memory(base, kBytes);
  EXPECT_EQ(status.errnum(), ENOMEM);
  EXPECT_NE(std::string(status.message()).find(std::strerror(ENOMEM)), std::string::npos);
  EXPECT_EQ(std::string(status.message()).find("ulimit"), std::string::npos);
}

}  // namespace
}  // namespace ramdisk

#else

TEST(MemoryLock, AnswersWithoutTheCalls) {
  if (ramdisk::memory_lock_supported()) GTEST_SKIP() << "SKIP: not a system that we can look into";
  EXPECT_EQ(ramdisk::try_lock_memory(nullptr, 1).errnum(), ENOTSUP);
  EXPECT_EQ(ramdisk::lock_memory(nullptr, 1).errnum(), ENOTSUP);
}

#endif
