// What a client is told about the export that it opens: the disk or, if the user has asked for
// them, its statistics.

#include <memory>
#include <string>

#include "plugin/plugin_state.h"

namespace ramdisk {

namespace {

char disk_handle;  // its address is the handle of all connections to the disk

// Without a statistics export, every name stands for the disk. With one, a mistyped name must be
// refused.
enum class Export { disk, statistics, none };
Export export_called(const char* name) {
  const auto& wanted = plugin->config.stats_export();
  if (!wanted || !name || !*name) return Export::disk;
  return *wanted == name ? Export::statistics : Export::none;
}

}  // namespace

const std::string* document_of(void* handle) noexcept {
  return handle == &disk_handle ? nullptr : static_cast<const std::string*>(handle);
}

int list_exports(int, int, nbdkit_exports* exports) noexcept {
  if (!plugin->config.stats_export()) return nbdkit_use_default_export(exports);
  return guarded([&] {
    const char* const name = plugin->config.stats_export()->c_str();
    const bool listed = nbdkit_add_export(exports, "", describe_disk().c_str()) == 0 &&
                        nbdkit_add_export(exports, name, "statistics of the disk") == 0;
    return listed ? Status() : Status::error(errno ? errno : ENOMEM, "");
  });
}

// The message about a wrong name does not repeat the name, because the client chose it and it may
// contain anything.
void* open_export(int) noexcept {
  std::unique_ptr<std::string> document;
  const int failed = guarded([&] {
    switch (export_called(nbdkit_export_name())) {
      case Export::disk:
        break;
      case Export::statistics:
        document = std::make_unique<std::string>(make_document(false));
        break;
      case Export::none:
        return Status::error(ENOENT,
                             "there is no such export: the disk has the empty name, its "
                             "statistics are '" +
                                 *plugin->config.stats_export() + "'");
    }
    return Status();
  });
  if (failed) return nullptr;
  log_disk();
  return document ? static_cast<void*>(document.release()) : &disk_handle;
}

void close_export(void* handle) noexcept {
  delete document_of(handle);
  log_disk();
}

int64_t get_size(void* handle) noexcept {
  const std::string* document = document_of(handle);
  return static_cast<int64_t>(document ? document->size() : plugin->disk_bytes);
}

int can_write(void* handle) noexcept {
  return document_of(handle) == nullptr;
}

int can_extents(void* handle) noexcept {
  return document_of(handle) == nullptr;
}

// All connections to the disk see the same data at once, but each connection to the statistics has
// a document of its own.
int can_multi_conn(void* handle) noexcept {
  return document_of(handle) == nullptr;
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
  if (document_of(handle)) return "statistics of the disk";
  const char* text = nullptr;
  guarded([&] {
    text = nbdkit_strdup_intern(describe_disk().c_str());
    return Status();
  });
  return text;
}

}  // namespace ramdisk
