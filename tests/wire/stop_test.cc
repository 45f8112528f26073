// A server that is stopped, or killed, while sixteen clients write to it.
//
// SIGTERM must end it cleanly and soon; under the address sanitizer this also finds memory that the
// plugin has not freed. SIGKILL must leave nothing behind: the disk is in memory that no file, no
// shared memory segment and no other process holds.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "fixture.h"
#include "support/data.h"

namespace wire {
namespace {

constexpr unsigned kWriters = 16;
constexpr uint64_t kEach = 4 * MiB;

using Stop = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Stop, all_allocators(), allocator_name);

// Clients that write until the server is gone.
class Writers {
 public:
  explicit Writers(const Server& server) {
    for (unsigned i = 0; i < kWriters; ++i) {
      threads_.emplace_back([this, &server, i] { write(server, i); });
    }
    while (rounds_ < 2 * kWriters && lost_ == 0) std::this_thread::yield();
  }
  ~Writers() {
    for (std::thread& thread : threads_) thread.join();
  }

  // Returns how many connections have ended already.
  unsigned lost() const { return lost_; }

 private:
  void write(const Server& server, unsigned number) {
    const Bytes data = number % 2 ? noise(64 * KiB, number) : text(64 * KiB, number);
    try {
      const Client client(server);
      for (uint64_t at = 0;; at = (at + data.size()) % kEach) {
        client.write(data, number * kEach + at);
        if (at == kEach - data.size()) ++rounds_;
        if (at % MiB == 0) client.trim(10'000, number * kEach + at + 12'345);
      }
    } catch (const std::exception&) {  // the server is gone
      ++lost_;
    }
  }

  std::atomic<unsigned> rounds_{0};
  std::atomic<unsigned> lost_{0};
  std::vector<std::thread> threads_;
};

TEST_P(Stop, WhileSixteenWrite) {
  Server server(disk(GetParam(), kWriters * kEach), options_for_rough_clients());
  const Writers writers(server);
  ASSERT_EQ(0, writers.lost());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(0, server.stop()) << server.log();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("ended %.3f s after SIGTERM\n", seconds.count());
  // Under a sanitizer the search for leaks takes most of the time, and more on a busy machine.
  EXPECT_LT(seconds.count(), ramdisk::support::slow_build() ? 100 : 10);
}

// Returns the ids of the System V shared memory segments that process `pid` has created.
std::set<std::string> shared_memory_of(pid_t pid) {
  std::set<std::string> found;
  std::ifstream in("/proc/sysvipc/shm");
  std::string line;
  std::getline(in, line);  // the heading
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string key, id, permissions, size, creator;
    words >> key >> id >> permissions >> size >> creator;
    if (creator == std::to_string(pid)) found.insert(id);
  }
  return found;
}

// Returns the mappings that would outlive the process, because it shares them with a file or with
// other processes.
std::string shared_mappings(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/maps");
  std::string found;
  for (std::string line; std::getline(in, line);) {
    const size_t permissions = line.find(' ') + 1;
    if (line[permissions + 3] == 's') found += line + "\n";
  }
  return found;
}

// Returns the files that the process has open, including deleted ones.
std::set<std::string> open_files(pid_t pid) {
  std::set<std::string> found;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code gone;
    const std::string name = std::filesystem::read_symlink(entry.path(), gone).string();
    if (name.starts_with("/") && name != "/dev/null") found.insert(name);
  }
  return found;
}

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

TEST_P(Stop, KilledItLeavesNothingBehind) {
  const TempDir scratch;
  setenv("TMPDIR", scratch.path().c_str(), 1);
  const auto before = names_in("/dev/shm");
  {
    Server server(disk(GetParam(), kWriters * kEach), options_for_rough_clients());
    {
      const Writers writers(server);
      ASSERT_EQ(0, writers.lost());
      EXPECT_GT(server.status_kib("VmRSS"), 8 * 1024);
      EXPECT_EQ(0, server.status_kib("RssShmem"));
      EXPECT_EQ("", shared_mappings(server.pid()));
      // The server inherits the files that the caller of this program has opened.
      const auto inherited = open_files(getpid());
      for (const std::string& name : open_files(server.pid())) {
        EXPECT_TRUE(inherited.contains(name) || name == server.directory() + "/log") << name;
      }
      kill(server.pid(), SIGKILL);
    }
    const int status = server.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    EXPECT_TRUE(shared_memory_of(server.pid()).empty());
    EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(server.pid())));
    // The server's directory must contain only files that the test asked for.
    for (const std::string& name : names_in(server.directory())) {
      EXPECT_TRUE(name == "socket" || name == "pid" || name == "log") << name;
    }
  }
  EXPECT_TRUE(names_in(scratch.path()).empty());
  unsetenv("TMPDIR");
  for (const std::string& name : names_in("/dev/shm")) {
    EXPECT_TRUE(before.contains(name) || name.find("memory") == name.npos) << name;
  }
}

}  // namespace
}  // namespace wire
