// ProgressLog: tells in nbdkit's log how far something is that may take long.
//
// With nbdkit -v there is a line every second; a save that takes long has some without -v, too.
//
// Thread contract: one thread.

#ifndef RAMDISK_PLUGIN_PROGRESS_LOG_H
#define RAMDISK_PLUGIN_PROGRESS_LOG_H

#include <chrono>
#include <cstdint>
#include <string>

namespace ramdisk {

class ProgressLog {
 public:
  // `what` begins each line; `total` is how many bytes there are about. `loud`: whether there are
  // lines without -v, the first after 10 seconds, then one every 30.
  ProgressLog(std::string what, uint64_t total, bool loud);

  // `bytes` have been copied. Call it often.
  void note(uint64_t bytes);

  // All has been copied.
  void end(uint64_t bytes) const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string text(uint64_t bytes) const;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  const std::string what_;
  const uint64_t total_;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_ = begin_ + std::chrono::seconds(1);
  Clock::time_point next_loud_;
};

}  // namespace ramdisk

#endif
