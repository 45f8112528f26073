// Dictionaries: generations are installed, used and freed, and none is freed while a user or reader
// may need it.

#include "zstd/dictionaries.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
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

// A thread has read the current generation but has not yet confirmed its reference when the
// generation is replaced, found without users, and freed.
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

// A sweep does not free a generation that gains a user while it is being replaced.
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

// ---- threads

// A page that a thread has compressed and published. Other threads read it and replace it.
struct Published {
  unsigned generation;
  Bytes data;
  uint64_t stream;  // of the generator, to make the page again for comparison
};

// Published pages that have been replaced, until no thread can be reading them.
class Garbage final : public Epoch::Reclaimer {
 public:
  explicit Garbage(Epoch& epoch) { epoch.add_reclaimer(this); }
  void add(size_t list, const Published* page) {
    const std::lock_guard lock(mutex_);
    lists_[list].emplace_back(page);
  }
  void reclaim(size_t index) noexcept override {
    const std::lock_guard lock(mutex_);
    lists_[index].clear();
  }

 private:
  std::mutex mutex_;
  std::array<std::vector<std::unique_ptr<const Published>>, Epoch::kEpochs> lists_;
};

// Some places at which threads publish pages, and the dictionaries that these use.
class SharedPages {
 public:
  Dictionaries& dictionaries() { return dictionaries_; }

  // Installs and frees dictionaries for as long as another thread publishes.
  void install_while(const std::atomic<int>& busy) {
    for (uint64_t n = 0; busy > 0; ++n) {
      auto dictionary = make_dictionary(n % 3);
      const Epoch::Guard guard(epoch_);
      dictionaries_.install(n % 7 == 6 ? nullptr : std::move(dictionary));
      dictionaries_.sweep(guard);
    }
  }

  // Compresses a page with the current dictionary, and publishes it in place of another one.
  void publish(Rng& rng, Compressor& compressor) {
    auto& place = places_.at(rng.below(places_.size()));
    const uint64_t stream = rng.below(100);
    const Bytes page = make_page(stream);
    const unsigned generation = dictionaries_.ref();
    Bytes data(kPageBytes);
    data.resize(compressor.compress(data, page, dictionaries_.get(generation)));
    ASSERT_FALSE(data.empty());
    const Epoch::Guard guard(epoch_);
    drop(place.exchange(new Published{generation, std::move(data), stream}), guard);
  }

  // Reads a page that any of the threads has published.
  void check(Rng& rng, Decompressor& decompressor) {
    auto& place = places_.at(rng.below(places_.size()));
    const Epoch::Guard guard(epoch_);
    const Published* published = place.load();
    if (!published) return;
    Bytes page(kPageBytes);
    ASSERT_TRUE(
        decompressor.decompress(page, published->data, dictionaries_.get(published->generation)));
    ASSERT_EQ(page, make_page(published->stream));
  }

  // Drops all pages and dictionaries.
  void clear() {
    {
      const Epoch::Guard guard(epoch_);
      for (auto& place : places_) drop(place.exchange(nullptr), guard);
      dictionaries_.install(nullptr);
      dictionaries_.sweep(guard);
    }
    epoch_.collect();
  }

 private:
  static Bytes make_page(uint64_t stream) {
    Rng rng(stream);
    return conformance::make_data(kPageBytes, Data::text, rng);
  }
  void drop(const Published* old, const Epoch::Guard& guard) {
    if (!old) return;
    dictionaries_.unref(old->generation);
    garbage_.add(epoch_.retire_list(guard), old);
  }

  Epoch epoch_;
  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Dictionaries dictionaries_{*memory_, epoch_};
  std::array<std::atomic<const Published*>, 32> places_{};
  Garbage garbage_{epoch_};
};

// A thread whose page did not compress is no user any more, and has no pin either. Only the count
// of users tells the thread that frees the dictionary that it has been read for the last time; the
// thread sanitizer reports it if that does not suffice.
TEST(DictionariesThreads, TheLastUseComesBeforeTheEnd) {
  Epoch epoch;
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  Dictionaries dictionaries(*memory, epoch);
  ASSERT_TRUE(dictionaries.install(make_dictionary(0)));
  const unsigned generation = dictionaries.ref();
  ASSERT_TRUE(dictionaries.install(nullptr));
  unit::run_threads(2, [&](int i) {
    if (i == 0) {
      Rng rng(7);
      const Bytes page = conformance::make_data(kPageBytes, Data::text, rng);
      Bytes data(kPageBytes);
      const auto compressor = Compressor::make(1, kPageBytes);
      EXPECT_GT(compressor->compress(data, page, dictionaries.get(generation)), 0u);
      dictionaries.unref(generation);
      return;
    }
    while (dictionaries.count() > 0) {
      {
        const Epoch::Guard guard(epoch);
        dictionaries.sweep(guard);
      }
      epoch.collect();
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(dictionaries.memory_bytes(), 0u);
}

// Four threads publish and read pages while a fifth replaces the dictionaries.
TEST(DictionariesThreads, PagesStayReadable) {
  SharedPages pages;
  std::atomic<int> busy{4};
  unit::run_threads(5, [&](int i) {
    if (i == 4) {
      pages.install_while(busy);
      return;
    }
    Rng rng(static_cast<uint64_t>(i) + 50);
    const auto compressor = Compressor::make(1, kPageBytes);
    const auto decompressor = Decompressor::make();
    for (int step = 0; step < scaled(20000) && !testing::Test::HasFailure(); ++step) {
      if (rng.chance(50)) {
        pages.publish(rng, *compressor);
      } else {
        pages.check(rng, *decompressor);
      }
    }
    --busy;
  });
  pages.clear();
  EXPECT_EQ(pages.dictionaries().memory_bytes(), 0u);
}

}  // namespace
}  // namespace ramdisk
