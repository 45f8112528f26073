// StatsFile: keeps a file whose content is a document about the disk, as it is now.
//
// Each document is a new file that takes the old one's name, so that who reads it sees one whole
// document. A thread makes them, at most one a second and only if something has changed. It looks
// again a few times after the last change, because work in the background goes on after the
// requests that caused it, and then sleeps until the next request.
//
// Invariants:
//   1. What lies under the path is a whole document, or what was there before start().
//   2. Nothing else is left in the directory.
//   3. A failure is told once, however long it lasts; each success after it ends it.
//
// Thread contract: check(), start() and stop() by one thread, in this order; note_request() by any
// thread between start() and stop().

#ifndef RAMDISK_PLUGIN_STATS_FILE_H
#define RAMDISK_PLUGIN_STATS_FILE_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/workers.h"
#include "ramdisk/status.h"

namespace ramdisk {

class StatsFile {
 public:
  using Clock = std::chrono::steady_clock;

  // What is written; called by the thread, or by start() and stop().
  struct Source {
    std::function<std::string(bool ended)> document;
    // How many requests there were: a number that grows with each, with sequential consistency.
    std::function<uint64_t()> requests;
    std::function<void(const Status&)> failed;  // is told of failures after start()
  };

  struct Timing {
    std::chrono::milliseconds shortest{1000};  // from one document to the next
    std::chrono::milliseconds longest{
        60000};  // from one look at a disk without requests to another
  };

  // `path` is absolute.
  StatsFile(std::string path, Source source) : StatsFile(std::move(path), std::move(source), {}) {}
  StatsFile(std::string path, Source source, Timing timing);
  ~StatsFile() { stop(); }
  StatsFile(const StatsFile&) = delete;
  StatsFile& operator=(const StatsFile&) = delete;

  // Whether a document could be written; leaves nothing behind.
  Status check() const;

  // Writes the first document and starts the thread, if `with_thread` and there can be one. A
  // failure leaves nothing started.
  Status start(bool with_thread);
  bool has_thread() const { return has_thread_; }

  // A request has ended and is counted. Costs a look at a flag, but for the first one after a rest.
  void note_request() noexcept {
    if (resting_.load(std::memory_order_seq_cst) && resting_.exchange(false)) workers_.wake();
  }

  // Ends the thread and writes the last document, if start() succeeded. May be called again.
  void stop() noexcept;

 private:
  using Delay = Workers::Delay;

  Delay work() noexcept;
  bool look();
  Status write(const std::string& document) const;
  void tell(const Status& status) noexcept;

  const std::string path_;
  const Source source_;
  const Timing timing_;
  bool started_ = false;
  bool has_thread_ = false;

  // Whether the next request ends the thread's rest. Set by the thread, cleared by whoever wakes
  // it.
  std::atomic<bool> resting_{false};

  // Of the thread; of start() and stop() before and after its life.
  std::string last_;           // the document that was written last
  bool failing_ = false;       // and has been told
  Delay rest_{0};              // between the last two looks, when there were no requests
  Clock::time_point next_{};   // the next look when there are requests
  Clock::time_point later_{};  // and when there are none; max(): never

  Workers workers_;  // ended first
};

}  // namespace ramdisk

#endif
