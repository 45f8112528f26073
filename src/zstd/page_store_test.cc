// PageStore: every kind of page can be stored and loaded, and dropping it frees its
// memory.

#include "zstd/page_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::make_data;
using conformance::Rng;

constexpr unsigned kGroup = StoredObject::kGroupPages;
constexpr uint8_t kAllPages = (1u << kGroup) - 1;

PageStore::Data view(const Bytes& page) {
  return PageStore::Data(page.data(), kPageBytes);
}

class PageStoreTest : public testing::Test {
 protected:
  PageStoreTest() { EXPECT_GT(pages_.prepare(), 0u); }
  ~PageStoreTest() override { EXPECT_EQ(memory_.misuse(), ""); }

  PageEntry store(uint64_t number, const Bytes& page) {
    PageStore::Buffer buffer;
    const PageStore::Packed packed = pages_.compress(view(page), buffer);
    const Epoch::Guard guard(epoch_);
    return pages_.store(number, packed, Claim::data, guard);
  }

  Bytes load(PageEntry entry) {
    const Epoch::Guard guard(epoch_);
    PageStore::Reader reader(pages_, guard);
    Bytes page(kPageBytes);
    EXPECT_TRUE(reader.load(entry, PageStore::Page(page.data(), kPageBytes)).ok());
    return page;
  }

  void drop(PageEntry entry) {
    const Epoch::Guard guard(epoch_);
    pages_.drop(entry, guard);
  }

  // Compresses the pages of a group together with the current dictionary, as the Recompressor does.
  PageEntry store_group(uint64_t first, const Bytes& pages) {
    Dictionaries& dictionaries = pages_.dictionaries();
    const unsigned generation = dictionaries.ref();
    const auto compressor = Compressor::make(6, pages.size());
    const Dictionary* dictionary = dictionaries.get(generation);
    EXPECT_TRUE(!dictionary || compressor->adopt(*dictionary));
    Bytes frame(pages.size());
    const size_t length = compressor->compress(frame, pages, nullptr);
    EXPECT_GT(length, 0u);
    const Epoch::Guard guard(epoch_);
    const PageStore::Group group{.first = first,
                                 .pages = kAllPages,
                                 .frame = std::span(frame).first(length),
                                 .single_bytes = length / 3,
                                 .generation = generation};
    const PageEntry entry = pages_.store_group(group, Claim::data, guard);
    dictionaries.unref(generation);
    return entry;
  }

  // Returns the page that a client's read has found to be hot.
  std::optional<uint64_t> read_by_client(PageEntry entry) {
    const Epoch::Guard guard(epoch_);
    PageStore::Reader reader(pages_, guard);
    PageStore::Buffer page;
    EXPECT_TRUE(reader.load_for_client(entry, page).ok());
    return reader.hot_page();
  }

  // Makes a new dictionary the current one, and frees those without users.
  void install() {
    {
      auto dictionary = Dictionary::collect(make_data(300 * kPageBytes, Data::text, rng_), 3);
      ASSERT_TRUE(dictionary);
      const Epoch::Guard guard(epoch_);
      ASSERT_TRUE(pages_.dictionaries().install(std::move(dictionary)));
      pages_.dictionaries().sweep(guard);
    }
    epoch_.collect();
  }

  conformance::FailingMemory memory_;
  Epoch epoch_;
  PageStore pages_{memory_, epoch_, 3, 2};
  Rng rng_{51};
};

TEST_F(PageStoreTest, EveryKindOfDataComesBack) {
  for (const Data kind : {Data::text, Data::random, Data::mixed}) {
    const Bytes page = make_data(kPageBytes, kind, rng_);
    const PageEntry entry = store(7, page);
    // A mixed page may happen to be mostly noise.
    if (kind != Data::mixed) {
      EXPECT_EQ(entry.kind(), kind == Data::random ? PageKind::plain : PageKind::compressed);
    }
    EXPECT_EQ(load(entry), page);
    drop(entry);
  }
  EXPECT_EQ(load(PageEntry()), Bytes(kPageBytes));
  EXPECT_EQ(pages_.segments().pages(), 0u);
}

