// The C boundary: nbdkit's callbacks on one side, one Allocator on the other.
//
// Every callback is noexcept: what is thrown below (only for lack of memory) becomes an error here,
// with one message and one errno. Nothing else in the project knows nbdkit, but for config.cc.

#include <cinttypes>
#include <cstdio>
#include <memory>
#include <new>
#include <string>

#include "alloc/registry.h"
#include "core/available_memory.h"
#include "core/budgeted_memory.h"
#include "core/memory_lock.h"
#include "plugin/config.h"
#include "plugin/nbdkit.h"
#ifdef RAMDISK_HAVE_ZSTD
#include "core/codec.h"
#endif

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

// Debug flag of nbdkit: -D memory.dir=1. The name is nbdkit's rule.
extern "C" NBDKIT_DLL_PUBLIC int memory_debug_dir;
int memory_debug_dir = 0;

namespace {

using ramdisk::Allocator;
using ramdisk::Config;
using ramdisk::Status;

// From load to unload. The allocator goes first: it uses the memory.
struct Plugin {
  Config config;
  std::unique_ptr<ramdisk::BudgetedMemory> memory;
  std::unique_ptr<Allocator> allocator;
};
Plugin* plugin;

int report(const Status& status) noexcept {
  if (status.ok()) return 0;
  if (*status.message()) nbdkit_error("%s", status.message());
  nbdkit_set_error(status.errnum());
  errno = status.errnum();
  return -1;
}

// As the client and the log should see it: why there was no memory is known here.
Status explained(Status status) noexcept {
  return status.errnum() == ENOMEM ? plugin->memory->budget().why() : std::move(status);
}

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

// ---- what is said about memory

// One phrase for people: how the disk is kept, and how full it is.
std::string describe() {
  const ramdisk::Usage usage = plugin->allocator->usage();
  std::string text = "RAM disk (" + plugin->allocator->describe() + "); " +
                     std::to_string(usage.stored_bytes) + " bytes stored in " +
                     std::to_string(usage.memory_bytes) + " bytes of memory";
  if (usage.memory_bytes > 0) {
    char ratio[32];
    snprintf(ratio, sizeof ratio, ", ratio %.2f",
             static_cast<double>(usage.stored_bytes) / static_cast<double>(usage.memory_bytes));
    text += ratio;
  }
  if (const auto limit = plugin->config.max_memory()) {
    text += ", limit " + std::to_string(*limit) + " bytes";
  }
  return text;
}

void log_level() noexcept {
  guarded([] {
    nbdkit_debug("%s; %" PRIu64 " bytes used in all", describe().c_str(),
                 plugin->memory->budget().used());
    return Status();
  });
}

// ---- life cycle

void memory_load() noexcept {
  guarded([] {
    plugin = std::make_unique<Plugin>().release();
    return Status();
  });
}

void memory_unload() noexcept {
  delete plugin;
  plugin = nullptr;
}

int memory_config(const char* key, const char* value) noexcept {
  return guarded([&] { return plugin ? plugin->config.set(key, value) : Status::no_memory(); });
}

int memory_config_complete() noexcept {
  return guarded([] { return plugin ? plugin->config.complete() : Status::no_memory(); });
}

// Into nbdkit's log, which has no word for what is not an error.
void report_mark(const ramdisk::Budget::Mark& mark) {
  nbdkit_error("%u %% of the memory for this disk is in use: %" PRIu64 " of %" PRIu64 " bytes",
               mark.percent, mark.used, mark.limit);
}

constexpr size_t kLockProbeBytes = size_t{2} << 20;  // memory comes in slabs of that

Status make_memory(const Config& config) {
  const bool lock = config.options().mlock;
  const bool at_once = config.options().type == ramdisk::AllocatorType::malloc;  // locks by itself
  if (lock && !at_once) {
    if (Status status = ramdisk::allow_locking(kLockProbeBytes); !status.ok()) {
      return status;
    }
  }
  ramdisk::Budget::Options limits;
  limits.limit = config.max_memory();
  if (config.keep_reserve()) {
    const auto swap = lock ? ramdisk::Swap::does_not : ramdisk::Swap::counts;
    limits.probe = [swap] { return ramdisk::available_memory(swap); };
  }
  if (!at_once) limits.on_mark = report_mark;
  plugin->memory = std::make_unique<ramdisk::BudgetedMemory>(
      ramdisk::make_default_memory({.lock = lock && !at_once, .dump = config.dump()}),
      std::move(limits));
  return {};
}

int memory_get_ready() noexcept {
  return guarded([] {
    if (Status status = make_memory(plugin->config); !status.ok()) return status;
    ramdisk::Environment environment;
    environment.memory = plugin->memory.get();
    if (memory_debug_dir) {
      environment.trace_directories = [](const std::string& line) {
        nbdkit_debug("%s", line.c_str());
      };
    }
    auto made =
        ramdisk::make_allocator(plugin->config.options(), plugin->config.disk_bytes(), environment);
    if (!made.ok()) return made.status();
    plugin->allocator = std::move(made.value());
    return plugin->allocator->get_ready();
  });
}

int memory_after_fork() noexcept {
  return guarded([] { return plugin->allocator->after_fork(); });
}

void memory_cleanup() noexcept {
  if (!plugin || !plugin->allocator) return;
  plugin->allocator->stop();
  log_level();
}

void memory_dump_plugin() noexcept {
  printf("mlock=%s\n", ramdisk::memory_lock_supported() ? "yes" : "no");
#ifdef RAMDISK_HAVE_ZSTD
  printf("zstd=yes\n");
#else
  printf("zstd=no\n");
#endif
  printf("ramdisk_version=%s\n", RAMDISK_VERSION);
#ifdef RAMDISK_HAVE_ZSTD
  printf("zstd_version=%s\n", ramdisk::zstd_version());
#endif
}

// ---- what a client is told

void* memory_open(int) noexcept {
  log_level();
  return NBDKIT_HANDLE_NOT_NEEDED;
}

void memory_close(void*) noexcept {
  log_level();
}

int64_t memory_get_size(void*) noexcept {
  return static_cast<int64_t>(plugin->config.disk_bytes());
}

// There is nothing to flush: once a request has been answered its data is where it stays.
int memory_can_fua(void*) noexcept {
  return NBDKIT_FUA_NATIVE;
}

// All connections see the same data at once.
int memory_can_multi_conn(void*) noexcept {
  return 1;
}

// Everything is in memory already, so caching succeeds by doing nothing.
int memory_can_cache(void*) noexcept {
  return NBDKIT_CACHE_NATIVE;
}

// Zeroing frees memory, which is never slower than writing to it.
int memory_can_fast_zero(void*) noexcept {
  return 1;
}

int memory_block_size(void*, uint32_t* minimum, uint32_t* preferred, uint32_t* maximum) noexcept {
  *minimum = 1;
  *preferred = plugin->allocator->preferred_block_size();
  *maximum = UINT32_MAX;
  return 0;
}

const char* memory_export_description(void*) noexcept {
  const char* text = nullptr;
  guarded([&] {
    text = nbdkit_strdup_intern(describe().c_str());
    return Status();
  });
  return text;
}

// ---- requests

int memory_pread(void*, void* buffer, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return guarded([&] {
    return plugin->allocator->read({static_cast<std::byte*>(buffer), count}, offset);
  });
}

int memory_pwrite(void*, const void* buffer, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return guarded([&] {
    return explained(
        plugin->allocator->write({static_cast<const std::byte*>(buffer), count}, offset));
  });
}

int memory_flush(void*, uint32_t) noexcept {
  return 0;
}

// Trimmed ranges read as zeroes, so trim and zero are the same, whatever the flags.
int memory_zero(void*, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return guarded([&] { return explained(plugin->allocator->zero(count, offset)); });
}

class ExtentList final : public ramdisk::ExtentVisitor {
 public:
  ExtentList(nbdkit_extents* extents, bool only_one) : extents_(extents), only_one_(only_one) {}

