// StatsFile: keeps a file up to date whose content is a document about the disk.
//
// Each document is a new file that is renamed to the old one's name, so that a reader always sees
// one whole document. A thread writes them, at most one a second and only if something has changed.
// It looks again a few times after the last change, because background work continues after the
// requests that caused it, and then sleeps until the next request.
//
// Invariants:
//   1. The file at the path is a whole document, or what was there before start().
//   2. No other file is left in the directory.
//   3. A failure is reported once, however long it lasts; the next success ends it.
//
// Thread contract: one thread calls check(), start() and stop(), in this order; any thread may call
// note_request() between start() and stop().

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

  // Where the documents come from. Called by the thread, or by start() and stop().
  struct Source {
    std::function<std::string(bool ended)> document;
    // Returns the number of requests so far, a sequentially consistent counter.
    std::function<uint64_t()> requests;
    std::function<void(const Status&)> failed;  // called for failures after start()
  };

  struct Timing {
    std::chrono::milliseconds shortest{1000};  // between two documents
    // Between two looks at a disk without requests. A longer wait ends only with a request.
    std::chrono::milliseconds longest{60000};
  };

  // `path` is absolute.
  StatsFile(std::string path, Source source) : StatsFile(std::move(path), std::move(source), {}) {}
  StatsFile(std::string path, Source source, Timing timing);
  ~StatsFile() { stop(); }
  StatsFile(const StatsFile&) = delete;
  StatsFile& operator=(const StatsFile&) = delete;

  // Checks whether a document could be written, and leaves no file behind.
  Status check() const;

  // Writes the first document, and starts the thread if `with_thread` is set and the system allows
  // it. If this fails, nothing has been started.
  Status start(bool with_thread);
  bool has_thread() const { return has_thread_; }

  // Call after a request has been counted. Costs a load of a flag, except for the first request
  // after a sleep, which wakes the thread.
  void note_request() noexcept {
    if (sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false)) workers_.wake();
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

  // Whether the next request has to wake the thread. Set by the thread, cleared by the request that
  // wakes it.
  std::atomic<bool> sleeping_{false};

  // Used by the thread; before and after its lifetime by start() and stop().
  std::string last_;           // the document that was written last
  bool failing_ = false;       // a failure has been reported and has not ended
  Delay delay_{0};             // the wait between looks while there are no requests
  Clock::time_point next_{};   // time of the next look if there are requests
  Clock::time_point later_{};  // time of the next look if there are none; max() means never

  Workers workers_;  // declared last, so that the thread ends first
};

}  // namespace ramdisk

#endif
