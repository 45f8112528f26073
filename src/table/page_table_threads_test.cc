// PageTable on many threads: locks exclude, sleepers wake, and pages that are set while their
// directory is being removed are not lost.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/data.h"
#include "support/threads.h"
#include "table/page_table.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

constexpr uint64_t kLargestDisk = INT64_MAX;

struct Table {
  explicit Table(uint64_t disk_bytes = kLargestDisk)
      : pages(*memory, epoch, disk_bytes, [this](const std::string& line) {
          line.find("made") != std::string::npos ? ++made : ++freed;
        }) {}

  std::map<uint64_t, uint64_t> content() {
    const Epoch::Guard guard(epoch);
    std::map<uint64_t, uint64_t> all;
    pages.scan(0, uint64_t{1} << 51, guard, [&](uint64_t page, uint64_t payload) {
      all[page] = payload;
      return true;
    });
    return all;
  }

  const std::unique_ptr<MemorySource> memory = make_system_memory();
  Epoch epoch;
  std::atomic<int> made{0}, freed{0};
  PageTable pages;
};

// Only the pages' locks protect the counters. A thread that holds one for long makes the others
// sleep; if one is not woken this test never ends.
void count(int threads, uint64_t pages, int rounds) {
  SCOPED_TRACE(std::to_string(threads) + " threads on " + std::to_string(pages) + " pages");
  Table table;
  std::vector<uint64_t> counters(pages);
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int round = 0; round < rounds; ++round) {
      const Epoch::Guard guard(table.epoch);
      PageTable::Cursor cursor(table.pages, guard);
      const uint64_t index = rng.below(pages);
      PageTable::Slot slot = cursor.lock(index * 100);
      ASSERT_TRUE(slot);
      ASSERT_EQ(slot.payload(), counters[index] * 8);
      ++counters[index];
      if (rng.chance(3)) std::this_thread::yield();
      if (rng.chance(1)) std::this_thread::sleep_for(std::chrono::microseconds(20));
      slot.unlock(counters[index] * 8);
    }
  });
  uint64_t sum = 0;
  for (const uint64_t counter : counters) sum += counter;
  EXPECT_EQ(sum, static_cast<uint64_t>(threads) * static_cast<uint64_t>(rounds));
}

TEST(PageTableThreads, WritersOfOnePageExcludeEachOther) {
  count(1, 1, scaled(10000));
  count(2, 1, scaled(10000));
  count(16, 1, scaled(1500));
  count(8, 10, scaled(4000));
}

