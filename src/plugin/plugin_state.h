// State and functions that the plugin's callbacks share: the one disk that it serves, and how
// errors reach nbdkit.
//
// Thread contract: as nbdkit calls: one thread calls load to after_fork, and cleanup to unload; in
// between, any number of threads make requests.

#ifndef RAMDISK_PLUGIN_PLUGIN_STATE_H
#define RAMDISK_PLUGIN_PLUGIN_STATE_H

#include <atomic>
#include <memory>
#include <new>
#include <string>

#include "memory/budgeted_memory.h"
#include "plugin/config.h"
#include "plugin/disk_image.h"
#include "plugin/launch_report.h"
#include "plugin/nbdkit.h"
#include "plugin/operations.h"
#include "plugin/refusal_log.h"
#include "plugin/stats_file.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

// Exists from load to unload. The statistics file is destroyed first, because its document
// describes the allocator, which in turn uses the memory.
struct Plugin {
  Operations operations;  // first, because its alignment would leave a gap elsewhere
  Config config;
  std::unique_ptr<BudgetedMemory> memory;
  std::unique_ptr<Allocator> allocator;
  uint64_t disk_bytes = 0;                      // constant after get_ready
  std::unique_ptr<DiskImage> image;             // null unless there is a file to load or to save
  std::unique_ptr<LaunchReport> launch;         // null without an image, and after the start
  std::atomic<bool> loading{false};             // whether the disk is being filled from a file
  std::atomic<unsigned> mark_while_loading{0};  // the last Budget::Mark then, in percent; 0: none
  RefusalLog refusals;
  std::unique_ptr<StatsFile> stats_file;  // null unless asked for
};
extern Plugin* plugin;

// Reports a failure to nbdkit, with one message and one errno. Returns what the callback has to
// return: 0 or -1.
int report(const Status& status) noexcept;

// Runs `body`, which returns a Status, and reports the failure if it fails or throws. Returns 0 or
// -1.
template <typename Body>
int guarded(Body body) noexcept {
  try {
    return report(body());
  } catch (const std::bad_alloc&) {
    return report(Status::no_memory());
  } catch (const std::exception& e) {
    nbdkit_error("unexpected: %s", e.what());
    return report(Status::error(EIO, ""));
  }
}

// ---- what the disk says of itself (disk_report.cc)

// Returns one phrase for people: how the disk is stored, and how full it is.
std::string describe_disk();
void log_disk() noexcept;  // writes describe_disk() to the log of nbdkit -v

// Returns the current statistics; `ended` says that the disk has ended, so that they are its last.
std::string make_document(bool ended);

// ---- callbacks about clients and their requests (connections.cc, requests.cc)

int list_exports(int readonly, int is_tls, nbdkit_exports* exports) noexcept;
void* open_export(int readonly) noexcept;
void close_export(void* handle) noexcept;
int64_t get_size(void* handle) noexcept;
int can_write(void* handle) noexcept;
int can_extents(void* handle) noexcept;
int can_multi_conn(void* handle) noexcept;
int block_size(void* handle, uint32_t* minimum, uint32_t* preferred, uint32_t* maximum) noexcept;
const char* export_description(void* handle) noexcept;

// Returns the statistics document of this connection, or nullptr if it is a connection to the disk.
const std::string* document_of(void* handle) noexcept;

int pread(void* handle, void* buffer, uint32_t count, uint64_t offset, uint32_t flags) noexcept;
int pwrite(void* handle, const void* buffer, uint32_t count, uint64_t offset,
           uint32_t flags) noexcept;
int flush(void* handle, uint32_t flags) noexcept;
int trim(void* handle, uint32_t count, uint64_t offset, uint32_t flags) noexcept;
int zero(void* handle, uint32_t count, uint64_t offset, uint32_t flags) noexcept;
int extents(void* handle, uint32_t count, uint64_t offset, uint32_t flags,
            nbdkit_extents* list) noexcept;

}  // namespace ramdisk

#endif
