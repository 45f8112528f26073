// The C boundary: nbdkit's callbacks on one side, one Allocator on the other. This file has the
// life cycle of the plugin and the table of its callbacks.
//
// Every callback is noexcept: an exception from below (thrown only for lack of memory) becomes an
// error here, with one message and one errno. Only the files of this folder know nbdkit.

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/shared_copy.h"
#include "base/sizes.h"
#include "disk/registry.h"
#include "memory/available_memory.h"
#include "memory/memory_lock.h"
#include "plugin/filters.h"
#include "plugin/plugin_state.h"
#include "table/slab_allocator.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

// Set by nbdkit's debug flag -D memory.dir=1; nbdkit prescribes the name.
extern "C" [[gnu::visibility("default")]] int memory_debug_dir;
int memory_debug_dir = 0;

namespace ramdisk {

Plugin* plugin;

int report(const Status& status) noexcept {
  if (status.ok()) return 0;
  if (*status.message()) nbdkit_error("%s", status.message());
  nbdkit_set_error(status.errnum());
  errno = status.errnum();
  return -1;
}

namespace {

// ---- life cycle

void load() noexcept {
  guarded([] {
    plugin = std::make_unique<Plugin>().release();
    return Status();
  });
}

// Does nothing unless the disk has been served; of several calls, the first counts. No request is
// in progress.
void save_disk() noexcept {
  if (!plugin || !plugin->image) return;
  guarded([] { return plugin->image->save(*plugin->allocator); });
}

void unload() noexcept {
  save_disk();
  if (plugin && plugin->stats_file) plugin->stats_file->stop();
  delete plugin;
  plugin = nullptr;
}

int config(const char* key, const char* value) noexcept {
  return guarded([&] { return plugin ? plugin->config.set(key, value) : Status::no_memory(); });
}

int config_complete() noexcept {
  return guarded([] { return plugin ? plugin->config.complete() : Status::no_memory(); });
}

// Writes to nbdkit's log as an error, because the log has no lower level that is shown without -v.
// Memory may be short just then, and the caller cannot do with an exception. While the disk is
// loaded the last mark is only kept: if the content does not fit, one message is enough.
void report_mark(const Budget::Mark& mark) noexcept {
  if (plugin->loading.load(std::memory_order_relaxed)) {
    plugin->mark_while_loading.store(mark.percent, std::memory_order_relaxed);
    return;
  }
  try {
    nbdkit_error("warning: %u %% of the memory for this disk is in use: %s of %s", mark.percent,
                 exact_size(mark.used).c_str(), exact_size(mark.limit).c_str());
  } catch (const std::bad_alloc&) {
    nbdkit_error("warning: %u %% of the memory for this disk is in use", mark.percent);
  }
}

// Called once for each system call that is refused. A refusal that breaks a promise of the manual
// is logged even without -v.
void report_refusal(const MemoryRefusal& refusal) noexcept {
  const char* format = "the system refuses %s (%s): %s";
  const char* reason = std::strerror(refusal.errnum);
  if (refusal.promised) {
    nbdkit_error(format, refusal.call, reason, refusal.without);
  } else {
    nbdkit_debug(format, refusal.call, reason, refusal.without);
  }
}

// allocator=malloc allocates and locks its memory at once, the others do so slab by slab, as they
// grow.
Status make_memory(const Config& config) {
  const bool lock = config.options().mlock;
  const bool grows = config.options().type != AllocatorType::malloc;
  if (lock && grows) {
    if (default_memory_is_portable()) {
      return Status::error(ENOTSUP, "mlock=true: here only allocator=malloc can lock its memory");
    }
    if (Status status = allow_locking(SlabAllocator::kSlabBytes); !status.ok()) return status;
  }
  Budget::Options limits;
  limits.limit = config.max_memory();
  if (config.keep_reserve()) {
    const Swap swap = lock ? Swap::does_not : Swap::counts;
    limits.probe = [swap] { return available_memory(swap); };
  }
  if (grows) limits.on_mark = report_mark;
  plugin->memory = std::make_unique<BudgetedMemory>(
      make_default_memory(
          {.lock = lock && grows, .dump = config.dump(), .on_refusal = report_refusal}),
      std::move(limits));
  return {};
}

// Tries the file now, while a mistake can still be reported to the user who starts nbdkit.
Status make_statistics(Plugin& p) {
  if (p.config.stats_export()) {
    if (Status status = allow_second_export(loaded_filters()); !status.ok()) return status;
  }
  if (!p.config.stats_file()) return {};
  p.stats_file = std::make_unique<StatsFile>(
      *p.config.stats_file(),
      StatsFile::Source{.document = make_document,
                        .requests = [&p] { return p.operations.requests(); },
                        .failed = [](const Status& status) { report(status); }});
  return p.stats_file->check();
}

// A process that has locked all its memory (nbdkit --swap) gets no thread; the file is then written
// only now and at the end.
Status start_statistics(Plugin& p) {
  if (!p.stats_file) return {};
  if (Status status = p.stats_file->start(!process_memory_is_locked()); !status.ok()) return status;
  if (!p.stats_file->has_thread()) {
    nbdkit_debug("stats-file: there is no thread for it, so it is written at the end only");
  }
  return {};
}

// The most that the disk can store: a disk that does not compress holds no more than there is
// memory.
uint64_t most_stored(const Plugin& p) {
  if (p.config.options().type == AllocatorType::zstd) return p.disk_bytes;
  return std::min(p.disk_bytes, p.config.max_memory().value_or(available_memory().total));
}

// Opens the file to load now, because nbdkit may change its user and directory next.
Status make_image(Plugin& p) {
  if (!p.config.wants_image()) {
    p.disk_bytes = *p.config.disk_bytes();
    return {};
  }
  p.image = std::make_unique<DiskImage>(p.config);
  Result<uint64_t> bytes = p.image->open();
  if (!bytes.ok()) return bytes.status();
  p.disk_bytes = bytes.value();
  p.image->warn_of_room(most_stored(p));
  return {};
}

// The memory does not come from malloc: when such a large block is freed, glibc raises the
// threshold from which blocks are mapped.
void choose_how_to_copy(MemorySource& memory) {
  void* const room = memory.map(kTrialBytes, 4096, false);
  choose_copies({static_cast<std::byte*>(room), room ? kTrialBytes : 0});
  if (room) memory.unmap(room, kTrialBytes);
  nbdkit_debug("%s", describe_copies().c_str());
}

int get_ready() noexcept {
  return guarded([] {
    if (Status status = make_image(*plugin); !status.ok()) return status;
    if (Status status = make_statistics(*plugin); !status.ok()) return status;
    if (Status status = make_memory(plugin->config); !status.ok()) return status;
    choose_how_to_copy(*plugin->memory);
    Environment environment;
    environment.memory = plugin->memory.get();
    if (memory_debug_dir) {
      environment.trace_directories = [](const std::string& line) {
        nbdkit_debug("%s", line.c_str());
      };
    }
    auto made = make_allocator(plugin->config.options(), plugin->disk_bytes, environment);
    if (!made.ok()) return made.status();
    plugin->allocator = std::move(made.value());
    if (Status status = plugin->allocator->get_ready(); !status.ok()) return status;
    if (plugin->image) {
      plugin->launch =
          std::make_unique<LaunchReport>([](const char* message) { nbdkit_error("%s", message); });
    }
    return Status();
  });
}

// A zstd disk takes some megabytes for a moment when it makes a dictionary. Without a fixed
// threshold, glibc would raise its own when they are freed, and then keep such memory. The setting
// is the whole process's, so it is made here and not by the disk, and before there are threads. A
// process that has locked all its memory makes no dictionaries.
void fix_malloc_threshold([[maybe_unused]] const Config& config) {
#ifdef M_MMAP_THRESHOLD
  if (config.options().type != AllocatorType::zstd || process_memory_is_locked()) return;
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}

// The disk is loaded in the process that serves: memory that is written before a fork would be
// shared with a parent that stays (--run) and then be copied, page by page; it would not be locked;
// and a zstd disk has its threads only here.
Status load_image(Plugin& p) {
  if (!p.image) return {};
  p.loading = true;
  Status status = p.image->load(*p.allocator, p.memory->budget());
  p.loading = false;
  const unsigned percent = p.mark_while_loading;
  if (status.ok() && percent > 0) {
    const Budget& budget = p.memory->budget();
    report_mark({percent, budget.used(), budget.limit().value_or(0)});
  }
  return status;
}

Status start(Plugin& p) noexcept {
  try {
    if (p.image) {
      if (Status status = p.image->check_saving(); !status.ok()) return status;
    }
    fix_malloc_threshold(p.config);
    if (Status status = p.allocator->after_fork(); !status.ok()) return status;
    if (Status status = load_image(p); !status.ok()) return status;
    return start_statistics(p);
  } catch (const std::bad_alloc&) {
    return Status::no_memory();
  }
}

// Has nbdkit end in order, which removes the directory of -U -. (If after_fork() fails, it exits at
// once.)
int end_before_serving() noexcept {
  plugin->stats_file.reset();
  plugin->allocator.reset();
  nbdkit_shutdown();
  return 0;
}

// If a parent waits, it is the one that reports a failure and fails.
int after_fork() noexcept {
  const Status status = start(*plugin);
  const bool told = plugin->launch && plugin->launch->report(status);
  if (status.ok()) {
    plugin->launch.reset();
    return 0;
  }
  if (told) return end_before_serving();
  report(status);
  return status.errnum() == EINTR ? end_before_serving() : -1;
}

[[maybe_unused]] void cleanup() noexcept {
  if (!plugin || !plugin->allocator) return;
  log_disk();
  save_disk();
  if (const uint64_t left_out = plugin->refusals.take_left_out()) {
    nbdkit_error("no space left: requests refused since the last such line: %" PRIu64, left_out);
  }
  if (plugin->stats_file) plugin->stats_file->stop();
  plugin->allocator->stop();
}

void dump_plugin() noexcept {
  printf("mlock=%s\n", memory_lock_supported() ? "yes" : "no");
  const std::optional<ZstdSupport> zstd = zstd_support();
  printf("zstd=%s\n", zstd ? "yes" : "no");
  printf("ramdisk_version=%s\n", RAMDISK_VERSION);
  if (zstd) printf("zstd_version=%s\n", zstd->version);
}

// ---- what any client is told

// There is nothing to flush: the data of a request is in its final place before the request is
// answered.
int can_fua(void*) noexcept {
  return NBDKIT_FUA_NATIVE;
}

// Everything is in memory already, so caching succeeds by doing nothing.
int can_cache(void*) noexcept {
  return NBDKIT_CACHE_NATIVE;
}

// Zeroing frees memory, which is never slower than writing to it.
int can_fast_zero(void*) noexcept {
  return 1;
}

// Sets the callbacks that nbdkit has since 1.28 and since 1.30. In older versions the disk's
// threads end in unload().
template <typename Table>
void set_newer_callbacks(Table& table) {
  if constexpr (requires { table.cleanup; }) table.cleanup = cleanup;
  if constexpr (requires { table.block_size; }) table.block_size = block_size;
}

nbdkit_plugin make_plugin() {
  nbdkit_plugin p{};
  p.name = "memory";
  p.longname = "nbdkit memory plugin";
  p.version = RAMDISK_VERSION;
  p.description = "RAM disk";
  p.load = load;
  p.unload = unload;
  p.config = config;
  p.config_complete = config_complete;
  // nbdkit's shell completion offers the parameters that stand at the start of a line, with their
  // "=".
  p.config_help =
      "size=<SIZE>    (required unless there is a file to load) Size of the disk;\n"
      "               \"size=\" may be left out\n"
      "load=<FILE>    Begin with the content of this file or block device\n"
      "save=<FILE>    At the end, save the content as this file\n"
      "image=<FILE>   Load this file if it exists, and save it at the end\n"
      "allocator=sparse|malloc|zstd[,level=N][,cache=SIZE][,recompress=true|false]\n"
      "               How the disk is stored (default: sparse)\n"
      "mlock=true     Keep the disk out of swap\n"
      "max-memory=<SIZE>|<N>%|none\n"
      "               Take no more memory (default: what the system can spare)\n"
      "dump=true      Let the disk be part of core dumps\n"
      "stats-export=<NAME>\n"
      "               Serve statistics as a second, read-only export\n"
      "stats-file=<PATH>\n"
      "               Keep a file with the statistics as they are now\n"
      "stats-format=json|prometheus\n"
      "               How they are written (default: json)";
  p.magic_config_key = "size";
  p.get_ready = get_ready;
  p.after_fork = after_fork;
  p.dump_plugin = dump_plugin;
  p.list_exports = list_exports;
  p.open = open_export;
  p.close = close_export;
  p.get_size = get_size;
  p.can_write = can_write;
  p.can_extents = can_extents;
  p.can_fua = can_fua;
  p.can_multi_conn = can_multi_conn;
  p.can_cache = can_cache;
  p.can_fast_zero = can_fast_zero;
  p.export_description = export_description;
  p.pread = pread;
  p.pwrite = pwrite;
  p.flush = flush;
  p.trim = trim;
  p.zero = zero;
  p.extents = extents;
  p.errno_is_preserved = 1;
  set_newer_callbacks(p);
  return p;
}

nbdkit_plugin registration = make_plugin();

}  // namespace
}  // namespace ramdisk

// nbdkit before 1.26 does not make plugin_init visible by itself.
#pragma GCC visibility push(default)
NBDKIT_REGISTER_PLUGIN(ramdisk::registration)
#pragma GCC visibility pop
