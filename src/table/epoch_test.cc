// Epoch on one thread: what is freed when, against a model of which pins there were.
//
// Pins of one thread may overlap in any order, so one thread can stand for many.

#include "table/epoch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <semaphore>
#include <set>
#include <thread>
#include <vector>

#include "support/data.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

// Retires numbers and records those that were freed, in order.
class Numbers final : public Epoch::Reclaimer {
 public:
  explicit Numbers(Epoch& epoch) : epoch_(epoch) { epoch.add_reclaimer(this); }

  void retire(int number, const Epoch::Guard& guard) {
    const size_t list = epoch_.retire_list(guard);
    ASSERT_LT(list, Epoch::kEpochs);
    const std::lock_guard lock(mutex_);
    retired_[list].push_back(number);
  }

  void reclaim(size_t index) noexcept override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    freed_.insert(freed_.end(), retired_[index].begin(), retired_[index].end());
    retired_[index].clear();
  }

  std::vector<int> freed() const {
    const std::lock_guard lock(mutex_);
    return freed_;
  }
  int calls() const { return calls_; }

 private:
  Epoch& epoch_;
  mutable std::mutex mutex_;
  std::array<std::vector<int>, Epoch::kEpochs> retired_;
  std::vector<int> freed_;
  int calls_ = 0;
};

using List = std::vector<int>;

TEST(Epoch, FreesWhenTheOnlyPinEnds) {
  Epoch epoch;
  Numbers numbers(epoch);
  for (int i = 0; i < 10; ++i) {
    {
      const Epoch::Guard guard(epoch);
      numbers.retire(i, guard);
      epoch.collect();
      EXPECT_EQ(numbers.freed().size(), static_cast<size_t>(i)) << "freed under its own pin";
    }
    EXPECT_EQ(numbers.freed().size(), static_cast<size_t>(i) + 1);
  }
}

TEST(Epoch, KeepsWhatAReaderMaySee) {
  Epoch epoch;
  Numbers numbers(epoch);
  std::optional<Epoch::Guard> reader(std::in_place, epoch);
  for (int i = 0; i < 5; ++i) {
    const Epoch::Guard guard(epoch);
    numbers.retire(i, guard);
  }
  for (int i = 0; i < 10; ++i) epoch.collect();
  EXPECT_EQ(numbers.freed(), List());
  reader.reset();
  EXPECT_EQ(numbers.freed(), (List{0, 1, 2, 3, 4}));
}

TEST(Epoch, InnerPinThatEndsKeepsTheOuterOne) {
  Epoch epoch;
  Numbers numbers(epoch);
  {
    const Epoch::Guard outer(epoch);
    {
      const Epoch::Guard inner(epoch);
      const Epoch::Guard innermost(epoch);
      numbers.retire(1, innermost);
    }
    EXPECT_EQ(numbers.freed(), List());
    numbers.retire(2, outer);
    { const Epoch::Guard inner(epoch); }
    EXPECT_EQ(numbers.freed(), List());
  }
  EXPECT_EQ(numbers.freed().size(), 2u);
}

// Readers that follow one another without a gap must not keep garbage forever.
TEST(Epoch, OverlappingReadersDoNotKeepGarbage) {
  Epoch epoch;
  Numbers numbers(epoch);
  auto reader = std::make_unique<Epoch::Guard>(epoch);
  numbers.retire(1, *reader);
  for (int i = 0; i < 3; ++i) {
    auto next = std::make_unique<Epoch::Guard>(epoch);
    reader.reset();
    reader = std::make_unique<Epoch::Guard>(epoch);
    next.reset();
  }
  EXPECT_EQ(numbers.freed(), List{1});
}

TEST(Epoch, AsksNobodyWhenThereIsNoGarbage) {
  Epoch epoch;
  Numbers numbers(epoch);
  for (int i = 0; i < 100; ++i) {
    const Epoch::Guard guard(epoch);
    epoch.collect();
  }
  EXPECT_EQ(numbers.calls(), 0);
}

