// Locking memory: how much the system says is locked, and what a person is told when it may not be.

#include "memory/memory_lock.h"

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

#include "unit/system_calls.h"

namespace ramdisk {
namespace {

constexpr size_t kBytes = 64 << 10;

// How many bytes of this process are locked, by the system's own account.
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

// Under a sanitizer mlock does nothing and succeeds, so no limit can be reached.
bool mlock_is_real() {
  const Mapping mapping(kBytes);
  const size_t before = locked_bytes();
  return may_lock(kBytes) && mlock(mapping.base(), kBytes) == 0 && locked_bytes() > before;
}

TEST(MemoryLock, ThisSystemHasIt) {
  EXPECT_TRUE(memory_lock_supported());
}

// Each page is locked as soon as it is present, and none is made present.
TEST(MemoryLock, PromiseMakesNothingPresent) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  const size_t before = locked_bytes();
  {
    const Mapping mapping(kBytes);
    const Status status = promise_lock(mapping.base(), kBytes);
    ASSERT_TRUE(status.ok()) << status.message();
    if (mapping.resident_pages() > 0) GTEST_SKIP() << "SKIP: this kernel cannot lock on fault";
    EXPECT_EQ(locked_bytes(), before + kBytes);
    *static_cast<volatile char*>(mapping.base()) = 1;
    EXPECT_EQ(mapping.resident_pages(), 1u);
  }
  EXPECT_EQ(locked_bytes(), before);
}

TEST(MemoryLock, LockingTwiceCountsOnce) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  if (!mlock_is_real()) GTEST_SKIP() << "SKIP: mlock has no effect here (a sanitizer?)";
  const size_t before = locked_bytes();
  const Mapping mapping(kBytes);
  ASSERT_TRUE(promise_lock(mapping.base(), kBytes).ok());
  ASSERT_TRUE(lock_on_fault(mapping.base(), kBytes));
  EXPECT_EQ(locked_bytes(), before + kBytes);
}

TEST(MemoryLock, LocksUntilUnmapped) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  const size_t before = locked_bytes();
  {
    const Mapping mapping(kBytes);
    ASSERT_TRUE(lock_on_fault(mapping.base(), kBytes));
    if (!mlock_is_real()) GTEST_SKIP() << "SKIP: mlock has no effect here (a sanitizer?)";
    EXPECT_EQ(locked_bytes(), before + kBytes);
  }
  EXPECT_EQ(locked_bytes(), before);
}

TEST(MemoryLock, AllowingLeavesNothingLocked) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  const size_t before = locked_bytes();
  EXPECT_TRUE(allow_locking(kBytes).ok());
  EXPECT_EQ(locked_bytes(), before);
}

enum class User { same, nobody };

// Runs `check` in a child that has these limits; `check` returns what was wrong, or nothing. The
// child of a program without threads may call any function.
void in_child(rlimit limit, User user, const std::function<std::string()>& check) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::string answer;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        (user == User::nobody && geteuid() == 0 && setuid(65534) != 0)) {
      answer = "SKIP: cannot become somebody with such limits";
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

// Empty, or why this is not the error for a user who wants `bytes` and may have `limit`.
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
    // A process that may lock nothing at all is refused by mlock2 and then by mlock.
    if (limit == 0 && !mlock_is_real()) continue;
    in_child({limit, limit}, User::nobody, [&] {
      const Mapping mapping(2 * kBytes);
      return fault_in(promise_lock(mapping.base(), 2 * kBytes), 2 * kBytes, limit);
    });
    if (!mlock_is_real()) continue;
    in_child({limit, limit}, User::nobody,
             [&] { return fault_in(allow_locking(2 * kBytes), 2 * kBytes, limit); });
  }
}

std::string promise_and_lock() {
  const Mapping mapping(2 * kBytes);
  Status status = promise_lock(mapping.base(), 2 * kBytes);
  if (status.ok() && !lock_on_fault(mapping.base(), 2 * kBytes)) return "not locked again";
  return status.message();
}

