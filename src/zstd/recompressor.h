// Recompressor: makes cold pages smaller. It walks over the disk, directory by directory, and
// compresses pages that have not been used for a while again: all pages of a run together, at a
// higher level and with the current dictionary. (When a page of such a group is read often, the
// thread that reads it stores it by itself again: take_out_of_group().)
//
// The walk:
//
//                  begin()                     the end of the disk
//      finished ────────────▶ walking ───────────────────────────────▶ finished
//                                │
//                                │ a directory is still warm, or a page of it is in use
//                                ▼             the end of the disk
//      waiting ◀─────────── leaving_some ────────────────────────────▶ waiting
//         │                                    no memory, also from walking
//         └──── begin() ───▶ walking
//
// A tick calls begin(). While the walk is finished, no page can become cold merely because time
// passes, so the disk needs no ticks; while it is waiting, the disk needs them.
//
// Invariants:
//   1. The compressor for groups, which is large, exists only while there is work for it. Its
//      memory is charged from the start.
//   2. While the compressor exists, the Recompressor is a user of generation_, the dictionary that
//      the compressor has adopted.
//
// Thread contract: the first worker alone.

#ifndef RAMDISK_ZSTD_RECOMPRESSOR_H
#define RAMDISK_ZSTD_RECOMPRESSOR_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/workers.h"
#include "zstd/cleaner.h"
#include "zstd/disk_state.h"
#include "zstd/page_group.h"
#include "zstd/trainer.h"

namespace ramdisk {

class Recompressor {
 public:
  Recompressor(DiskState& state, Cleaner& cleaner, Trainer& trainer)
      : state_(state), cleaner_(cleaner), trainer_(trainer) {}
  ~Recompressor() { release_compressor(); }
  Recompressor(const Recompressor&) = delete;
  Recompressor& operator=(const Recompressor&) = delete;

  // Returns what the compressor for groups takes, in bytes; 0 if there is no memory to find that
  // out.
  static size_t compressor_bytes(const AllocatorOptions& options);

  // Begins a walk, unless one is in progress or the user has turned recompression off.
  void begin();
  bool under_way() const { return walk_ == Walk::walking || walk_ == Walk::leaving_some; }

  // Whether a later walk may find something even if the disk does not change.
  bool expects_more() const { return walk_ == Walk::waiting || walk_ == Walk::leaving_some; }

  // Takes a step of the walk in progress: finds the next cold directory and recompresses it. `now`
  // is in ticks. Returns how long to wait after the step, and whether there was such a directory.
  struct Step {
    Workers::Delay delay;
    bool found;
  };
  Step step(uint32_t now);

 private:
  enum class Walk { finished, waiting, walking, leaving_some };
  // later: a page was in use, so the directory is left to another walk.
  enum class Outcome { done, later, no_memory };

  PageTable::ColdDirectory find_cold(uint32_t now);
  void leave_some() { walk_ = Walk::leaving_some; }
  void end_walk() { walk_ = walk_ == Walk::leaving_some ? Walk::waiting : Walk::finished; }

  bool make_compressor();
  void release_compressor();

  Outcome recompress_directory(uint64_t first);
  Outcome recompress_run(uint64_t first);

  // The outcome for the pages of a run. no: they would not take less memory together, or are a
  // group of which that is known, or cannot be grouped.
  enum class Grouped { yes, no, later, no_memory };
  struct Candidate;
  Grouped make_group(uint64_t first, PageStore::Reader& reader, PageTable::Cursor& cursor,
                     const Epoch::Guard& guard);
  Grouped publish(uint64_t first, PageEntry group, const Candidate& candidate,
                  PageTable::Cursor& cursor, const Epoch::Guard& guard);

  DiskState& state_;
  Cleaner& cleaner_;
  Trainer& trainer_;
  Walk walk_ = Walk::finished;
  uint64_t next_page_ = 0;  // where the walk continues
  std::unique_ptr<Compressor> compressor_;
  unsigned generation_ = 0;
};

}  // namespace ramdisk

#endif