TEST(Epoch, EveryReclaimerIsAsked) {
  Epoch epoch;
  Numbers first(epoch), second(epoch), third(epoch);
  {
    const Epoch::Guard guard(epoch);
    first.retire(1, guard);
    third.retire(3, guard);
  }
  EXPECT_EQ(first.freed(), List{1});
  EXPECT_EQ(second.freed(), List());
  EXPECT_EQ(third.freed(), List{3});
}

// The model: a number may be freed once every pin that existed when it was retired has ended. It
// must be freed once every pin that existed at that later moment has ended, too (unless one step
// ran in the middle of another).
class Model {
 public:
  explicit Model(uint64_t stream) : rng_(stream) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
    end();
  }

  // Runs steps in the middle of others, and in the middle of those.
  void run_interleaved(int steps) {
    interleaved_ = true;
    {
      const unit::AtYield at(
          [this](std::string_view) {
            if (rng_.chance(10)) step();
          },
          3);
      for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
    }
    end();
  }

 private:
  struct Item {
    std::set<int> waits_for;
    bool old_pins_ended = false;
  };

  void step() {
    const uint64_t choice = rng_.below(100);
    if (choice < 40 && pins_.size() < 6) {
      pin();
    } else if (choice < 80 && !pins_.empty()) {
      unpin(std::next(pins_.begin(), static_cast<int>(rng_.below(pins_.size())))->first);
    } else {
      auto guard = std::make_unique<Epoch::Guard>(epoch_);
      const int id = next_pin_++;
      own_.insert(id);
      retire(*guard);
      own_.erase(id);
      unpin(id, std::move(guard));
    }
  }

  void end() {
    while (!pins_.empty()) unpin(pins_.begin()->first);
    check();
    EXPECT_EQ(numbers_.freed().size(), static_cast<size_t>(next_number_));
  }

  void pin() {
    auto guard = std::make_unique<Epoch::Guard>(epoch_);
    pins_.emplace(next_pin_++, std::move(guard));
  }

  std::set<int> pinned() const {
    std::set<int> ids = own_;
    for (const auto& [id, guard] : pins_) ids.insert(id);
    return ids;
  }

  void retire(const Epoch::Guard& guard) {
    items_[next_number_].waits_for = pinned();
    numbers_.retire(next_number_++, guard);
  }

  void unpin(int id) {
    auto guard = std::move(pins_.at(id));
    pins_.erase(id);
    unpin(id, std::move(guard));
  }

  void unpin(int id, std::unique_ptr<Epoch::Guard> guard) {
    for (auto& [number, item] : items_) {
      item.waits_for.erase(id);
      if (item.waits_for.empty() && !item.old_pins_ended) {
        item.old_pins_ended = true;
        item.waits_for = pinned();
      }
    }
    guard.reset();
    check();
  }

  void check() {
    const List freed = numbers_.freed();
    for (; checked_ < freed.size(); ++checked_) {
      const auto item = items_.find(freed[checked_]);
      ASSERT_NE(item, items_.end()) << freed[checked_] << " was freed twice";
      ASSERT_TRUE(item->second.old_pins_ended) << freed[checked_] << " was freed too early";
      items_.erase(item);
    }
    for (const auto& [number, item] : items_) {
      if (interleaved_) break;
      ASSERT_FALSE(item.old_pins_ended && item.waits_for.empty()) << number << " is kept";
    }
  }

  Rng rng_;
  bool interleaved_ = false;
  Epoch epoch_;
  Numbers numbers_{epoch_};
  std::map<int, std::unique_ptr<Epoch::Guard>> pins_;
  std::set<int> own_;          // pins of steps that retire something
  std::map<int, Item> items_;  // retired and not seen freed
  size_t checked_ = 0;         // how many of the freed numbers
  int next_pin_ = 0;
  int next_number_ = 0;
};

