// The synchronous half of libnbd as exceptions and vectors.

#include "support/client.h"

#include <cerrno>
#include <memory>
#include <ostream>
#include <span>

namespace wire {
namespace {

void check(int result) {
  if (result < 0) throw ClientError();
}

struct Collector {
  uint64_t next;
  Extents extents;
};

int collect(void* user_data, const char* /*context*/, uint64_t /*offset*/, uint32_t* entries,
            size_t count, int* /*error*/) {
  auto* collector = static_cast<Collector*>(user_data);
  for (size_t i = 0; i + 1 < count; i += 2) {
    collector->extents.push_back({collector->next, entries[i], entries[i + 1]});
    collector->next += entries[i];
  }
  return 0;
}

Bytes make(uint64_t count, ramdisk::support::Data kind, uint64_t seed) {
  Random random(seed);
  Bytes data(count);
  ramdisk::support::fill(std::as_writable_bytes(std::span(data)), kind, random);
  return data;
}

}  // namespace

void PrintTo(const Extent& extent, std::ostream* out) {
  *out << "[" << extent.offset << " +" << extent.length << " flags " << extent.flags << "]";
}

Client::Client(const Server& server) : handle_(nbd_create()) {
  if (!handle_) throw ClientError();
  if (nbd_add_meta_context(handle_, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
      nbd_set_full_info(handle_, true) < 0 ||
      nbd_connect_unix(handle_, server.socket().c_str()) < 0) {
    const ClientError error;
    nbd_close(handle_);
    throw error;
  }
  // The server's answers are under test, not libnbd's own checks.
  nbd_set_strict_mode(handle_, 0);
}

Client::~Client() {
  nbd_close(handle_);
}

uint64_t Client::size() const {
  const int64_t size = nbd_get_size(handle_);
  if (size < 0) throw ClientError();
  return static_cast<uint64_t>(size);
}

Bytes Client::read(uint64_t count, uint64_t offset, uint32_t flags) const {
  Bytes data(count, 0xEE);  // what the server does not fill shows
  check(nbd_pread(handle_, data.data(), count, offset, flags));
  return data;
}

void Client::write(const Bytes& data, uint64_t offset, uint32_t flags) const {
  check(nbd_pwrite(handle_, data.data(), data.size(), offset, flags));
}

void Client::zero(uint64_t count, uint64_t offset, uint32_t flags) const {
  check(nbd_zero(handle_, count, offset, flags));
}

void Client::trim(uint64_t count, uint64_t offset, uint32_t flags) const {
  check(nbd_trim(handle_, count, offset, flags));
}

void Client::cache(uint64_t count, uint64_t offset) const {
  check(nbd_cache(handle_, count, offset, 0));
}

void Client::flush() const {
  check(nbd_flush(handle_, 0));
}

Extents Client::extents(uint64_t count, uint64_t offset, uint32_t flags) const {
  Collector collector{offset, {}};
  const nbd_extent_callback callback = {
      .callback = collect, .user_data = &collector, .free = nullptr};
  check(nbd_block_status(handle_, count, offset, callback, flags));
  return collector.extents;
}

void Client::disconnect() const {
  check(nbd_shutdown(handle_, 0));
}

Bytes noise(uint64_t count, uint64_t seed) {
  Bytes data = make(count, ramdisk::support::Data::random, seed);
  for (uint8_t& byte : data) byte |= byte == 0;
  return data;
}

Bytes text(uint64_t count, uint64_t seed) {
  return make(count, ramdisk::support::Data::text, seed);
}

Words disk(const std::string& allocator, uint64_t size) {
  return {std::to_string(size), "allocator=" + allocator};
}

}  // namespace wire
