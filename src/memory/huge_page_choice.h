// HugePageChoice: whether large pieces of memory are to be backed by huge pages.
//
// Usually they are: to clear one takes a quarter of the time that 512 small pages take. But where
// the system first has to get one, it takes up to thirty times as long. A virtual machine returns
// free memory to its host in pieces of this size or larger (Linux: "free page reporting"), and a
// machine that has run for long has its free memory in smaller ones. Small pages are then still at
// hand. So the time that pieces take is watched: after one that took more than twice as long with
// huge pages as with small ones, the next few get small pages, and more each time that this happens
// again. If the small ones turn out to be no faster, huge pages are tried at once.
//
// Thread contract: one thread at a time.

#ifndef RAMDISK_MEMORY_HUGE_PAGE_CHOICE_H
#define RAMDISK_MEMORY_HUGE_PAGE_CHOICE_H

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace ramdisk {

class HugePageChoice {
 public:
  // Whether the next piece should have huge pages.
  bool wanted() const { return small_left_ == 0; }

  // Call with the CPU time that it took to map `bytes` of memory and to make them present, for each
  // piece with huge pages, and for all with small ones. (Not the time that passed: the thread may
  // have waited for a CPU.)
  void took(bool huge, size_t bytes, std::chrono::nanoseconds time) {
    const double cost = static_cast<double>(time.count()) / static_cast<double>(bytes);
    if (huge) {
      huge_cost_ = cost;
      const bool slow = small_cost_ > 0 && cost > 2 * small_cost_;
      if (slow) small_left_ = pause_;
      pause_ = slow ? std::min(2 * pause_, kMostPieces) : kFewestPieces;
      return;
    }
    small_cost_ = small_cost_ > 0 ? std::min(small_cost_, cost) : cost;
    if (small_left_ > 0) --small_left_;
    if (2 * cost > huge_cost_) small_left_ = 0;
  }

 private:
  static constexpr unsigned kFewestPieces = 8;
  static constexpr unsigned kMostPieces = 128;

  double small_cost_ = 0;  // the least so far, in nanoseconds a byte; 0: not known
  double huge_cost_ = 0;   // the last one
  unsigned pause_ = kFewestPieces;
  unsigned small_left_ = 0;  // pieces before huge pages are tried again
};

}  // namespace ramdisk

#endif