TEST(Epoch, RandomPinsAgainstTheModel) {
  for (uint64_t stream = 1; stream <= 10; ++stream) {
    SCOPED_TRACE("stream " + std::to_string(stream));
    Model(stream).run(scaled(2000));
  }
}

TEST(Epoch, RandomPinsInTheMiddleOfOthers) {
  NEEDS_YIELD_POINTS();
  for (uint64_t stream = 1; stream <= 10; ++stream) {
    SCOPED_TRACE("stream " + std::to_string(stream));
    Model(stream).run_interleaved(scaled(2000));
  }
}

// The epoch advances between the moment a pin reads it and the moment the pin is counted. The pin
// has to notice, or it would be counted where nobody looks.
TEST(Epoch, APinThatIsLateCounts) {
  NEEDS_YIELD_POINTS();
  Epoch epoch;
  Numbers numbers(epoch);
  bool late = false;
  const unit::AtYield at([&](std::string_view place) {
    if (late || place != "Epoch::enter, before it is counted") return;
    late = true;
    const Epoch::Guard guard(epoch);
    numbers.retire(1, guard);
  });
  std::optional<Epoch::Guard> reader(std::in_place, epoch);
  ASSERT_EQ(numbers.freed(), List{1}) << "which takes two steps of the epoch";
  {
    const Epoch::Guard writer(epoch);
    numbers.retire(2, writer);
  }
  EXPECT_EQ(numbers.freed(), List{1}) << "2 was freed while someone who may see it is pinned";
  reader.reset();
  EXPECT_EQ(numbers.freed(), (List{1, 2}));
}

// A pin ends after a collector has seen it and before the collector has stopped: the collector has
// to look again, because nobody else will.
TEST(Epoch, APinThatEndsBesideACollectorFrees) {
  NEEDS_YIELD_POINTS();
  Epoch epoch;
  Numbers numbers(epoch);
  std::optional<Epoch::Guard> reader(std::in_place, epoch);
  std::optional<Epoch::Guard> writer(std::in_place, epoch);
  numbers.retire(1, *writer);
  {
    const unit::AtYield at([&](std::string_view place) {
      if (place == "Epoch::collect, about to stop") reader.reset();
    });
    writer.reset();
  }
  ASSERT_FALSE(reader);
  EXPECT_EQ(numbers.freed(), List{1});
}

// The two threads take turns, so the order of all events is known.
TEST(Epoch, TheLastThreadToLetGoFrees) {
  Epoch epoch;
  Numbers numbers(epoch);
  std::binary_semaphore pinned(0), let_go(0);
  auto mine = std::make_unique<Epoch::Guard>(epoch);
  std::thread reader([&] {
    const Epoch::Guard guard(epoch);
    pinned.release();
    let_go.acquire();
  });
  pinned.acquire();
  numbers.retire(7, *mine);
  mine.reset();
  EXPECT_EQ(numbers.freed(), List());
  let_go.release();
  reader.join();
  EXPECT_EQ(numbers.freed(), List{7});
}

// More threads are pinned at once than there are cells to count them in: nothing is freed before
// the last one has let go.
TEST(Epoch, FortyThreadsPinnedAtOnce) {
  constexpr int kThreads = 40;  // more than there are cells
  Epoch epoch;
  Numbers numbers(epoch);
  std::counting_semaphore<> pinned(0), let_go(0), gone(0);
  std::vector<std::thread> readers;
  for (int i = 0; i < kThreads; ++i) {
    readers.emplace_back([&] {
      {
        const Epoch::Guard guard(epoch);
        pinned.release();
        let_go.acquire();
      }
      gone.release();
    });
  }
  for (int i = 0; i < kThreads; ++i) pinned.acquire();
  {
    const Epoch::Guard guard(epoch);
    numbers.retire(1, guard);
  }
  for (int i = 0; i < kThreads; ++i) {
    EXPECT_EQ(numbers.freed(), List()) << i << " of " << kThreads << " have let go";
    let_go.release();
    gone.acquire();
  }
  EXPECT_EQ(numbers.freed(), List{1});
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace ramdisk
