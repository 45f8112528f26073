// The life cycle of a plugin as nbdkit runs it; see disk.h.

#include "disk.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>

#include "measure.h"

namespace bench {

void Disk::fail(const char* what) {
  throw std::runtime_error(std::string("the plugin failed in ") + what);
}

Disk::Disk(const std::string& plugin_path, const Parameters& parameters) {
  load(plugin_path);
  start(parameters);
}

void Disk::load(const std::string& path) {
  // Lazily, so that a plugin may import functions that it never calls and that are not here.
  library_ = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library_) throw std::runtime_error(dlerror());
  using Init = nbdkit_plugin* (*)();
  const auto init = reinterpret_cast<Init>(dlsym(library_, "plugin_init"));
  if (!init) throw std::runtime_error(path + ": no plugin_init");
  const nbdkit_plugin* found = init();
  if (!found || found->_api_version != 2) throw std::runtime_error(path + ": not of API version 2");
  // A plugin built with another nbdkit's header has more members than ours knows, or fewer.
  std::memcpy(&plugin_, found, std::min<uint64_t>(found->_struct_size, sizeof plugin_));
  if (!plugin_.open || !plugin_.get_size || !plugin_.pread || !plugin_.pwrite) {
    throw std::runtime_error(path + ": not a disk that can be written");
  }
}

void Disk::start(const Parameters& parameters) {
  if (plugin_.load) plugin_.load();
  const double begin = now();
  for (const auto& [key, value] : parameters) {
    if (!plugin_.config) fail("config");
    check(plugin_.config(key.c_str(), value.c_str()), "config");
  }
  if (plugin_.config_complete) check(plugin_.config_complete(), "config_complete");
  if (plugin_.thread_model) check(plugin_.thread_model(), "thread_model");
  if (plugin_.get_ready) check(plugin_.get_ready(), "get_ready");
  if (plugin_.after_fork) check(plugin_.after_fork(), "after_fork");
  start_seconds_ = now() - begin;
  if (plugin_.preconnect) check(plugin_.preconnect(0), "preconnect");
  handle_ = plugin_.open(0);
  if (!handle_) fail("open");
  const int64_t size = plugin_.get_size(handle_);
  if (size < 0) fail("get_size");
  size_ = static_cast<uint64_t>(size);
}

// The library stays mapped: its threads may still be on their way out, and the process ends anyway.
Disk::~Disk() {
  if (handle_ && plugin_.close) plugin_.close(handle_);
  if (plugin_.cleanup) plugin_.cleanup();
  if (plugin_.unload) plugin_.unload();
}

}  // namespace bench
