// A well-behaved client in a thread of its own: whatever other clients do, it keeps writing and
// checking a few MiB in the middle of the disk, its home.
//
// Thread contract: one thread constructs it and calls leave().

#ifndef RAMDISK_WIRE_NEIGHBOUR_H
#define RAMDISK_WIRE_NEIGHBOUR_H

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <latch>
#include <string>
#include <thread>

#include "support/owner.h"
#include "support/wire_disk.h"

namespace wire {

class Neighbour {
 public:
  // It owns the range from home to home + kHomeBytes, in blocks of one page, many pages, and parts
  // of pages.
  static constexpr uint64_t kHomeBytes = 4 * MiB;

  // Returns once the home is full of data.
  Neighbour(const Server& server, uint64_t home)
      : home_(home), thread_([this, &server] { live(server); }) {
    settled_.wait();
  }
  ~Neighbour() { leave(); }

  // Returns whether a request for this range would touch the home.
  bool lives_in(uint64_t offset, uint64_t length) const {
    return offset < home_ + kHomeBytes && home_ < offset + length;
  }

  // Checks everything once more and ends the thread. Any wrong byte and any error fails the test.
  void leave() {
    leaving_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void live(const Server& server) {
    try {
      const Client client(server);
      WireDisk disk(client, home_);
      ramdisk::support::Owner owner(disk,
                                    {{home_, 4 * KiB, 4 * KiB, 256},
                                     {home_ + 1 * MiB, 64 * KiB, 64 * KiB, 32},
                                     {home_ + 3 * MiB + 77, 1234, 1300, 800}},
                                    0, WireDisk::kPageBytes);
      require_nothing(owner.write_all());
      settled_.count_down();
      while (!leaving_) require_nothing(owner.step());
      require_nothing(owner.verify());
      std::printf("neighbour: %llu operations, %llu bytes verified\n",
                  static_cast<unsigned long long>(owner.steps()),
                  static_cast<unsigned long long>(owner.verified_bytes()));
    } catch (const std::exception& error) {
      if (!settled_.try_wait()) settled_.count_down();
      ADD_FAILURE() << "the well-behaved connection: " << error.what();
    }
  }

  const uint64_t home_;
  std::latch settled_{1};
  std::atomic<bool> leaving_{false};
  std::thread thread_;
};

}  // namespace wire

#endif
