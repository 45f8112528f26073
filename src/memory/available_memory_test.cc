// available_memory(): on copies of /proc and /sys as different systems have them.

#include "memory/available_memory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace ramdisk {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMebibyte = uint64_t{1} << 20;
constexpr uint64_t kMachine = 8192 * kMebibyte;  // what a machine in these tests has
constexpr std::string_view kMeminfo =
    "MemTotal:       16000000 kB\n"
    "MemFree:          100000 kB\n"
    "MemAvailable:    8380416 kB\n"  // 8184 MiB
    "Buffers:            1234 kB\n"
    "SwapTotal:         10240 kB\n"
    "SwapFree:           8192 kB\n";

class AvailableMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = (fs::temp_directory_path() / "ramdisk-XXXXXX").string();
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  void TearDown() override {
    if (!root_.empty()) fs::remove_all(root_);
  }

  void put(const std::string& path, std::string_view content) {
    const fs::path file = root_.string() + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }

  void machine() { put("/proc/meminfo", kMeminfo); }

  // A group of version 2 or 1, as the memory controller shows it. Half of its cache is active.
  void group2(const std::string& path, const std::string& limit, uint64_t used, uint64_t cache) {
    const std::string folder = "/sys/fs/cgroup" + path;
    put(folder + "/memory.max", limit + "\n");
    put(folder + "/memory.current", std::to_string(used) + "\n");
    put(folder + "/memory.stat", "anon 1\nfile 99999999999\nactive_file " +
                                     std::to_string(cache - cache / 2) + "\ninactive_file " +
                                     std::to_string(cache / 2) +
                                     "\nshmem 99999999999\ntotal_inactive_file 99999999999\n");
  }
  void group1(const std::string& path, uint64_t limit, uint64_t used, uint64_t cache) {
    const std::string folder = "/sys/fs/cgroup/memory" + path;
    put(folder + "/memory.limit_in_bytes", std::to_string(limit) + "\n");
    put(folder + "/memory.usage_in_bytes", std::to_string(used) + "\n");
    put(folder + "/memory.stat",
        "cache 1\nactive_file 99999999999\ninactive_file 99999999999\ntotal_cache 99999999999\n"
        "total_inactive_file " +
            std::to_string(cache / 2) + "\ntotal_active_file " + std::to_string(cache - cache / 2) +
            "\n");
  }

  AvailableMemory look(Swap swap = Swap::counts) const {
    return available_memory(swap, root_.string());
  }

  void expect_machine() const {
    EXPECT_EQ(look().bytes, kMachine);
    EXPECT_EQ(look().limit.find("group"), std::string::npos) << look().limit;
    EXPECT_FALSE(look().limit.empty());
  }
  void expect_group(uint64_t bytes) const {
    EXPECT_EQ(look().bytes, bytes);
    EXPECT_NE(look().limit.find("group"), std::string::npos) << look().limit;
  }

 private:
  fs::path root_;
};

TEST_F(AvailableMemoryTest, NoFilesAtAll) {
  EXPECT_EQ(look().bytes, UINT64_MAX);
  EXPECT_EQ(look().limit, "");
}

TEST_F(AvailableMemoryTest, MachineAlone) {
  machine();
  expect_machine();
}

TEST_F(AvailableMemoryTest, LockedMemoryCannotGoToSwap) {
  machine();
  EXPECT_EQ(look(Swap::does_not).bytes, kMachine - 8 * kMebibyte);
}

TEST_F(AvailableMemoryTest, TotalIsTheLeastOfAll) {
  EXPECT_EQ(look().total, UINT64_MAX);
  machine();
  EXPECT_EQ(look().total, uint64_t{16000000} << 10);
  put("/proc/self/cgroup", "0::/a/b\n");
  group2("/a/b", std::to_string(500 * kMebibyte), 0, 0);
  group2("/a", std::to_string(400 * kMebibyte), 300 * kMebibyte, 0);
  EXPECT_EQ(look().total, 400 * kMebibyte);
  group2("/a", std::to_string(900 * kMebibyte), 800 * kMebibyte, 0);
  EXPECT_EQ(look().total, 500 * kMebibyte);
  EXPECT_EQ(look().bytes, 100 * kMebibyte);
}

TEST_F(AvailableMemoryTest, MeminfoWithoutTheFields) {
  put("/proc/meminfo", "MemTotal: 16000000 kB\nHugePages_Total: 0\nMemAvailable\n\n:::\n");
  EXPECT_EQ(look().bytes, UINT64_MAX);
}

// ---- version 2

TEST_F(AvailableMemoryTest, V2Group) {
  machine();
  put("/proc/self/cgroup", "0::/user.slice\n");
  group2("/user.slice", std::to_string(100 * kMebibyte), 30 * kMebibyte, 10 * kMebibyte);
  expect_group(80 * kMebibyte);  // what it caches can be dropped
}

