// Trainer: samples become dictionaries, and old dictionaries come to their end.
//
// The first dictionary is wanted soon, so it is of a kind that takes little time to make. A better
// one, and one whenever the data has changed, is made when the disk is idle or has waited long
// enough. When all numbers of dictionaries are in use, a renewal walks over the disk and compresses
// again what has old ones, so that these can go.
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

  // Called at each tick, with what has been compressed so far: notices when data compresses much
  // less well than it did when the dictionary was new.
  void watch(PageStore::Totals totals);

  // Trains if that is due. `now` is in ticks; `idle` says that the disk has not changed between the
  // last two of them. Returns whether it trained, for better or worse.
  bool train_if_due(uint32_t now, bool idle);

  // ---- renewal

  bool renewing() const { return renewal_page_ != PageTable::no_page; }

  // A step of the renewal that is under way. no_memory: it has ended early; the next one begins
  // when another dictionary is due.
  enum class Renewal { more, done, no_memory };
  Renewal renew_some();

 private:
  using Found = std::array<uint64_t, 64>;

  void request_renewal(uint32_t now);
  void train(bool first);
  struct Samples {
    std::vector<std::byte> training;
    std::vector<std::byte> validation;  // pages that the dictionary is not made from
  };
  Samples take_samples();
  bool gains(const Dictionary& dictionary, std::span<const std::byte> pages);
  std::span<const uint64_t> find_old(Found& found, const Epoch::Guard& guard);

  // Dictionaries are made when this many pages have been compressed.
  static constexpr uint64_t kFirstTraining = TrainingSamples::kMost;
  static constexpr uint64_t kSecondTraining = 8192;

  DiskState& state_;
  uint64_t next_training_ = kFirstTraining;  // in pages that have been compressed
  uint32_t last_training_ = 0;               // in ticks
  std::optional<uint32_t> failed_{};         // the tick in which there was no memory
  // What watch() knows: the totals a window ago, and what a page took when the dictionary was new.
  PageStore::Totals last_totals_{};
  std::optional<double> usual_bytes_{};
  bool data_changed_ = false;
  // Renewal: the page at which it goes on, or no_page.
  uint64_t renewal_page_ = PageTable::no_page;
  uint32_t last_renewal_ = 0;  // in ticks
};

}  // namespace ramdisk

#endif
