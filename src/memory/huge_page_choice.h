// HugePageChoice: whether the next piece of memory is to be backed by huge pages.
//
// Usually they are the faster way: to clear one takes a quarter of the time that 512 small pages
// take. But where the system first has to get one, it takes up to thirty times as long. A virtual
// machine returns free memory to its host in pieces of this size or larger (Linux: "free page
// reporting"), and a machine that has run for long has its free memory in smaller ones. Small pages
// are then still at hand. So the first piece has small pages, to compare with, and when one with
// huge pages takes more than twice as long as the fastest with small ones, those that follow get
// small pages, until huge ones are tried again: by one piece after 8, after 16 more, and so on. If
// the small ones turn out to be as slow, they are tried again at once. (Pieces with small pages
// that are not populated as a whole take no time that could be compared, and are not told of.)
//
// Thread contract: one thread at a time.

#ifndef RAMDISK_MEMORY_HUGE_PAGE_CHOICE_H
#define RAMDISK_MEMORY_HUGE_PAGE_CHOICE_H

#include <algorithm>
#include <chrono>
#include <optional>

namespace ramdisk {

class HugePageChoice {
 public:
  using Time = std::chrono::nanoseconds;

  // Whether the next piece should have huge pages. All pieces are of one size, of which huge pages
  // are a part.
  bool next() {
    if (!small_time_) return false;
    if (small_left_ > 0) {
      --small_left_;
      return false;
    }
    if (slow_) {  // This is the one that tries; others do not wait for its outcome.
      pause_ = std::min(2 * pause_, kMostPieces);
      small_left_ = pause_;
    }
    return true;
  }

  // Whether small pages have been measured, so that pieces with them need not be whole any more.
  bool compared() const { return small_time_.has_value(); }

  // Call when the piece is present, with what next() said of it and the CPU time that it took to
  // map and to populate it. (Not the time that passed: the thread may have waited for a CPU.)
  void took(bool huge, Time time) {
    if (!huge) {
      small_time_ = std::min(time, small_time_.value_or(time));
      if (slow_ && 2 * time > huge_time_) small_left_ = 0;
      return;
    }
    huge_time_ = time;
    const bool slow = small_time_ && time > 2 * *small_time_;
    if (slow && !slow_) {
      pause_ = kFewestPieces;
      small_left_ = pause_;
    }
    if (!slow) small_left_ = 0;
    slow_ = slow;
  }

 private:
  static constexpr unsigned kFewestPieces = 8;
  static constexpr unsigned kMostPieces = 128;

  std::optional<Time> small_time_{};  // the least so far
  Time huge_time_{};                  // of the last piece
  bool slow_ = false;                 // huge pages were, when last tried
  unsigned pause_ = kFewestPieces;
  unsigned small_left_ = 0;  // pieces before huge pages are tried again
};

}  // namespace ramdisk

#endif
