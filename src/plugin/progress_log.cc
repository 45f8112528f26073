#include "plugin/progress_log.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "plugin/nbdkit.h"

namespace ramdisk {

ProgressLog::ProgressLog(std::string what, uint64_t total, bool loud)
    : what_(std::move(what)),
      total_(total),
      next_loud_(loud ? begin_ + std::chrono::seconds(10) : Clock::time_point::max()) {}

std::string ProgressLog::text(uint64_t bytes) const {
  std::string line = what_ + ": " + std::to_string(bytes) + " bytes";
  if (total_ == 0) return line;
  const auto percent = 100.0 * static_cast<double>(bytes) / static_cast<double>(total_);
  return line + " (" + std::to_string(std::min(99, static_cast<int>(percent))) + " %)";
}

// The log has no level between errors and what only -v shows.
void ProgressLog::note(uint64_t bytes) {
  const auto now = Clock::now();
  if (now >= next_loud_) {
    nbdkit_error("%s so far", text(bytes).c_str());
    next_loud_ = now + std::chrono::seconds(30);
    next_ = now + std::chrono::seconds(1);
  } else if (now >= next_) {
    nbdkit_debug("%s so far", text(bytes).c_str());
    next_ = now + std::chrono::seconds(1);
  }
}

void ProgressLog::end(uint64_t bytes) const {
  nbdkit_debug("%s: %" PRIu64 " bytes of data, in %.1f seconds", what_.c_str(), bytes, seconds());
}

}  // namespace ramdisk