// One thread sleeps a long time with the lock, and all others wait for it; each is woken in the
// end.
TEST(PageTableThreads, EverySleeperIsWoken) {
  constexpr int kThreads = 12;
  for (int round = 0; round < scaled(40); ++round) {
    Table table;
    std::atomic<int> waiting{0};
    uint64_t counter = 0;
    unit::run_threads(kThreads, [&](int) {
      const Epoch::Guard guard(table.epoch);
      PageTable::Cursor cursor(table.pages, guard);
      ++waiting;
      PageTable::Slot slot = cursor.lock(7);
      if (counter++ == 0) {
        while (waiting < kThreads) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    });
    ASSERT_EQ(counter, static_cast<uint64_t>(kThreads));
  }
}

TEST(PageTableThreads, TryLockNeverEntersALockedPage) {
  Table table;
  const Epoch::Guard outer(table.epoch);
  PageTable::Cursor(table.pages, outer).lock(1).unlock(8);
  uint64_t counter = 0;
  std::atomic<uint64_t> entered{0};
  unit::run_threads(4, [&](int i) {
    const Epoch::Guard guard(table.epoch);
    PageTable::Cursor cursor(table.pages, guard);
    for (int round = 0; round < scaled(20000); ++round) {
      PageTable::Slot slot = i == 0 ? cursor.lock(1) : cursor.try_lock(1, 8);
      if (!slot) continue;
      ++counter;
      ++entered;
    }
  });
  EXPECT_EQ(counter, entered.load());
  EXPECT_GE(counter, static_cast<uint64_t>(scaled(20000)));
}

// A worker sets and clears pages of its own in directories that it shares with others. There are
// few pages, so directories are made and removed all the time.
class Worker {
 public:
  Worker(Table& table, int number, int workers)
      : table_(table),
        number_(static_cast<uint64_t>(number)),
        workers_(static_cast<uint64_t>(workers)),
        rng_(number_ + 1) {}

  void step() {
    const Epoch::Guard guard(table_.epoch);
    PageTable::Cursor cursor(table_.pages, guard);
    const uint64_t page = rng_.below(3) * 256 + rng_.below(256 / workers_) * workers_ + number_;
    if (mine_.size() < 3 || rng_.chance(50)) {
      PageTable::Slot slot = cursor.lock(page);
      ASSERT_TRUE(slot);
      ASSERT_EQ(slot.payload(), mine_.contains(page) ? mine_[page] : 0) << "lost " << page;
      mine_[page] = next_payload_ += 8;
      slot.unlock(mine_[page]);
    } else {
      const uint64_t first = rng_.chance(50) ? 0 : page;
      const uint64_t end = rng_.chance(50) ? 768 : page + 1;
      clear(first, end, guard);
    }
    check(guard);
  }

  // Turns the worker's own pages into holes.
  void clear(uint64_t first, uint64_t end, const Epoch::Guard& guard) {
    std::map<uint64_t, uint64_t> seen;
    const Status status = table_.pages.change(first, end, guard, [&](PageTable::Slot& slot) {
      if (slot.page() % 256 % workers_ != number_) return Status();
      seen[slot.page()] = slot.payload();
      slot.unlock(0);
      return Status();
    });
    ASSERT_TRUE(status.ok());
    for (auto it = mine_.begin(); it != mine_.end();) {
      const bool inside = it->first >= first && it->first < end;
      if (inside) {
        ASSERT_EQ(seen[it->first], it->second) << "lost " << it->first;
      }
      it = inside ? mine_.erase(it) : std::next(it);
    }
  }

  const std::map<uint64_t, uint64_t>& mine() const { return mine_; }

 private:
  void check(const Epoch::Guard& guard) {
    std::map<uint64_t, uint64_t> seen;
    table_.pages.scan(0, 768, guard, [&](uint64_t page, uint64_t payload) {
      if (page % 256 % workers_ == number_) seen[page] = payload;
      return true;
    });
    ASSERT_EQ(seen, mine_);
  }

  Table& table_;
  const uint64_t number_, workers_;
  Rng rng_;
  uint64_t next_payload_ = 0;
  std::map<uint64_t, uint64_t> mine_;
};

void come_and_go(int threads, int steps) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  Table table;
  std::mutex mutex;
  std::map<uint64_t, uint64_t> expected;
  unit::run_threads(threads, [&](int i) {
    Worker worker(table, i, threads);
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) worker.step();
    const std::lock_guard lock(mutex);
    expected.insert(worker.mine().begin(), worker.mine().end());
  });
  EXPECT_EQ(table.content(), expected);
  {
    const Epoch::Guard guard(table.epoch);
    const Status status = table.pages.change(0, 768, guard, [](PageTable::Slot& slot) {
      slot.unlock(0);
      return Status();
    });
    EXPECT_TRUE(status.ok());
  }
  EXPECT_GT(table.freed.load(), 1) << "no directory was removed: nothing was tested";
  EXPECT_EQ(table.made.load(), table.freed.load());
}

TEST(PageTableThreads, InsertionAndRemovalLoseNothing) {
  come_and_go(1, scaled(20000));
  come_and_go(2, scaled(20000));
  come_and_go(8, scaled(4000));
}

// All threads write and clear the same pages. Every payload is a ticket that the thread which
// unlinks it hands in, and each is handed in once.
void tickets(int threads, int steps) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  Table table;
  std::vector<std::atomic<int>> linked(static_cast<size_t>(threads * steps) + 1);
  const auto unlink = [&](uint64_t payload) {
    EXPECT_EQ(payload == 0 ? 1 : linked[payload / 8]--, 1);
  };
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      const Epoch::Guard guard(table.epoch);
      const uint64_t page = rng.pick(std::array{0, 1, 255, 256, 257});
      if (rng.chance(50)) {
        const auto ticket = static_cast<uint64_t>(i * steps + step) + 1;
        PageTable::Cursor cursor(table.pages, guard);
        PageTable::Slot slot = cursor.lock(page);
        ASSERT_TRUE(slot);
        ++linked[ticket];
        const uint64_t old = slot.payload();
        slot.unlock(ticket * 8);
        unlink(old);
      } else {
        const Status status = table.pages.change(page, 300, guard, [&](PageTable::Slot& slot) {
          const uint64_t old = slot.payload();
          slot.unlock(0);
          unlink(old);
          return Status();
        });
        ASSERT_TRUE(status.ok());
      }
    }
  });
  for (const auto& [page, payload] : table.content()) unlink(payload);
  for (const std::atomic<int>& ticket : linked) ASSERT_EQ(ticket.load(), 0);
}

TEST(PageTableThreads, EachPayloadIsUnlinkedOnce) {
  tickets(1, scaled(50000));
  tickets(2, scaled(50000));
  tickets(8, scaled(10000));
}

}  // namespace
}  // namespace ramdisk
