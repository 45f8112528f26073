// Dictionaries: generations come, are used and go, and none goes while somebody may need it.

#include "zstd/dictionaries.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/page.h"
#include "support/data.h"
#include "support/threads.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::Rng;
using conformance::scaled;

std::unique_ptr<Dictionary> make_dictionary(uint64_t stream = 1) {
  Rng rng(stream);
  return Dictionary::train(conformance::make_data(300 * kPageBytes, Data::text, rng), 1);
}

class DictionariesTest : public testing::Test {
 protected:
  void install() {
    const Epoch::Guard guard(epoch_);
    EXPECT_TRUE(dictionaries_.install(make_dictionary()));
  }
  void sweep() {
    {
      const Epoch::Guard guard(epoch_);
      dictionaries_.sweep(guard);
    }
    epoch_.collect();
  }

  Epoch epoch_;
  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Dictionaries dictionaries_{*memory_, epoch_};
};

TEST_F(DictionariesTest, NoneAtFirst) {
  EXPECT_EQ(dictionaries_.ref(), 0u);
  EXPECT_EQ(dictionaries_.get(0), nullptr);
  EXPECT_EQ(dictionaries_.memory_bytes(), 0u);
  dictionaries_.unref(0);
  sweep();
}

TEST_F(DictionariesTest, OldOnesGoWithTheirLastUser) {
  install();
  const unsigned first = dictionaries_.ref();
  ASSERT_NE(first, 0u);
  dictionaries_.ref(first);
  const size_t bytes = dictionaries_.memory_bytes();
  EXPECT_GT(bytes, 0u);
  sweep();
  EXPECT_NE(dictionaries_.get(first), nullptr) << "it is the current one";
  install();
  EXPECT_NE(dictionaries_.current(), first);
  for (int users = 2; users > 0; --users) {
    sweep();
    EXPECT_NE(dictionaries_.get(first), nullptr) << users << " users";
    dictionaries_.unref(first);
  }
  std::optional<Epoch::Guard> reader(epoch_);
  sweep();
  EXPECT_NE(dictionaries_.get(first), nullptr) << "a reader may have the word of a page";
  reader.reset();
  sweep();
  EXPECT_EQ(dictionaries_.get(first), nullptr);
  EXPECT_LT(dictionaries_.memory_bytes(), 2 * bytes);
}

TEST_F(DictionariesTest, AllNumbersInUse) {
  std::vector<unsigned> joined;
  for (unsigned i = 1; i < Dictionaries::kGenerations; ++i) {
    install();
    joined.push_back(dictionaries_.ref());
  }
  const unsigned current = dictionaries_.current();
  {
    const Epoch::Guard guard(epoch_);
    EXPECT_FALSE(dictionaries_.install(make_dictionary()));
    EXPECT_EQ(dictionaries_.current(), current);
    EXPECT_TRUE(dictionaries_.install(nullptr));
  }
  EXPECT_EQ(dictionaries_.ref(), 0u);
  for (const unsigned generation : joined) dictionaries_.unref(generation);
  sweep();
  EXPECT_EQ(dictionaries_.memory_bytes(), 0u);
  install();
  EXPECT_NE(dictionaries_.ref(), 0u);
}

// While one is about to join, the generation that it has seen is replaced, found without users, and
// freed.
TEST_F(DictionariesTest, ReplacedWhileOneJoins) {
  NEEDS_YIELD_POINTS();
  for (const char* where :
       {"Dictionaries::ref, before it is counted", "Dictionaries::ref, counted"}) {
    install();
    bool replaced = false;
    const unit::AtYield at([&](std::string_view place) {
      if (replaced || place != where) return;
      replaced = true;
      install();
      sweep();
    });
    const unsigned generation = dictionaries_.ref();
    EXPECT_TRUE(replaced);
    EXPECT_EQ(generation, dictionaries_.current());
    sweep();
    EXPECT_NE(dictionaries_.get(generation), nullptr) << where;
    dictionaries_.unref(generation);
  }
}

