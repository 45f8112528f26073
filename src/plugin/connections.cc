// What a client is told about the export that it opens: a disk or, if the user has asked for them,
// the statistics.

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <atomic>
#include <memory>
#include <string>

#include "plugin/plugin_state.h"

namespace ramdisk {

namespace {

// What nbdkit's handle of a connection points to. A connection to the statistics has a document and
// no disk; a name that a client has chosen may have no disk yet.
struct Connection {
  std::atomic<Disk*> disk{nullptr};
  Disks::Ptr own;      // Serving::scratch: the disk that goes with the connection
  std::string name{};  // Serving::any: of the disk
  std::unique_ptr<const std::string> document;
};

Connection& connection(void* handle) {
  return *static_cast<Connection*>(handle);
}

void remember(const std::shared_ptr<Connection>& opened) {
  MutexLock lock(plugin->opening);
  plugin->connections.emplace(opened.get(), opened);
}

// Destroys the connection, unless the caller holds it.
void forget(void* handle) noexcept {
  std::shared_ptr<void> gone;
  MutexLock lock(plugin->opening);
  const auto found = plugin->connections.find(handle);
  if (found == plugin->connections.end()) return;
  gone = std::move(found->second);
  plugin->connections.erase(found);
}

bool is_statistics(const char* name) {
  return plugin->config.stats_export() == name;
}

// The message about a wrong name does not repeat the name, because the client chose it and it may
// contain anything.
Status no_such_export() {
  const auto& statistics = plugin->config.stats_export();
  if (plugin->config.serving() == Serving::one) {
    return Status::error(ENOENT,
                         "there is no such export: the disk has the empty name, its statistics "
                         "are '" +
                             *statistics + "'");
  }
  return limited(plugin->unopened,
                 Status::error(ENOENT, "there is no such export: exports= has the names"));
}

// Finds the disk of the connection, or says why there is none. With one disk every name stands for
// it, except that with a statistics export a mistyped name must be refused. With names, the empty
// one stands for the first disk.
Status open_disk(Connection& opened, const char* name) {
  Plugin& p = *plugin;
  switch (p.config.serving()) {
    case Serving::one:
      if (*name && p.config.stats_export()) return no_such_export();
      opened.disk = p.disks.all().front().get();
      return {};
    case Serving::named: {
      const Disks::Ptr found = *name ? p.disks.find(name) : p.disks.all().front();
      if (!found) return no_such_export();
      opened.disk = found.get();
      return {};
    }
    case Serving::any:
      opened.name = name;
      opened.disk = p.disks.find(name).get();
      // nbdkit does not tell a client that only asks (NBD_OPT_INFO) from one that stays, so a disk
      // is made by its first request. One that could not be made is refused at once.
      return opened.disk || p.disks.size() < p.config.most_disks() ? Status()
                                                                   : disk_called(p, name).status();
    case Serving::scratch: {
      Result<Disks::Ptr> made = make_scratch_disk(p);
      opened.own = made.value();
      opened.disk = opened.own.get();
      return made.status();
    }
  }
  return {};
}

void log_connection(const Connection& closing) noexcept {
  if (const Disk* const disk = closing.disk.load()) {
    log_disk(*disk);
  } else if (closing.document && plugin->config.serving() == Serving::one) {
    guarded([] {
      log_disk(*plugin->disks.all().front());
      return Status();
    });
  }
}

// libzstd takes what it works with from the heap, in pieces that lie in the heaps of several
// threads. glibc keeps them when a disk goes, unless they happen to be at the end of a heap.
void return_heap() noexcept {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

uint64_t disk_bytes(const Connection& to) {
  const Disk* const disk = to.disk.load(std::memory_order_acquire);
  return disk ? disk->bytes : bytes_of_each(*plugin);
}

}  // namespace

const std::string* document_of(void* handle) noexcept {
  return connection(handle).document.get();
}

// Disks of Serving::any stay until the end, so nobody has to hold this one.
Disk* disk_of(void* handle) noexcept {
  Connection& to = connection(handle);
  if (Disk* const disk = to.disk.load(std::memory_order_acquire)) return disk;
  guarded([&] {
    Result<Disks::Ptr> made = disk_called(*plugin, to.name);
    to.disk.store(made.value().get(), std::memory_order_release);
    return made.status();
  });
  return to.disk.load(std::memory_order_acquire);
}

int list_exports(int, int, nbdkit_exports* exports) noexcept {
  const Serving serving = plugin->config.serving();
  const auto& statistics = plugin->config.stats_export();
  const bool one = serving == Serving::one || serving == Serving::scratch;
  return guarded([&] {
    bool listed = true;
    const auto add = [&](const std::string& name, const std::string& description) {
      listed = listed && nbdkit_add_export(exports, name.c_str(), description.c_str()) == 0;
    };
    if (serving == Serving::scratch) {
      add("", "RAM disk (" + plugin->allocator + "), one for each connection");
    } else {
      for (const Disks::Ptr& disk : plugin->disks.all()) add(disk->name, describe_disk(*disk));
    }
    if (statistics) add(*statistics, one ? "statistics of the disk" : "statistics of the disks");
    return listed ? Status() : Status::error(errno ? errno : ENOMEM, "");
  });
}

void* open_export(int) noexcept {
  std::shared_ptr<Connection> opened;
  const int failed = guarded([&] {
    const char* name = nbdkit_export_name();
    if (!name) name = "";
    opened = std::make_shared<Connection>();
    remember(opened);
    if (!is_statistics(name)) return open_disk(*opened, name);
    opened->document = std::make_unique<const std::string>(make_document(false));
    return Status();
  });
  if (failed) {
    forget(opened.get());
    return nullptr;
  }
  log_connection(*opened);
  return opened.get();
}

void close_export(void* handle) noexcept {
  const Connection& closing = connection(handle);
  log_connection(closing);
  const bool has_own = closing.own != nullptr;
  if (has_own) plugin->disks.remove(*closing.own);
  forget(handle);
  if (!has_own) return;
  if (plugin->config.options().type == AllocatorType::zstd) return_heap();
}

int64_t get_size(void* handle) noexcept {
  const std::string* document = document_of(handle);
  return static_cast<int64_t>(document ? document->size() : disk_bytes(connection(handle)));
}

int can_write(void* handle) noexcept {
  return document_of(handle) == nullptr;
}

int can_extents(void* handle) noexcept {
  return document_of(handle) == nullptr;
}

// All connections to a disk see the same data at once, but each connection to the statistics has a
// document of its own, and so has each connection its disk, if the user wants that.
int can_multi_conn(void* handle) noexcept {
  return document_of(handle) == nullptr && plugin->config.serving() != Serving::scratch;
}

// The sizes are those of nbdkit's own plugin since 1.38, so that a client that was set up for it
// finds the same. Requests of any size at any offset work; whole pages of 4096 bytes cost least.
int block_size(void*, uint32_t* minimum, uint32_t* preferred, uint32_t* maximum) noexcept {
  *minimum = 1;
  *preferred = plugin->config.options().type == AllocatorType::malloc ? 512 : 32768;
  *maximum = UINT32_MAX;
  return 0;
}

const char* export_description(void* handle) noexcept {
  const bool several = plugin->config.serving() != Serving::one;
  if (document_of(handle)) return several ? "statistics of the disks" : "statistics of the disk";
  const char* text = nullptr;
  guarded([&] {
    const Disk* const disk = connection(handle).disk.load(std::memory_order_acquire);
    const std::string description =
        disk ? describe_disk(*disk) : "RAM disk (" + plugin->allocator + "), empty";
    text = nbdkit_strdup_intern(description.c_str());
    return Status();
  });
  return text;
}

}  // namespace ramdisk