TEST_F(PageStoreTest, PagesOfOneWord) {
  Bytes page(kPageBytes);
  for (const uint32_t pattern : {0u, 1u, 0xdeadbeefu}) {
    for (size_t i = 0; i < kPageBytes; i += 4) std::memcpy(page.data() + i, &pattern, 4);
    ASSERT_EQ(PageStore::pattern_of(view(page)), pattern);
    EXPECT_EQ(load(PageEntry::same_filled(pattern)), page);
    for (const size_t other : {size_t{0}, size_t{5}, size_t{2048}, kPageBytes - 1}) {
      Bytes changed = page;
      changed[other] ^= std::byte{1};
      EXPECT_EQ(PageStore::pattern_of(view(changed)), std::nullopt) << other;
    }
  }
}

// Noise is recognised after some pages of it, and nothing else is mistaken for it.
TEST_F(PageStoreTest, NoiseIsRecognised) {
  const auto share = [&](Data kind) {
    int found = 0;
    for (int i = 0; i < 100; ++i) {
      const Bytes page = make_data(kPageBytes, kind, rng_);
      if (pages_.looks_incompressible(view(page))) ++found;
    }
    return found;
  };
  EXPECT_EQ(share(Data::random), 0) << "nothing has been compressed yet";
  const auto compress = [&](Data kind) {
    const Bytes page = make_data(kPageBytes, kind, rng_);
    PageStore::Buffer buffer;
    const PageStore::Packed packed = pages_.compress(view(page), buffer);
    pages_.dictionaries().unref(packed.generation);
  };
  for (int i = 0; i < 4; ++i) compress(Data::random);
  EXPECT_GE(share(Data::random), 98);
  EXPECT_EQ(share(Data::text), 0);
  compress(Data::text);
  EXPECT_EQ(share(Data::random), 0);
}

// However many of them come together.
TEST_F(PageStoreTest, SomeNoiseIsTriedAllTheSame) {
  for (const size_t together : {size_t{1}, size_t{8}, size_t{64}}) {
    size_t tried = 0;
    size_t planned = 0;
    while (planned < 64 * 256) {
      for (size_t left = together; left > 0;) {
        const size_t kept = pages_.keep_untried(left);
        ASSERT_LE(kept, left);
        tried += kept == 0;
        left -= std::max(kept, size_t{1});
      }
      planned += together;
    }
    EXPECT_EQ(tried, 64u) << together;
  }
}

TEST_F(PageStoreTest, GroupsGoPageByPage) {
  const Bytes pages = make_data(kGroup * kPageBytes, Data::text, rng_);
  const PageEntry group = store_group(8, pages);
  ASSERT_EQ(group.kind(), PageKind::group);
  EXPECT_EQ(pages_.segments().pages(), kGroup);
  for (unsigned i = 0; i < kGroup; ++i) {
    const auto begin = pages.begin() + static_cast<ptrdiff_t>(i * kPageBytes);
    EXPECT_EQ(load(group.member(i)), Bytes(begin, begin + kPageBytes));
    drop(group.member(i));
    EXPECT_EQ(pages_.segments().pages(), kGroup - 1 - i);
  }
}

// Other groups are read between, so that each page has its group decompressed.
TEST_F(PageStoreTest, APageOfAGroupIsHotWhenItIsReadAgain) {
  const PageEntry group = store_group(kGroup, make_data(kGroup * kPageBytes, Data::text, rng_));
  const PageEntry other = store_group(0, make_data(kGroup * kPageBytes, Data::text, rng_));
  for (unsigned i = 0; i < kGroup; ++i) {
    EXPECT_EQ(read_by_client(group.member(i)), std::nullopt);
    EXPECT_EQ(read_by_client(other.member(i)), std::nullopt);
  }
  EXPECT_EQ(read_by_client(group.member(kGroup - 1)), uint64_t{2 * kGroup - 1});
}

// Whoever walks through a disk in small steps, again and again, makes no page hot, because its
// group has been decompressed only once for all of them.
TEST_F(PageStoreTest, PagesReadInARowAreNotHot) {
  const PageEntry group = store_group(kGroup, make_data(kGroup * kPageBytes, Data::text, rng_));
  const PageEntry other = store_group(0, make_data(kGroup * kPageBytes, Data::text, rng_));
  for (int pass = 0; pass < 3; ++pass) {
    for (const PageEntry entry : {group, other}) {
      for (unsigned i = 0; i < kGroup; ++i) {
        EXPECT_EQ(read_by_client(entry.member(i)), std::nullopt);
      }
    }
  }
}

