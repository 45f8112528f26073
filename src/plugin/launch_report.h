// LaunchReport: lets the process that was started wait for the one that serves.
//
// nbdkit forks before it serves, into the background or for --run. The parent then ends with
// success, or runs the command, whatever becomes of the child. With a report expected, fork()
// returns in the parent only when the child has said how its start went, or has ended; after a
// failure the parent tells the message to the user and ends with status 1. So what goes wrong late
// is an error on the command line all the same.
//
// A fork whose child never reports, because it runs another program or ends, is not held back
// longer than that.
//
// Thread contract: one thread, during start-up. One object at a time.

#ifndef RAMDISK_PLUGIN_LAUNCH_REPORT_H
#define RAMDISK_PLUGIN_LAUNCH_REPORT_H

#include <functional>
#include <string>

#include "ramdisk/status.h"

namespace ramdisk {

class LaunchReport {
 public:
  // From now on, forks are held back. `tell` gives a message to the user; the parent calls it.
  // Where the system allows none of this, forks are as ever.
  explicit LaunchReport(std::function<void(const char*)> tell);
  ~LaunchReport();
  LaunchReport(const LaunchReport&) = delete;
  LaunchReport& operator=(const LaunchReport&) = delete;

  // Says how the start went. Returns whether a parent waits for it: it then tells a failure, and
  // this process need not. Forks are not held back any more.
  bool report(const Status& status) noexcept;

 private:
  static void before_fork();
  static void in_parent();
  static void in_child();

  void open_channel() noexcept;
  void wait_for_child();
  void close_end(int end) noexcept;

  const std::function<void(const char*)> tell_;
  int ends_[2] = {-1, -1};  // of the channel: the parent's, the child's
};

}  // namespace ramdisk

#endif
