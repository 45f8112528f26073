// The floor of every disk in memory: copies each request to or from a buffer that stays in the
// CPU's cache, and keeps nothing.

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <cstring>
#include <vector>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

namespace {

int64_t size = 0;

char* buffer(uint32_t count) {
  thread_local std::vector<char> bytes;
  if (bytes.size() < count) bytes.resize(count);
  return bytes.data();
}

nbdkit_plugin make_plugin() {
  nbdkit_plugin made = {};
  made.name = "null-copy";
  made.config = [](const char*, const char* value) {
    size = nbdkit_parse_size(value);
    return size < 0 ? -1 : 0;
  };
  made.open = [](int) -> void* { return NBDKIT_HANDLE_NOT_NEEDED; };
  made.get_size = [](void*) { return size; };
  made.can_multi_conn = [](void*) { return 1; };
  made.flush = [](void*, uint32_t) { return 0; };
  made.trim = made.zero = [](void*, uint32_t, uint64_t, uint32_t) { return 0; };
  made.pread = [](void*, void* data, uint32_t count, uint64_t, uint32_t) {
    std::memcpy(data, buffer(count), count);
    return 0;
  };
  made.pwrite = [](void*, const void* data, uint32_t count, uint64_t, uint32_t) {
    std::memcpy(buffer(count), data, count);
    return 0;
  };
  return made;
}

nbdkit_plugin plugin = make_plugin();

}  // namespace

NBDKIT_REGISTER_PLUGIN(plugin)
