// One disk of an nbdkit plugin, driven without a server.
//
// The constructor loads the plugin and brings it up in nbdkit's order: plugin_init, load, config,
// config_complete, get_ready, after_fork, open. The destructor goes the way back. Everything
// throws std::runtime_error when the plugin reports a failure: a benchmark of failing requests has
// no meaning.
//
// Thread contract: read, write, trim and extents from any number of threads.

#ifndef RAMDISK_BENCH_DISK_H
#define RAMDISK_BENCH_DISK_H

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "server.h"

namespace bench {

class Disk {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  Disk(const std::string& plugin_path, const Parameters& parameters);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  uint64_t size() const { return size_; }

  // From the first config call until the plugin could serve.
  double start_seconds() const { return start_seconds_; }

  void read(void* buffer, uint32_t count, uint64_t offset) const {
    check(plugin_.pread(handle_, buffer, count, offset, 0), "pread");
  }
  void write(const void* buffer, uint32_t count, uint64_t offset) const {
    check(plugin_.pwrite(handle_, buffer, count, offset, 0), "pwrite");
  }
  void trim(uint32_t count, uint64_t offset) const {
    check(plugin_.trim(handle_, count, offset, 0), "trim");
  }
  void extents(uint32_t count, uint64_t offset, nbdkit_extents& into) const {
    check(plugin_.extents(handle_, count, offset, 0, &into), "extents");
  }

  bool can_trim() const { return plugin_.trim != nullptr; }
  bool can_extents() const { return plugin_.extents != nullptr; }

 private:
  static void check(int result, const char* what) {
    if (result < 0) fail(what);
  }
  [[noreturn]] static void fail(const char* what);
  void load(const std::string& path);
  void start(const Parameters& parameters);

  void* library_ = nullptr;
  nbdkit_plugin plugin_{};
  void* handle_ = nullptr;
  uint64_t size_ = 0;
  double start_seconds_ = 0;
};

}  // namespace bench

#endif
