// RefusalLog: limits the log to one line a second while a full disk refuses many requests.
//
// Thread contract: any thread; takes no lock.

#ifndef RAMDISK_PLUGIN_REFUSAL_LOG_H
#define RAMDISK_PLUGIN_REFUSAL_LOG_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace ramdisk {

class RefusalLog {
 public:
  using Clock = std::chrono::steady_clock;

  // Call when a request has been refused. If it is time for a line, returns how many refusals were
  // left out since the last line.
  std::optional<uint64_t> note(Clock::time_point now = Clock::now()) noexcept {
    constexpr Clock::duration kPause = std::chrono::seconds(1);
    const Clock::rep at = now.time_since_epoch().count();
    Clock::rep next = next_.load(std::memory_order_relaxed);
    // If several threads find that it is time, the one that sets the next time writes the line.
    if (at >= next && next_.compare_exchange_strong(next, (now + kPause).time_since_epoch().count(),
                                                    std::memory_order_relaxed)) {
      return take_left_out();
    }
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  // Returns how many refusals have been left out since the last line, and resets the count.
  uint64_t take_left_out() noexcept { return left_out_.exchange(0, std::memory_order_relaxed); }

 private:
  std::atomic<Clock::rep> next_{INT64_MIN};
  std::atomic<uint64_t> left_out_{0};
};

}  // namespace ramdisk

#endif