std::string allow() {
  return allow_locking(2 * kBytes).message();
}

TEST(MemoryLock, WithinTheLimitWorks) {
  in_child({2 * kBytes, 2 * kBytes}, User::nobody, promise_and_lock);
  in_child({2 * kBytes, 2 * kBytes}, User::nobody, allow);
}

// Every user may raise the soft limit up to the hard one.
TEST(MemoryLock, TheSoftLimitIsRaised) {
  in_child({kBytes, 2 * kBytes}, User::nobody, promise_and_lock);
  in_child({kBytes, 2 * kBytes}, User::nobody, allow);
}

// Root may raise both limits, and the user it changes to afterwards can still lock.
TEST(MemoryLock, PromiseOfRootHoldsForOthers) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIP: not root";
  in_child({kBytes, kBytes}, User::same, [] {
    {
      const Mapping mapping(2 * kBytes);
      const Status status = promise_lock(mapping.base(), 2 * kBytes);
      rlimit limit{};
      getrlimit(RLIMIT_MEMLOCK, &limit);
      if (!status.ok() || limit.rlim_cur < 2 * kBytes) {
        return std::string("SKIP: root here may not raise limits");
      }
    }
    if (setuid(65534) != 0) return std::string("SKIP: cannot become nobody");
    const Mapping mapping(2 * kBytes);
    return std::string(lock_on_fault(mapping.base(), 2 * kBytes) ? "" : "nobody may not lock");
  });
}

// The message must not blame a limit that is not the reason, even if it is too low as well.
TEST(MemoryLock, ACallThatIsRefusedIsNamed) {
  for (const int errnum : {EPERM, ENOSYS, EINVAL}) {
    SCOPED_TRACE(errnum);
    in_child({kBytes, kBytes}, User::nobody, [=] {
      unit::SystemCalls calls;
      calls.refuse_mlock2(errnum);
      calls.refuse_mlock(errnum);
      const Mapping mapping(2 * kBytes);
      const Status status = promise_lock(mapping.base(), 2 * kBytes);
      const std::string message = status.message();
      const bool right = status.errnum() == errnum &&
                         message.find("mlock is refused") != std::string::npos &&
                         message.find("ulimit") == std::string::npos;
      return right ? "" : std::to_string(status.errnum()) + ": " + message;
    });
  }
}

TEST(MemoryLock, ProcessesAreToldApart) {
  const int64_t parent = this_process();
  EXPECT_EQ(this_process(), parent);
  in_child({kBytes, kBytes}, User::same, [=] {
    return std::string(this_process() == parent ? "the child says that it is its parent" : "");
  });
}

// The limit is not the reason: the message must not send people to raise it.
TEST(MemoryLock, MemoryThatIsNotThere) {
  if (!may_lock(kBytes)) GTEST_SKIP() << "SKIP: RLIMIT_MEMLOCK is too small";
  void* base = nullptr;
  {
    const Mapping mapping(kBytes);
    base = mapping.base();
  }
  const Status status = promise_lock(base, kBytes);
  EXPECT_EQ(status.errnum(), ENOMEM);
  EXPECT_NE(std::string(status.message()).find(std::strerror(ENOMEM)), std::string::npos);
  EXPECT_EQ(std::string(status.message()).find("ulimit"), std::string::npos);
}

}  // namespace
}  // namespace ramdisk

#else

TEST(MemoryLock, AnswersWithoutTheCalls) {
  if (ramdisk::memory_lock_supported()) GTEST_SKIP() << "SKIP: not a system that we can look into";
  EXPECT_EQ(ramdisk::promise_lock(nullptr, 1).errnum(), ENOTSUP);
  EXPECT_EQ(ramdisk::allow_locking(1).errnum(), ENOTSUP);
  EXPECT_FALSE(ramdisk::lock_on_fault(nullptr, 1));
}

#endif
