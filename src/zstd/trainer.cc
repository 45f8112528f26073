#include "zstd/trainer.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "zstd/page_group.h"

namespace ramdisk {

void Trainer::watch(PageStore::Totals totals) {
  constexpr uint64_t kWindow = 2048;  // pages
  constexpr double kMuchMore = 1.15;
  const uint64_t packed = totals.pages - last_totals_.pages;
  if (packed < kWindow) return;
  const double bytes =
      static_cast<double>(totals.bytes - last_totals_.bytes) / static_cast<double>(packed);
  last_totals_ = totals;
  if (!usual_bytes_) usual_bytes_ = bytes;
  data_changed_ = bytes > kMuchMore * *usual_bytes_;
}

bool Trainer::train_if_due(uint32_t now, Occasion occasion) {
  constexpr uint32_t kPatience = 30;  // ticks
  if (!due() || failed_ == now) return false;
  const bool first = !last_training_;
  if (first && occasion != Occasion::regrouping && state_.pages.totals().pages < kFirstTraining) {
    return false;  // hardly anything would be compressed with it
  }
  if (!first && occasion != Occasion::idle && now - *last_training_ < kPatience) return false;
  if (!state_.pages.dictionaries().has_free_generation()) {
    request_renewal(now);
    return false;
  }
  const bool quick = first && occasion == Occasion::busy;
  bool enough = false;
  try {
    enough = train(quick);
  } catch (const std::bad_alloc&) {
    failed_ = now;  // try again at the next tick
    return false;
  }
  if (!enough) {
    // Most of the samples have been overwritten or trimmed; later ones may be there.
    next_training_ = state_.samples.added() + kLeastPages;
    data_changed_ = false;
    return false;
  }
  last_training_ = now;
  next_training_ = kSecondTraining;
  if (!quick) {
    next_training_ = std::max(next_training_, state_.samples.added() * state_.pace.training_growth);
  }
  data_changed_ = false;
  usual_bytes_.reset();
  return true;
}

// Installs the new dictionary if it makes pages that it was not trained on smaller. Returns whether
// there were enough samples.
bool Trainer::train(bool quick) {
  const Samples samples = take_samples();
  if (samples.training.size() < kLeastPages * kPageBytes) return false;
  const int level = state_.options.level;
  std::unique_ptr<Dictionary> dictionary = quick ? Dictionary::collect(samples.training, level)
                                                 : Dictionary::train(samples.training, level);
  if (dictionary && gains(*dictionary, samples.validation)) {
    state_.pages.dictionaries().install(std::move(dictionary));
  }
  return true;
}

// Each page is read under its own pin, so that the epoch is not held up.
Trainer::Samples Trainer::take_samples() {
  constexpr size_t kValidateOneIn = 8;
  Samples samples;
  const size_t count = state_.samples.size();
  samples.training.reserve(count * kPageBytes);
  for (size_t i = 0; i < count; ++i) {
    const Epoch::Guard guard(state_.epoch);
    const PageEntry entry(PageTable::Cursor(state_.table, guard).peek(state_.samples[i]));
    if (!entry.in_segment()) continue;
    PageStore::Buffer page;
    PageStore::Reader reader(state_.pages, guard);
    if (!reader.load(entry, page).ok()) continue;
    auto& pages = i % kValidateOneIn == 0 ? samples.validation : samples.training;
    pages.insert(pages.end(), page.begin(), page.end());
  }
  return samples;
}

// Whether `dictionary` makes the pages smaller than the current dictionary does, by more than one
// byte in 200.
bool Trainer::gains(const Dictionary& dictionary, std::span<const std::byte> pages) {
  constexpr size_t kLeastGain = 200;
  Dictionaries& dictionaries = state_.pages.dictionaries();
  const unsigned generation = dictionaries.ref();
  size_t with = 0;
  size_t without = 0;
  for (size_t at = 0; at < pages.size(); at += kPageBytes) {
    const PageStore::Data page(pages.data() + at, kPageBytes);
    with += state_.pages.packed_bytes(page, &dictionary);
    without += state_.pages.packed_bytes(page, dictionaries.get(generation));
  }
  dictionaries.unref(generation);
  return with + without / kLeastGain < without;
}

// ---- renewal

// Starts at most one renewal in a tick.
void Trainer::request_renewal(uint32_t now) {
  if (!renewing() && now != last_renewal_) renewal_page_ = 0;
  last_renewal_ = now;
}

Trainer::Renewal Trainer::renew_some() {
  const Epoch::Guard guard(state_.epoch);
  PageStore::Reader reader(state_.pages, guard);
  PageTable::Cursor cursor(state_.table, guard);
  const unsigned current = state_.pages.dictionaries().current();
  Found found;
  for (const uint64_t number : find_old(found, guard)) {
    const PageEntry entry(cursor.peek(number));
    if (!entry.in_segment() || entry.generation() == current) continue;
    if (store_by_itself(state_, number, entry, reader, cursor, Claim::data, guard) ==
        SegmentStore::Moved::no_memory) {
      renewal_page_ = PageTable::no_page;
      return Renewal::no_memory;
    }
  }
  return renewing() ? Renewal::more : Renewal::done;
}

// Looks at the next pages, advances renewal_page_ past them, and returns the pages that use old
// dictionaries.
std::span<const uint64_t> Trainer::find_old(Found& found, const Epoch::Guard& guard) {
  constexpr uint64_t kPages = 4096;  // to look at in one step
  const unsigned current = state_.pages.dictionaries().current();
  size_t count = 0;
  uint64_t looked = 0;
  uint64_t next = PageTable::no_page;
  state_.table.look(renewal_page_, PageTable::no_page, guard, [&](uint64_t page, uint64_t payload) {
    const PageEntry entry(payload);
    if (entry.in_segment() && entry.generation() != 0 && entry.generation() != current) {
      found[count++] = page;
    }
    if (count < found.size() && ++looked < kPages) return true;
    next = page + 1;
    return false;
  });
  renewal_page_ = next;
  return std::span(found).first(count);
}

}  // namespace ramdisk