TEST_F(AvailableMemoryTest, V2GroupAboveHoldsToo) {
  machine();
  put("/proc/self/cgroup", "0::/a/b/c\n");
  group2("/a/b/c", std::to_string(500 * kMebibyte), 0, 0);
  group2("/a/b", "max", 300 * kMebibyte, 0);
  group2("/a", std::to_string(400 * kMebibyte), 300 * kMebibyte, 0);
  expect_group(100 * kMebibyte);
  group2("/a/b/c", std::to_string(50 * kMebibyte), 0, 0);
  expect_group(50 * kMebibyte);
}

TEST_F(AvailableMemoryTest, V2WithoutALimit) {
  machine();
  put("/proc/self/cgroup", "0::/a\n");
  group2("/a", "max", 300 * kMebibyte, 0);
  expect_machine();
}

TEST_F(AvailableMemoryTest, V2LimitAboveTheMachine) {
  machine();
  put("/proc/self/cgroup", "0::/a\n");
  group2("/a", std::to_string(2 * kMachine), 0, 0);
  expect_machine();
}

TEST_F(AvailableMemoryTest, V2RootGroupOfTheMachineHasNoFiles) {
  machine();
  put("/proc/self/cgroup", "0::/\n");
  put("/sys/fs/cgroup/cgroup.procs", "1\n");
  expect_machine();
}

// Inside a container with its own namespace the group is "/" and its files are at the top.
TEST_F(AvailableMemoryTest, V2Container) {
  machine();
  put("/proc/self/cgroup", "0::/\n");
  group2("", std::to_string(64 * kMebibyte), 4 * kMebibyte, 0);
  expect_group(60 * kMebibyte);
}

