// Dictionaries of a compressing disk: when a new one is made, from what, and whether it is taken.

#include <new>
#include <vector>

#include "alloc/zstd_allocator.h"

namespace ramdisk {

// Data that compresses much less well than it did when the dictionary was new wants another one.
void ZstdAllocator::watch_data(PackedPages::Totals totals) {
  constexpr uint64_t kWindow = 2048;
  Maintenance& m = maintenance_;
  const uint64_t packed = totals.pages - m.last_totals.pages;
  if (packed < kWindow) return;
  const double bytes =
      static_cast<double>(totals.bytes - m.last_totals.bytes) / static_cast<double>(packed);
  m.last_totals = totals;
  if (m.usual_bytes == 0) m.usual_bytes = bytes;
  m.data_changed = bytes > 1.15 * m.usual_bytes;
}

// The first dictionary is wanted soon, so it is one that takes little time to make; a better one
// can wait for a moment when there is time.
bool ZstdAllocator::train_if_due() {
  constexpr uint32_t kPatience = 30;  // ticks
  Maintenance& m = maintenance_;
  if (recent_.added() < m.next_training && !m.data_changed) return false;
  if (m.time == m.failed_training) return false;
  const bool first = m.next_training == kFirstTraining;
  if (!first && !m.idle && m.time - m.last_training < kPatience) return false;
  if (!pages_.dictionaries().has_free_generation()) {
    if (m.renew_page == PageTable::no_page && m.time != m.last_renewal) m.renew_page = 0;
    m.last_renewal = m.time;
    return false;
  }
  try {
    train(first);
  } catch (const std::bad_alloc&) {
    m.failed_training = m.time;  // it is due again at the next tick
    return false;
  }
  m.last_training = m.time;
  m.next_training = first ? kSecondTraining : recent_.added() * pace_.training_growth;
  m.data_changed = false;
  m.usual_bytes = 0;
  return true;
}

// Takes the new dictionary if it gains something on pages that it was not made from.
void ZstdAllocator::train(bool quickly) {
  constexpr size_t kLeastPages = 256;
  constexpr size_t kValidateOneIn = 8;
  std::vector<std::byte> samples;
  std::vector<std::byte> validation;
  const size_t count = recent_.size();
  samples.reserve(count * kPageBytes);
  for (size_t i = 0; i < count; ++i) {
    const Epoch::Guard guard(epoch_);
    const PageWord word(Cursor(table_).peek(recent_[i]));
    if (!word.compressed()) continue;
    Buffer page;
    Reader reader(pages_);
    if (!reader.load(word, page).ok()) continue;
    auto& pages = i % kValidateOneIn == 0 ? validation : samples;
    pages.insert(pages.end(), page.begin(), page.end());
  }
  if (samples.size() < kLeastPages * kPageBytes) return;
  std::unique_ptr<Dictionary> dictionary = quickly ? Dictionary::collect(samples, options_.level)
                                                   : Dictionary::train(samples, options_.level);
  if (!dictionary) return;
  const unsigned generation = pages_.dictionaries().join();
  size_t with = 0;
  size_t without = 0;
  for (size_t at = 0; at < validation.size(); at += kPageBytes) {
    const Data page(validation.data() + at, kPageBytes);
    with += pages_.packed_bytes(page, dictionary.get());
    without += pages_.packed_bytes(page, pages_.dictionaries().get(generation));
  }
  pages_.dictionaries().leave(generation);
  constexpr size_t kLeastGain = 200;  // one in so many bytes
  if (with + without / kLeastGain < without) {
    pages_.dictionaries().install(std::move(dictionary));
  }
}

}  // namespace ramdisk
