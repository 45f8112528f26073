// mlock=true must lock the memory of the process that serves, however nbdkit is started.
//
// Locks do not survive a fork, and nbdkit forks after the plugin has allocated its memory, unless
// it stays in the foreground. 4 MiB are within the usual limit on locked memory, so the tests of
// allocator=malloc need no privilege; disks that grow lock some address space ahead.

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "fixture.h"

namespace wire {
namespace {

void expect_locked(Mode mode, const Words& parameters) {
  const Server server(parameters, {}, mode);
  EXPECT_GE(server.status_kib("VmLck"), 4096);
  const Client client(server);
  const Bytes data = noise(1 * MiB, 1);
  client.write(data, 2 * MiB);
  EXPECT_TRUE(data == client.read(1 * MiB, 2 * MiB));
  client.trim(4 * MiB, 0);
  EXPECT_GE(server.status_kib("VmLck"), 4096) << "after a trim";
}

TEST(Mlock, Foreground) {
  expect_locked(Mode::foreground, {"4M", "allocator=malloc,mlock=true"});
}

TEST(Mlock, Background) {
  expect_locked(Mode::background, {"4M", "allocator=malloc,mlock=true"});
}

TEST(Mlock, Captive) {
  expect_locked(Mode::captive, {"4M", "allocator=malloc,mlock=true"});
}

TEST(Mlock, AsParameterOfItsOwn) {
  expect_locked(Mode::background, {"4M", "allocator=malloc", "mlock=true"});
}

TEST(Mlock, NotUnlessAskedFor) {
  for (const Words& parameters :
       {Words{"4M", "allocator=malloc"}, Words{"4M", "allocator=malloc,mlock=false"},
        Words{"4M", "allocator=sparse"}}) {
    const Server server(parameters);
    const Client client(server);
    client.write(noise(1 * MiB, 1), 0);
    EXPECT_EQ(0, server.status_kib("VmLck"));
  }
}

// ---- disks that grow

using MlockGrowing = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, MlockGrowing, sparse_allocators(), allocator_name);

TEST_P(MlockGrowing, LocksAsItGrowsAndGivesBack) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIP: not root, the limit on locked memory may be too small";
  for (const Mode mode : {Mode::foreground, Mode::background, Mode::captive}) {
    const Server server({"1T", "allocator=" + GetParam(), "mlock=true"}, {}, mode);
    const Client client(server);
    for (unsigned i = 0; i < 64; ++i) client.write(noise(1 * MiB, i), i * 3 * MiB);
    EXPECT_GE(server.status_kib("VmLck"), 64 * 1024);
    const long full = server.status_kib("VmRSS");
    for (unsigned i = 0; i < 64; ++i) {
      ASSERT_TRUE(noise(1 * MiB, i) == client.read(1 * MiB, i * 3 * MiB));
    }
    client.trim(255 * MiB, 0);
    EXPECT_LT(server.status_kib("VmRSS"), full - 48 * 1024) << "memory comes back, locked or not";
  }
}

// ---- core dumps

// Returns the resident KiB in mappings that are not excluded from core dumps.
long dumpable_kib(pid_t pid) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  long sum = 0;
  long resident = 0;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "Rss:") words >> resident;
    if (word != "VmFlags:") continue;
    bool kept_out = false;
    while (words >> word) kept_out |= word == "dd";
    if (!kept_out) sum += resident;
  }
  return sum;
}

using CoreDumps = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, CoreDumps, all_allocators(), allocator_name);

TEST_P(CoreDumps, HoldTheDiskOnlyIfAskedFor) {
  for (const bool dump : {false, true}) {
    Words parameters{"64M", "allocator=" + GetParam()};
    if (dump) parameters.push_back("dump=true");
    const Server server(parameters);
    const Client client(server);
    for (unsigned i = 0; i < 64; ++i) client.write(noise(1 * MiB, i), i * MiB);
    if (dump) {
      EXPECT_GT(dumpable_kib(server.pid()), 64 * 1024);
    } else {
      EXPECT_LT(dumpable_kib(server.pid()), 48 * 1024);
    }
  }
}

}  // namespace
}  // namespace wire