// Nor does a sweep free what somebody joins at that moment.
TEST_F(DictionariesTest, JoinedWhileItIsReplaced) {
  NEEDS_YIELD_POINTS();
  install();
  std::optional<unsigned> joined;
  const unit::AtYield at([&](std::string_view place) {
    if (!joined && place == "Dictionaries::install, before it is current")
      joined = dictionaries_.ref();
  });
  install();
  sweep();
  ASSERT_TRUE(joined);
  EXPECT_NE(dictionaries_.current(), *joined);
  EXPECT_NE(dictionaries_.get(*joined), nullptr);
  dictionaries_.unref(*joined);
  sweep();
  EXPECT_EQ(dictionaries_.get(*joined), nullptr);
}

// Compresses with whatever is current, publishes, reads what others published, and drops it.
TEST(DictionariesThreads, PagesStayReadable) {
  Epoch epoch;
  const auto memory = make_system_memory();
  Dictionaries dictionaries(*memory, epoch);
  struct Packed {
    unsigned generation;
    Bytes data;
    uint64_t stream;
  };
  std::array<std::atomic<const Packed*>, 32> shared{};
  class Garbage final : public Epoch::Reclaimer {
   public:
    explicit Garbage(Epoch& epoch) { epoch.add_reclaimer(this); }
    void add(size_t list, const Packed* packed) {
      const std::lock_guard lock(mutex_);
      lists_[list].emplace_back(packed);
    }
    void reclaim(size_t index) noexcept override {
      const std::lock_guard lock(mutex_);
      lists_[index].clear();
    }

   private:
    std::mutex mutex_;
    std::array<std::vector<std::unique_ptr<const Packed>>, Epoch::kEpochs> lists_;
  } garbage(epoch);
  const auto drop = [&](const Packed* old, const Epoch::Guard& guard) {
    if (!old) return;
    dictionaries.unref(old->generation);
    garbage.add(epoch.retire_list(guard), old);
  };
  std::atomic<int> busy{4};
  unit::run_threads(5, [&](int i) {
    if (i == 4) {
      for (uint64_t n = 0; busy > 0; ++n) {
        auto dictionary = make_dictionary(n % 3);
        const Epoch::Guard guard(epoch);
        dictionaries.install(n % 7 == 6 ? nullptr : std::move(dictionary));
        dictionaries.sweep(guard);
      }
      return;
    }
    Rng rng(static_cast<uint64_t>(i) + 50);
    const auto compressor = Compressor::make(1, kPageBytes);
    const auto decompressor = Decompressor::make();
    for (int step = 0; step < scaled(20000) && !testing::Test::HasFailure(); ++step) {
      auto& place = shared.at(rng.below(shared.size()));
      if (rng.chance(50)) {
        const uint64_t stream = rng.below(100);
        Rng data_rng(stream);
        const Bytes page = conformance::make_data(kPageBytes, Data::text, data_rng);
        const unsigned generation = dictionaries.ref();
        Bytes data(kPageBytes);
        data.resize(compressor->compress(data, page, dictionaries.get(generation)));
        ASSERT_FALSE(data.empty());
        const Epoch::Guard guard(epoch);
        drop(place.exchange(new Packed{generation, std::move(data), stream}), guard);
      } else {
        const Epoch::Guard guard(epoch);
        const Packed* packed = place.load();
        if (!packed) continue;
        Bytes page(kPageBytes);
        ASSERT_TRUE(
            decompressor->decompress(page, packed->data, dictionaries.get(packed->generation)));
        Rng data_rng(packed->stream);
        ASSERT_EQ(page, conformance::make_data(kPageBytes, Data::text, data_rng));
      }
    }
    --busy;
  });
  {
    const Epoch::Guard guard(epoch);
    for (auto& place : shared) drop(place.exchange(nullptr), guard);
    dictionaries.install(nullptr);
    dictionaries.sweep(guard);
  }
  epoch.collect();
  EXPECT_EQ(dictionaries.memory_bytes(), 0u);
}

}  // namespace
}  // namespace ramdisk
