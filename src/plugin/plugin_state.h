// State and functions that the plugin's callbacks share: the disks that it serves, and how errors
// reach nbdkit.
//
// Thread contract: as nbdkit calls: one thread calls load to after_fork, and cleanup to unload; in
// between, any number of threads make requests.

#ifndef RAMDISK_PLUGIN_PLUGIN_STATE_H
#define RAMDISK_PLUGIN_PLUGIN_STATE_H

#include <atomic>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "memory/budgeted_memory.h"
#include "plugin/config.h"
#include "plugin/disks.h"
#include "plugin/launch_report.h"
#include "plugin/nbdkit.h"
#include "plugin/refusal_log.h"
#include "plugin/stats_file.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

// Exists from load to unload. The connections are destroyed first, which may have disks of their
// own, and then the statistics file, because its document describes the disks. Disks use the memory
// and the threads.
struct Plugin {
  Config config;
  std::shared_ptr<MemorySource> system_memory;  // of all disks
  std::shared_ptr<Budget> budget;               // of all disks
  WorkerPool workers;                           // of all disks, if there may be several
  std::string allocator;                        // what the disks say of themselves
  Disks::Ptr base;                              // Serving::scratch: what connections have clones of
  Disks disks;
  Mutex making;                                 // held while a disk is made for a name
  std::shared_ptr<Operations> operations;       // of Serving::scratch: of all disks that ever were
  std::unique_ptr<LaunchReport> launch;         // null after the start
  std::atomic<bool> loading{false};             // whether a disk is being filled from a file
  std::atomic<unsigned> mark_while_loading{0};  // the last Budget::Mark then, in percent; 0: none
  RefusalLog refusals;                          // of requests
  RefusalLog unopened;                          // of clients that ask for a disk
  std::unique_ptr<StatsFile> stats_file;        // null unless asked for
  Mutex opening;
  // By nbdkit's handle. nbdkit does not close those that it still has when it ends.
  std::map<void*, std::shared_ptr<void>> connections GUARDED_BY(opening);
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

// Returns `status`, or the same without a message if `log` has just had one.
Status limited(RefusalLog& log, const Status& status);

// ---- how disks begin and end (disk_life.cc)

// The parts of get_ready() that are about disks. The first opens the files of the disks that are
// there from the start, the second makes the memory and these disks.
Status open_images(Plugin& p);
Status make_disks(Plugin& p);

// The part of after_fork(): starts the disks, and loads them.
Status start_disks(Plugin& p);

// Saves the disks that have been served; of several calls, the first counts. No request is in
// progress. Reports what fails.
void save_disks(Plugin& p) noexcept;

// Returns the disk of this name, and makes it if there is none. Throws std::bad_alloc.
Result<Disks::Ptr> disk_called(Plugin& p, std::string_view name);

// The size of disks that are not there from the start.
uint64_t bytes_of_each(const Plugin& p);

// Makes the disk of a connection. Throws std::bad_alloc.
Result<Disks::Ptr> make_scratch_disk(Plugin& p);

// ---- what the disks say of themselves (disk_report.cc)

// Returns one phrase for people: how the disk is stored, and how full it is.
std::string describe_disk(const Disk& disk);
void log_disk(const Disk& disk) noexcept;  // writes it to the log of nbdkit -v

// Returns the current statistics; `ended` says that the disks have ended, so that they are their
// last.
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

// Returns the statistics document of this connection, or nullptr if it is a connection to a disk.
const std::string* document_of(void* handle) noexcept;

// Returns the disk of this connection, which its first request makes where clients choose the
// names. Returns null, having reported why, if it cannot be made. The connection is to a disk.
Disk* disk_of(void* handle) noexcept;

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
