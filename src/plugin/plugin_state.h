// What the callbacks of the plugin share: the one disk that it serves, and how errors reach nbdkit.
//
// Thread contract: as nbdkit calls: load to after_fork, and cleanup to unload, by one thread;
// requests in between by any number.

#ifndef RAMDISK_PLUGIN_PLUGIN_STATE_H
#define RAMDISK_PLUGIN_PLUGIN_STATE_H

#include <memory>
#include <new>
#include <string>

#include "memory/budgeted_memory.h"
#include "plugin/config.h"
#include "plugin/nbdkit.h"
#include "plugin/operations.h"
#include "plugin/refusal_log.h"
#include "plugin/stats_file.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

// From load to unload. The file goes first: what it says is about the allocator, which uses the
// memory.
struct Plugin {
  Config config;
  std::unique_ptr<BudgetedMemory> memory;
  std::unique_ptr<Allocator> allocator;
  Operations operations;
  RefusalLog refusals;
  std::unique_ptr<StatsFile> stats_file;  // null unless asked for
};
extern Plugin* plugin;

// The one message and the one errno of a failure. Returns what the callback returns: 0 or -1.
int report(const Status& status) noexcept;

// Runs `body`, which returns a Status.
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

// One phrase for people: how the disk is kept, and how full it is.
std::string describe_disk();
void log_disk() noexcept;  // the same, to nbdkit -v

// The statistics of this moment; of the end of the disk, when it has ended.
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

// The document that this connection was opened for; nullptr: it was opened for the disk.
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