// Without its own namespace the name is the host's.
TEST_F(AvailableMemoryTest, V2ContainerWithTheNameOfTheHost) {
  machine();
  put("/proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
  group2("", std::to_string(64 * kMebibyte), 4 * kMebibyte, 0);
  expect_group(60 * kMebibyte);
}

TEST_F(AvailableMemoryTest, NameWithColons) {
  machine();
  put("/proc/self/cgroup", "0::/a:b/c:\n");
  group2("/a:b/c:", std::to_string(64 * kMebibyte), 0, 0);
  expect_group(64 * kMebibyte);
}

// ---- version 1

TEST_F(AvailableMemoryTest, V1Group) {
  machine();
  put("/proc/self/cgroup", "9:cpu,cpuacct:/x\n5:memory:/user\n1:name=systemd:/y\n0::/z\n");
  group1("/user", 100 * kMebibyte, 30 * kMebibyte, 10 * kMebibyte);
  expect_group(80 * kMebibyte);
}

TEST_F(AvailableMemoryTest, V1ControllerAmongOthers) {
  machine();
  for (const char* controllers : {"memory,cpu", "cpu,memory", "cpu,memory,pids"}) {
    put("/proc/self/cgroup", std::string("4:") + controllers + ":/user\n");
    group1("/user", 70 * kMebibyte, 0, 0);
    expect_group(70 * kMebibyte);
  }
}

TEST_F(AvailableMemoryTest, V1OtherControllersDoNotCount) {
  machine();
  put("/proc/self/cgroup", "4:cpu:/user\n5:xmemory:/user\n6:memoryx,hugetlb:/user\n");
  group1("/user", 70 * kMebibyte, 0, 0);
  expect_machine();
}

TEST_F(AvailableMemoryTest, V1GroupAboveAndTheTop) {
  machine();
  put("/proc/self/cgroup", "5:memory:/a/b\n");
  group1("/a/b", 500 * kMebibyte, 0, 0);
  group1("/a", 400 * kMebibyte, 100 * kMebibyte, 0);
  expect_group(300 * kMebibyte);
  group1("", 200 * kMebibyte, 100 * kMebibyte, 50 * kMebibyte);
  expect_group(150 * kMebibyte);
}

TEST_F(AvailableMemoryTest, V1NumberThatMeansNoLimit) {
  machine();
  put("/proc/self/cgroup", "5:memory:/a\n");
  group1("/a", 9223372036854771712u, 300 * kMebibyte, 0);
  expect_machine();
  // Nothing is known if the machine's memory is not known either.
  put("/proc/meminfo", "");
  EXPECT_EQ(look().bytes, UINT64_MAX);
}

// ---- files as they were found

// A group that had read a file of 130 MiB three times, so that most of it is active (Linux 6.18).
TEST_F(AvailableMemoryTest, V1ActiveCacheCanBeDropped) {
  machine();
  put("/proc/self/cgroup", "4:memory:/g\n");
  put("/sys/fs/cgroup/memory/g/memory.limit_in_bytes", "268435456\n");
  put("/sys/fs/cgroup/memory/g/memory.usage_in_bytes", "136577024\n");
  put("/sys/fs/cgroup/memory/g/memory.stat",
      "cache 136314880\nrss 0\nrss_huge 0\nshmem 0\nmapped_file 0\ndirty 0\nwriteback 0\n"
      "workingset_refault_anon 0\nworkingset_refault_file 0\nswap 0\nswapcached 0\npgpgin 672\n"
      "pgpgout 254\npgfault 521\npgmajfault 0\ninactive_anon 0\nactive_anon 0\ninactive_file 0\n"
      "active_file 136314880\nunevictable 0\nhierarchical_memory_limit 268435456\n"
      "hierarchical_memsw_limit 9223372036854771712\ntotal_cache 136314880\ntotal_rss 0\n"
      "total_rss_huge 0\ntotal_shmem 0\ntotal_mapped_file 0\ntotal_dirty 0\ntotal_writeback 0\n"
      "total_workingset_refault_anon 0\ntotal_workingset_refault_file 0\ntotal_swap 0\n"
      "total_swapcached 0\ntotal_pgpgin 672\ntotal_pgpgout 254\ntotal_pgfault 521\n"
      "total_pgmajfault 0\ntotal_inactive_anon 0\ntotal_active_anon 0\ntotal_inactive_file 0\n"
      "total_active_file 136314880\ntotal_unevictable 0\n");
  expect_group(256 * kMebibyte - 262144);
}

// The same group in a guest with the hierarchy of version 2 (Linux 6.1).
TEST_F(AvailableMemoryTest, V2ActiveCacheCanBeDropped) {
  machine();
  put("/proc/self/cgroup", "0::/g\n");
  put("/sys/fs/cgroup/g/memory.max", "268435456\n");
  put("/sys/fs/cgroup/g/memory.current", "137019392\n");
  put("/sys/fs/cgroup/g/memory.stat",
      "anon 0\nfile 136314880\nkernel 327680\nkernel_stack 0\npagetables 0\nsec_pagetables 0\n"
      "percpu 0\nsock 0\nvmalloc 0\nshmem 0\nfile_mapped 0\nfile_dirty 0\nfile_writeback 0\n"
      "swapcached 0\nanon_thp 0\nfile_thp 0\nshmem_thp 0\ninactive_anon 0\nactive_anon 0\n"
      "inactive_file 0\nactive_file 136314880\nunevictable 0\nslab_reclaimable 314880\n"
      "slab_unreclaimable 4048\nslab 318928\n");
  expect_group(256 * kMebibyte - 137019392 + 136314880);
}

// ---- odd figures

TEST_F(AvailableMemoryTest, MoreInUseThanAllowedLeavesNothing) {
  machine();
  put("/proc/self/cgroup", "0::/a\n");
  group2("/a", std::to_string(100 * kMebibyte), 200 * kMebibyte, kMebibyte);
  expect_group(0);
}

TEST_F(AvailableMemoryTest, MoreCacheThanInUseCountsAsNothingInUse) {
  machine();
  put("/proc/self/cgroup", "0::/a\n");
  group2("/a", std::to_string(100 * kMebibyte), 10 * kMebibyte, 20 * kMebibyte);
  expect_group(100 * kMebibyte);
}

TEST_F(AvailableMemoryTest, LimitOfZero) {
  machine();
  put("/proc/self/cgroup", "0::/a\n");
  group2("/a", "0", 0, 0);
  expect_group(0);
}

TEST_F(AvailableMemoryTest, LimitWithoutOtherFiles) {
  machine();
  put("/proc/self/cgroup", "0::/a\n");
  put("/sys/fs/cgroup/a/memory.max", std::to_string(10 * kMebibyte));
  expect_group(10 * kMebibyte);
}

TEST_F(AvailableMemoryTest, GroupWithoutMeminfo) {
  put("/proc/self/cgroup", "0::/a\n");
  group2("/a", std::to_string(10 * kMebibyte), 0, 0);
  expect_group(10 * kMebibyte);
}

TEST_F(AvailableMemoryTest, LinesThatAreNotGroups) {
  machine();
  put("/proc/self/cgroup", "\nrubbish\n0:\n:\n0::\n5:memory\n5:memory:\n");
  expect_machine();
}

TEST(AvailableMemoryHere, ThisSystemSaysSomethingPlausible) {
  if (!fs::exists("/proc/meminfo")) GTEST_SKIP() << "SKIP: no /proc/meminfo here";
  const AvailableMemory here = available_memory();
  EXPECT_LT(here.bytes, uint64_t{1} << 60);
  EXPECT_FALSE(here.limit.empty());
}

}  // namespace
}  // namespace ramdisk
