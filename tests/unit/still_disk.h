// The state of a compressing disk that has no threads: nothing happens to its pages except what the
// test does. For tests of the parts that work on DiskState.
//
// Thread contract: one thread.

#ifndef RAMDISK_UNIT_STILL_DISK_H
#define RAMDISK_UNIT_STILL_DISK_H

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "support/data.h"
#include "support/failing_memory.h"
#include "zstd/disk_state.h"

namespace ramdisk::unit {

inline AllocatorOptions zstd_options() {
  AllocatorOptions options;
  options.type = AllocatorType::zstd;
  return options;
}

// Memory that takes one step of the test's when it is next asked to make memory present: between
// the reading of pages and the publishing of what has been made of them, there may be no other
// place.
class SteppingMemory : public FailingMemory {
 public:
  std::function<void()> step;  // empty once it has been taken

  bool populate(void* base, size_t bytes) override {
    if (step) std::exchange(step, nullptr)();
    return FailingMemory::populate(base, bytes);
  }
};

class StillDisk : public testing::Test {
 protected:
  StillDisk() { EXPECT_GT(state_.pages.prepare(), 0u); }
  ~StillDisk() override { EXPECT_EQ(memory_.misuse(), ""); }

  // Compresses the page by itself, with the current dictionary, and publishes it.
  void write(uint64_t number, Bytes page) {
    PageStore::Buffer buffer;
    const PageStore::Packed packed = state_.pages.compress(view(page), buffer);
    const Epoch::Guard guard(state_.epoch);
    publish(number, state_.pages.store(number, packed, Claim::data, guard), guard);
    written_[number] = std::move(page);
  }

  // Publishes the page as it is.
  void write_plain(uint64_t number, Bytes page) {
    const Epoch::Guard guard(state_.epoch);
    publish(number, state_.pages.store_plain(view(page), Claim::data), guard);
    written_[number] = std::move(page);
  }

  // Overwrites a plain page in place, which does not change its entry.
  void overwrite_plain(uint64_t number, Bytes page) {
    ASSERT_EQ(entry(number).kind(), PageKind::plain);
    std::copy(page.begin(), page.end(), entry(number).page());
    written_[number] = std::move(page);
  }

  // Says what the page holds now, if a test has written it in another way.
  void note_written(uint64_t number, Bytes page) { written_[number] = std::move(page); }

  void write_text(uint64_t number) { write(number, make_data(kPageBytes, Data::text, rng_)); }

  PageEntry entry(uint64_t number) {
    const Epoch::Guard guard(state_.epoch);
    return PageEntry(PageTable::Cursor(state_.table, guard).peek(number));
  }

  // Expects that every page holds what was last written to it.
  void expect_written() {
    const Epoch::Guard guard(state_.epoch);
    PageStore::Reader reader(state_.pages, guard);
    for (const auto& [number, page] : written_) {
      Bytes now(kPageBytes);
      ASSERT_TRUE(reader.load(entry(number), PageStore::Page(now.data(), kPageBytes)).ok());
      ASSERT_EQ(first_difference(now, page, number * kPageBytes), "") << "page " << number;
    }
  }

  // Makes a new dictionary the current one.
  void install_dictionary() {
    auto dictionary = Dictionary::collect(make_data(300 * kPageBytes, Data::text, rng_), 3);
    ASSERT_TRUE(dictionary);
    ASSERT_TRUE(state_.pages.dictionaries().install(std::move(dictionary)));
  }

  SteppingMemory memory_;
  DiskState state_{
      {.memory = &memory_, .pace = {}, .trace_directories = {}}, uint64_t{1} << 30, zstd_options()};
  Rng rng_{61};

 private:
  static PageStore::Data view(const Bytes& page) {
    return PageStore::Data(page.data(), kPageBytes);
  }

  void publish(uint64_t number, PageEntry entry, const Epoch::Guard& guard) {
    ASSERT_NE(entry, PageEntry());
    PageTable::Slot slot = PageTable::Cursor(state_.table, guard).lock(number);
    ASSERT_TRUE(slot);
    state_.replace(slot, entry, guard);
  }

  std::map<uint64_t, Bytes> written_;
};

}  // namespace ramdisk::unit

#endif