// What the decompressor remembers of a group is not taken for a later one at the same address.
TEST_F(PageStoreTest, AGroupAtTheAddressOfAnotherIsReadAnew) {
  std::set<const StoredObject*> addresses;
  bool again = false;
  for (int i = 0; i < 1000 && !again; ++i) {
    const Bytes pages = make_data(kGroup * kPageBytes, Data::text, rng_);
    const PageEntry group = store_group(8, pages);
    again = !addresses.insert(group.stored()).second;
    ASSERT_EQ(load(group.member(1)),
              Bytes(pages.begin() + kPageBytes, pages.begin() + 2 * kPageBytes));
    for (unsigned page = 0; page < kGroup; ++page) drop(group.member(page));
    epoch_.collect();
  }
  EXPECT_TRUE(again) << "no address was used twice";
}

// Any two or more pages of a run may be a group.
TEST_F(PageStoreTest, GroupsOfSomePagesOfARun) {
  for (unsigned pages = 0; pages <= kAllPages; ++pages) {
    const auto count = static_cast<unsigned>(std::popcount(pages));
    if (count < 2) continue;
    const Bytes contents = make_data(count * kPageBytes, Data::text, rng_);
    PageStore::GroupBuffer frame;
    const PageStore::Group group =
        pages_.compress_group(8, static_cast<uint8_t>(pages), contents, frame);
    ASSERT_FALSE(group.frame.empty());
    const Epoch::Guard guard(epoch_);
    const PageEntry entry = pages_.store_group(group, Claim::data, guard);
    auto begin = contents.begin();
    for (unsigned i = 0; i < kGroup; ++i) {
      if (!(pages >> i & 1)) continue;
      ASSERT_EQ(load(entry.member(i)), Bytes(begin, begin + kPageBytes)) << pages << " " << i;
      pages_.drop(entry.member(i), guard);
      begin += kPageBytes;
    }
  }
  EXPECT_EQ(pages_.segments().pages(), 0u);
}

// Noise is refused, and what pages take by themselves is near what they would take.
TEST_F(PageStoreTest, AGroupKnowsWhatItsPagesTake) {
  const auto compress = [&](Data kind, PageStore::GroupBuffer& frame) {
    const Bytes contents = make_data(kGroup * kPageBytes, kind, rng_);
    return pages_.compress_group(0, kAllPages, contents,
                                 std::span(frame).first(PageStore::worthy_frame(contents.size())));
  };
  PageStore::GroupBuffer frame;
  EXPECT_TRUE(compress(Data::random, frame).frame.empty());
  for (int i = 0; i < 1000; ++i) compress(Data::text, frame);
  const size_t expected = compress(Data::text, frame).single_bytes;
  size_t single = 0;
  for (int i = 0; i < 100; ++i) {
    single += PageStore::footprint(store(1, make_data(kPageBytes, Data::text, rng_)));
  }
  EXPECT_GT(expected, single / 100 * 9 / 10);
  EXPECT_LT(expected, single / 100 * 11 / 10);
}

// Pages of a run may resemble each other, and the first may be unlike the others, so that together
// they take a small part of what they take by themselves.
TEST_F(PageStoreTest, AGroupKnowsWhatUnlikePagesTake) {
  PageStore::GroupBuffer frame;
  size_t expected = 0;
  for (int i = 0; i < 2000; ++i) {
    Bytes contents = make_data(kPageBytes, Data::text, rng_);
    const Bytes noise = make_data(kPageBytes, Data::random, rng_);
    while (contents.size() < kGroup * kPageBytes) {
      contents.insert(contents.end(), noise.begin(), noise.end());
    }
    expected = pages_.compress_group(0, kAllPages, contents, frame).single_bytes;
  }
  EXPECT_GT(expected, kPageBytes * 3 / 4);
}

TEST_F(PageStoreTest, NoMemoryIsAHole) {
  memory_.fail_from(0);
  EXPECT_EQ(store(1, make_data(kPageBytes, Data::text, rng_)), PageEntry());
  EXPECT_EQ(store(1, make_data(kPageBytes, Data::random, rng_)), PageEntry());
  memory_.allow();
  EXPECT_NE(store(1, make_data(kPageBytes, Data::text, rng_)), PageEntry());
}

