// The life cycle of an allocator: construction, get_ready(), after_fork(), stop() and destruction,
// with and without requests in between, and with an early end.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/session.h"

namespace ramdisk::conformance {
namespace {

std::unique_ptr<Allocator> make(AllocatorType type, uint64_t bytes, MemorySource& memory) {
  AllocatorOptions options;
  options.type = type;
  Environment environment;
  environment.memory = &memory;
  auto made = make_allocator(options, bytes, environment);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made.value());
}

class LifeCycle : public testing::TestWithParam<AllocatorType> {
 protected:
  void TearDown() override {
    EXPECT_EQ(memory_.mapped_bytes(), 0u);
    EXPECT_EQ(memory_.misuse(), "");
  }

  FailingMemory memory_;
};

TEST_P(LifeCycle, EverySize) {
  std::vector<uint64_t> sizes = {
      0, 1, 511, 512, 4095, 4096, 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 123};
  if (has_holes(GetParam())) {
    for (const uint64_t size :
         {uint64_t{1} << 32, uint64_t{1} << 62, kLargestDisk - 1, kLargestDisk}) {
      sizes.push_back(size);
    }
  }
  for (const uint64_t bytes : sizes) {
    SCOPED_TRACE(bytes);
    Disk disk(GetParam(), bytes, memory_);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    EXPECT_FALSE(disk->describe().empty());
    if (has_holes(GetParam())) {
      EXPECT_EQ(disk->usage().stored_bytes, 0u);
    }
    if (bytes == 0) continue;
    ASSERT_TRUE(disk->write(Bytes(1, std::byte{7}), bytes - 1).ok());
    EXPECT_EQ(read_back(*disk, 1, bytes - 1), Bytes(1, std::byte{7}));
  }
}

TEST_P(LifeCycle, EndsEarly) {
  { auto disk = make(GetParam(), 1 << 20, memory_); }
  EXPECT_EQ(memory_.mapped_bytes(), 0u);
  {
    auto disk = make(GetParam(), 1 << 20, memory_);
    EXPECT_TRUE(disk->get_ready().ok());
  }
  EXPECT_EQ(memory_.mapped_bytes(), 0u);
  {
    auto disk = make(GetParam(), 1 << 20, memory_);
    EXPECT_TRUE(disk->get_ready().ok());
    EXPECT_TRUE(disk->after_fork().ok());
    disk->stop();
  }
}

TEST_P(LifeCycle, RequestsOfNoBytes) {
  for (const uint64_t bytes : {0, 4096}) {
    Disk disk(GetParam(), bytes, memory_);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    for (const uint64_t offset : {uint64_t{0}, bytes}) {
      EXPECT_TRUE(disk->read({}, offset).ok());
      EXPECT_TRUE(disk->write({}, offset).ok());
      EXPECT_TRUE(disk->zero(0, offset).ok());
      EXPECT_TRUE(extents_of(*disk, 0, offset).empty());
    }
    if (has_holes(GetParam())) {
      EXPECT_EQ(disk->usage().stored_bytes, 0u);
    }
  }
}

// The server goes to the background between get_ready and after_fork. What was allocated before has
// to work in the child, and in the parent, which merely exits.
TEST_P(LifeCycle, ServesInTheChildOfAFork) {
  constexpr uint64_t kBytes = 3 << 20;
  auto disk = make(GetParam(), kBytes, memory_);
  ASSERT_TRUE(disk->get_ready().ok());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bool good = disk->after_fork().ok();
    Rng rng(13);
    const Bytes data = make_data(kBytes, Data::mixed, rng);
    good = good && disk->write(data, 0).ok();
    Bytes got(kBytes);
    good = good && disk->read(got, 0).ok() && got == data && disk->zero(kBytes, 0).ok();
    disk->stop();
    _exit(good ? 0 : 1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
}

// Two disks in one process do not affect each other.
TEST_P(LifeCycle, TwoDisks) {
  constexpr uint64_t kBytes = 1 << 20;
  Disk first(GetParam(), kBytes, memory_);
  Disk second(GetParam(), kBytes, memory_);
  ASSERT_TRUE(first.works() && second.works());
  Rng rng(14);
  Session session(first, GetParam(), kBytes);
  session.write(make_data(kBytes, Data::text, rng), 0);
  EXPECT_TRUE(all_zero(read_back(*second, kBytes, 0)));
  second.stop();
  session.check_everything();
}

INSTANTIATE_TEST_SUITE_P(All, LifeCycle, testing::ValuesIn(all_allocators()), name_of_type);

bool names_a_number(const std::string& text, uint64_t number) {
  return text.find(std::to_string(number)) != std::string::npos;
}

// A disk for which there is no memory is refused, with a message, before the first client connects.
TEST(MallocLifeCycle, MoreThanThereIsFailsInGetReady) {
  FailingMemory memory;
  for (const uint64_t bytes : {uint64_t{1} << 62, kLargestDisk}) {
    auto disk = make(AllocatorType::malloc, bytes, memory);
    const Status status = disk->get_ready();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.errnum(), ENOMEM);
    EXPECT_NE(std::string(status.message()).find("malloc"), std::string::npos) << status.message();
    EXPECT_TRUE(names_a_number(status.message(), bytes)) << status.message();
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
}

TEST(MallocLifeCycle, MemoryThatIsRefusedFailsAtTheStart) {
  FailingMemory memory;
  constexpr uint64_t kBytes = (128 << 20) + 4096;  // populated in three pieces
  for (uint64_t nth = 0; nth < 10; ++nth) {
    memory.fail_once(nth);
    Disk disk(AllocatorType::malloc, kBytes, memory);
    if (memory.calls() <= nth) break;
    ASSERT_FALSE(disk.works()) << "the call " << nth << " failed and nobody noticed";
    EXPECT_EQ(disk.status().errnum(), ENOMEM);
    EXPECT_TRUE(names_a_number(disk.status().message(), kBytes)) << disk.status().message();
  }
  EXPECT_EQ(memory.failures(), 4u);
  EXPECT_EQ(memory.mapped_bytes(), 0u);
}

#ifdef RAMDISK_HAVE_ZSTD
// The lowest and the highest level of the library work like the default one.
TEST(ZstdLifeCycle, EveryKindOfLevel) {
  constexpr uint64_t kBytes = 200000;
  for (const char* level : {"-131072", "-5", "1", "3", "19", "22"}) {
    SCOPED_TRACE(level);
    auto options = parse_allocator(std::string("zstd,level=") + level);
    ASSERT_TRUE(options.ok()) << options.status().message();
    const auto memory = make_system_memory();
    Environment environment;
    environment.memory = memory.get();
    auto made = make_allocator(options.value(), kBytes, environment);
    ASSERT_TRUE(made.ok()) << made.status().message();
    Allocator& disk = *made.value();
    ASSERT_TRUE(disk.get_ready().ok());
    ASSERT_TRUE(disk.after_fork().ok());
    Rng rng(15);
    const Bytes data = make_data(kBytes, Data::text, rng);
    ASSERT_TRUE(disk.write(data, 0).ok());
    EXPECT_EQ(read_back(disk, kBytes, 0), data);
    disk.stop();
  }
}
#endif

}  // namespace
}  // namespace ramdisk::conformance