  bool extent(uint64_t offset, uint64_t length, ramdisk::ExtentKind kind) override {
    uint32_t type = 0;
    if (kind == ramdisk::ExtentKind::hole) type = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
    if (kind == ramdisk::ExtentKind::zero) type = NBDKIT_EXTENT_ZERO;
    failed_ = nbdkit_add_extent(extents_, offset, length, type) == -1;
    return !failed_ && !only_one_;
  }

  Status status() const { return failed_ ? Status::error(errno ? errno : ENOMEM, "") : Status(); }

 private:
  nbdkit_extents* const extents_;
  const bool only_one_;
  bool failed_ = false;
};

int memory_extents(void*, uint32_t count, uint64_t offset, uint32_t flags,
                   nbdkit_extents* extents) noexcept {
  return guarded([&] {
    ExtentList list(extents, flags & NBDKIT_FLAG_REQ_ONE);
    Status status = plugin->allocator->extents(count, offset, list);
    return status.ok() ? list.status() : status;
  });
}

nbdkit_plugin make_plugin() {
  nbdkit_plugin p{};
  p.name = "memory";
  p.longname = "nbdkit memory plugin";
  p.version = RAMDISK_VERSION;
  p.description = "RAM disk";
  p.load = memory_load;
  p.unload = memory_unload;
  p.config = memory_config;
  p.config_complete = memory_config_complete;
  p.config_help =
      "[size=]<SIZE>  (required) Size of the disk\n"
      "allocator=sparse|malloc[,mlock=true|false]|zstd[,level=N][,cache=SIZE][,recompress=true|"
      "false]\n"
      "               How the disk is stored (default: sparse)\n"
      "mlock=true     Keep the disk out of swap\n"
      "max-memory=<SIZE>|<N>%|none\n"
      "               Refuse to take more memory than this (default: what the system can spare)\n"
      "dump=true      Let the disk be part of core dumps";
  p.magic_config_key = "size";
  p.get_ready = memory_get_ready;
  p.after_fork = memory_after_fork;
  p.cleanup = memory_cleanup;
  p.dump_plugin = memory_dump_plugin;
  p.open = memory_open;
  p.close = memory_close;
  p.get_size = memory_get_size;
  p.can_fua = memory_can_fua;
  p.can_multi_conn = memory_can_multi_conn;
  p.can_cache = memory_can_cache;
  p.can_fast_zero = memory_can_fast_zero;
  p.block_size = memory_block_size;
  p.export_description = memory_export_description;
  p.pread = memory_pread;
  p.pwrite = memory_pwrite;
  p.flush = memory_flush;
  p.trim = memory_zero;
  p.zero = memory_zero;
  p.extents = memory_extents;
  p.errno_is_preserved = 1;
  return p;
}

nbdkit_plugin registration = make_plugin();

}  // namespace

NBDKIT_REGISTER_PLUGIN(registration)