// Each member of a group is a user of its dictionary, so the dictionary stays until the last member
// is dropped.
TEST_F(PageStoreTest, TheLastMemberOfAGroupHoldsItsDictionary) {
  install();
  const Bytes pages = make_data(kGroup * kPageBytes, Data::text, rng_);
  const PageEntry group = store_group(8, pages);
  const unsigned generation = group.generation();
  ASSERT_NE(generation, 0u);
  for (unsigned i = 0; i < kGroup; ++i) {
    install();
    const auto begin = pages.begin() + static_cast<ptrdiff_t>(i * kPageBytes);
    ASSERT_NE(pages_.dictionaries().get(generation), nullptr) << kGroup - i << " members are left";
    EXPECT_EQ(load(group.member(i)), Bytes(begin, begin + kPageBytes));
    drop(group.member(i));
  }
  install();
  EXPECT_EQ(pages_.dictionaries().get(generation), nullptr);
}

// The cleaner's copies replace all pages that used a dictionary, and keep it in use as the
// originals did.
TEST_F(PageStoreTest, CopiesHoldTheirDictionary) {
  install();
  const Bytes page = make_data(kPageBytes, Data::text, rng_);
  const Bytes pages = make_data(kGroup * kPageBytes, Data::text, rng_);
  std::vector<PageEntry> entries{store(3, page)};
  const PageEntry group = store_group(8, pages);
  for (unsigned i = 0; i < kGroup; ++i) entries.push_back(group.member(i));
  const unsigned generation = entries[0].generation();
  ASSERT_NE(generation, 0u);
  for (int round = 0; round < 3; ++round) {
    std::vector<PageEntry> copies;
    {
      const Epoch::Guard guard(epoch_);
      const StoredObject* object = pages_.segments().add_copy(*entries[0].stored(), guard);
      const StoredObject* moved =
          pages_.segments().add_copy(*entries[1].stored(), kGroup, 2000, guard);
      for (const PageEntry entry : entries) {
        copies.push_back(pages_.entry_for_copy(entry == entries[0] ? object : moved, entry));
        pages_.drop(entry, guard);
      }
    }
    entries = copies;
    install();
    ASSERT_NE(pages_.dictionaries().get(generation), nullptr) << "moved " << round + 1 << " times";
    EXPECT_EQ(load(entries[0]), page);
    for (unsigned i = 0; i < kGroup; ++i) {
      const auto begin = pages.begin() + static_cast<ptrdiff_t>(i * kPageBytes);
      EXPECT_EQ(load(entries[1 + i]), Bytes(begin, begin + kPageBytes));
    }
  }
  for (const PageEntry entry : entries) drop(entry);
  install();
  EXPECT_EQ(pages_.dictionaries().get(generation), nullptr);
}

// Pages compressed with an old dictionary stay readable and keep it in use.
TEST_F(PageStoreTest, GenerationsLiveAsLongAsTheirPages) {
  std::vector<std::pair<PageEntry, Bytes>> stored;
  for (int generation = 0; generation < 3; ++generation) {
    for (int i = 0; i < 20; ++i) {
      // Noise, which does not compress, must not make a context keep the old dictionary.
      store(0, make_data(kPageBytes, Data::random, rng_));
      Bytes page = make_data(kPageBytes, Data::text, rng_);
      const PageEntry entry = store(1, page);
      EXPECT_EQ(entry.generation(), static_cast<unsigned>(generation));
      stored.emplace_back(entry, std::move(page));
    }
    install();
  }
  const auto sweep = [&] {
    {
      const Epoch::Guard guard(epoch_);
      pages_.dictionaries().sweep(guard);
    }
    epoch_.collect();
  };
  sweep();
  for (const auto& [entry, page] : stored) EXPECT_EQ(load(entry), page);
  for (const auto& [entry, page] : stored) drop(entry);
  sweep();
  EXPECT_EQ(pages_.dictionaries().get(1), nullptr);
  EXPECT_EQ(pages_.dictionaries().get(2), nullptr);
}

}  // namespace
}  // namespace ramdisk
