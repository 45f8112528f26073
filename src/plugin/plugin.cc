// The C boundary: nbdkit's callbacks on one side, Allocators on the other. This file has the
// life cycle of the plugin and the table of its callbacks.
//
// Every callback is noexcept: an exception from below (thrown only for lack of memory) becomes an
// error here, with one message and one errno. Only the files of this folder know nbdkit.

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <cinttypes>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "disk/registry.h"
#include "memory/memory_lock.h"
#include "plugin/filters.h"
#include "plugin/plugin_state.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

namespace ramdisk {

Plugin* plugin;

int report(const Status& status) noexcept {
  if (status.ok()) return 0;
  if (*status.message()) nbdkit_error("%s", status.message());
  nbdkit_set_error(status.errnum());
  errno = status.errnum();
  return -1;
}

Status limited(RefusalLog& log, const Status& status) {
  const std::optional<uint64_t> left_out = log.note();
  if (!left_out) return Status::error(status.errnum(), "");
  if (*left_out == 0) return status;
  return Status::error(status.errnum(), std::string(status.message()) + " (" +
                                            std::to_string(*left_out) +
                                            " others refused since the last such line)");
}

namespace {

// ---- life cycle

void load() noexcept {
  guarded([] {
    plugin = std::make_unique<Plugin>().release();
    return Status();
  });
}

void unload() noexcept {
  if (plugin) save_disks(*plugin);
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

// Tries the file now, while a mistake can still be reported to the user who starts nbdkit.
Status make_statistics(Plugin& p) {
  if (p.config.stats_export()) {
    if (Status status = allow_exports(loaded_filters(), Beside::statistics); !status.ok()) {
      return status;
    }
  }
  if (p.config.serving() != Serving::one) {
    const auto beside =
        p.config.serving() == Serving::scratch ? Beside::private_disks : Beside::disks;
    if (Status status = allow_exports(loaded_filters(), beside); !status.ok()) return status;
  }
  if (!p.config.stats_file()) return {};
  p.stats_file = std::make_unique<StatsFile>(
      p.config.stats_file()->path,
      StatsFile::Source{
          .document = make_document,
          .requests = [&p] { return p.operations ? p.operations->requests() : p.disks.requests(); },
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

int get_ready() noexcept {
  return guarded([] {
    Plugin& p = *plugin;
    if (Status status = open_images(p); !status.ok()) return status;
    if (Status status = make_statistics(p); !status.ok()) return status;
    if (Status status = make_disks(p); !status.ok()) return status;
    p.launch =
        std::make_unique<LaunchReport>([](const char* message) { nbdkit_error("%s", message); });
    return Status();
  });
}

// A zstd disk takes some megabytes for a moment when it makes a dictionary, and nbdkit's threads
// for a connection take as much for their requests. Without fixed thresholds, glibc would raise its
// own when they are freed, and then keep such memory, which adds up where disks come and go with
// connections: in each of its heaps, of which it has eight for each CPU, up to the size of a
// compressor. It may have raised the one for the ends of heaps already, so both are set. They are
// the whole process's, so this is done here and not by the disk, and before there are threads. A
// process that has locked all its memory makes no dictionaries.
void fix_malloc_thresholds([[maybe_unused]] const Config& config) {
#ifdef M_MMAP_THRESHOLD
  const bool wanted =
      config.options().type == AllocatorType::zstd || config.serving() == Serving::scratch;
  if (!wanted || process_memory_is_locked()) return;
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
#ifdef __GLIBC__
  malloc_trim(0);  // get_ready() has freed a dictionary and contexts that it had measured
#endif
#endif
}

Status start(Plugin& p) noexcept {
  try {
    fix_malloc_thresholds(p.config);
    if (Status status = start_disks(p); !status.ok()) return status;
    return start_statistics(p);
  } catch (const std::bad_alloc&) {
    return Status::no_memory();
  }
}

// Has nbdkit end in order, which removes the directory of -U -. (If after_fork() fails, it exits at
// once.)
int end_before_serving() noexcept {
  plugin->stats_file.reset();
  for (const Disks::Ptr& disk : plugin->disks.all()) plugin->disks.remove(*disk);
  plugin->base.reset();
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

void tell_left_out(RefusalLog& log, const char* what) noexcept {
  if (const uint64_t left_out = log.take_left_out()) {
    nbdkit_error("%s since the last such line: %" PRIu64, what, left_out);
  }
}

[[maybe_unused]] void cleanup() noexcept {
  if (!plugin) return;
  guarded([] {
    std::vector<Disks::Ptr> disks = plugin->disks.all();
    if (plugin->base) disks.push_back(plugin->base);
    for (const Disks::Ptr& disk : disks) {
      if (!disk->allocator) return Status();
      log_disk(*disk);
    }
    save_disks(*plugin);
    tell_left_out(plugin->refusals, "requests refused for lack of memory");
    tell_left_out(plugin->unopened, "clients refused that asked for a disk");
    if (plugin->stats_file) plugin->stats_file->stop();
    for (const Disks::Ptr& disk : disks) {
      disk->allocator->stop();
    }
    return Status();
  });
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
      "exports=<NAME>[:<SIZE>],...|*  Several disks; *: one for each name opened\n"
      "exports-max=<N>  At most N disks with exports=* (default: 100)\n"
      "scratch=true   Give every connection a disk of its own, which ends with it\n"
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
