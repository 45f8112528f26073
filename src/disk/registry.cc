#include "disk/registry.h"

#include "disk/malloc_disk.h"
#include "disk/sparse_disk.h"
#include "disk/zstd.h"
#include "memory/memory_lock.h"

namespace ramdisk {

namespace {

// The folder src/zstd may be left out of a build; only this file has to know.
#ifdef RAMDISK_HAVE_ZSTD
constexpr bool kHaveZstd = true;
#else
constexpr bool kHaveZstd = false;
#endif

}  // namespace

std::optional<ZstdSupport> zstd_support() {
  if constexpr (kHaveZstd) {
    return ask_zstd();
  } else {
    return std::nullopt;
  }
}

Status check_options(const AllocatorOptions& options) {
  if (options.type == AllocatorType::zstd && !kHaveZstd) {
    return Status::error(ENOTSUP,
                         "allocator=zstd: this plugin was built without zstd support "
                         "(available: sparse, malloc)");
  }
  if (options.mlock && !memory_lock_supported()) {
    return Status::error(ENOTSUP, "mlock=true: this system cannot lock memory");
  }
  return {};
}

Result<std::unique_ptr<Allocator>> make_allocator(const AllocatorOptions& options,
                                                  uint64_t disk_bytes,
                                                  const Environment& environment) {
  switch (options.type) {
    case AllocatorType::sparse:
      return {std::make_unique<SparseDisk>(environment, disk_bytes)};
    case AllocatorType::malloc:
      return {std::make_unique<MallocDisk>(environment, disk_bytes, options.mlock)};
    case AllocatorType::zstd:
      if constexpr (kHaveZstd) return {make_zstd_disk(environment, disk_bytes, options)};
      break;
  }
  return check_options(options);
}

}  // namespace ramdisk
