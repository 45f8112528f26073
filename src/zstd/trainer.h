// Trainer: trains dictionaries on samples, and retires old dictionaries.
//
// Pages that are compressed one by one want the first dictionary soon, so it is of the kind that
// takes little time to make. Groups are made without one at first; a disk that has little else
// waits until cold pages are recompressed, which is what needs one, and trains a good one at once.
// A better one, and another whenever the data has changed, is trained when the disk is idle or
// enough time has passed. When all generations are in use, a renewal walks over the disk and
// compresses the pages that use old dictionaries again, so that these dictionaries can be freed.
//
// Thread contract: the first worker alone.

#ifndef RAMDISK_ZSTD_TRAINER_H
#define RAMDISK_ZSTD_TRAINER_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "zstd/disk_state.h"

namespace ramdisk {

class Trainer {
 public:
  explicit Trainer(DiskState& state) : state_(state) {}

  // Call at each tick, with what has been compressed so far. Notices when data compresses much
  // worse than it did when the dictionary was new.
  void watch(PageStore::Totals totals);

  // Whether enough has been compressed, or the data has changed.
  bool due() const { return state_.samples.added() >= next_training_ || data_changed_; }

  // When training is asked for. busy: the disk changes. idle: it did not change between the last
  // two ticks, nor since. regrouping: cold pages are about to be compressed together.
  enum class Occasion { busy, idle, regrouping };

  // Trains if training is due. `now` is in ticks. Returns whether it trained, even if the result
  // was not installed.
  bool train_if_due(uint32_t now, Occasion occasion);

  // ---- renewal

  bool renewing() const { return renewal_page_ != PageTable::no_page; }

  // Takes a step of the renewal in progress. no_memory: the renewal has ended early; the next one
  // begins when another dictionary is due.
  enum class Renewal { more, done, no_memory };
  Renewal renew_some();

 private:
  using Found = std::array<uint64_t, 64>;

  void request_renewal(uint32_t now);
  bool train(bool quick);
  struct Samples {
    std::vector<std::byte> training;
    std::vector<std::byte> validation;  // pages that the dictionary is not made from
  };
  Samples take_samples();
  bool gains(const Dictionary& dictionary, std::span<const std::byte> pages);
  std::span<const uint64_t> find_old(Found& found, const Epoch::Guard& guard);

  // The first and the second dictionary are made when there have been this many samples. A group
  // counts as one.
  static constexpr uint64_t kFirstTraining = TrainingSamples::kMost;
  static constexpr uint64_t kSecondTraining = 8192;
  static constexpr size_t kLeastPages = 256;  // samples that a dictionary is made from

  DiskState& state_;
  uint64_t next_training_ = kFirstTraining;  // in samples
  std::optional<uint32_t> last_training_{};  // in ticks; with enough samples
  std::optional<uint32_t> failed_{};         // the tick in which there was no memory
  // State of watch(): the totals at the end of the last window, and the bytes that a page took when
  // the dictionary was new.
  PageStore::Totals last_totals_{};
  std::optional<double> usual_bytes_{};
  bool data_changed_ = false;
  // The page at which the renewal continues; no_page if there is no renewal.
  uint64_t renewal_page_ = PageTable::no_page;
  uint32_t last_renewal_ = 0;  // in ticks
};

}  // namespace ramdisk

#endif
