// The disks of factory.h.

#include "support/factory.h"

#include <stdexcept>

#include "disk/clone_disk.h"

namespace ramdisk::support {

std::vector<AllocatorType> all_allocators() {
  std::vector<AllocatorType> all = sparse_allocators();
  all.push_back(AllocatorType::malloc);
  return all;
}

std::vector<AllocatorType> sparse_allocators() {
#ifdef RAMDISK_HAVE_ZSTD
  return {AllocatorType::sparse, AllocatorType::zstd};
#else
  return {AllocatorType::sparse};
#endif
}

std::unique_ptr<MemorySource> make_memory(Memory memory) {
  switch (memory) {
    case Memory::small_pages:
      return std::make_unique<SmallPageMemory>();
    case Memory::portable:
      return make_portable_memory();
    case Memory::system:
      break;
  }
  return make_system_memory();
}

std::vector<DiskType> with_clones(const std::vector<AllocatorType>& allocators,
                                  const std::vector<Base>& bases) {
  std::vector<DiskType> all(allocators.begin(), allocators.end());
  for (const AllocatorType type : sparse_allocators()) {
    for (const Base base : bases) all.emplace_back(type, base);
  }
  return all;
}

Disk::Disk(DiskType type, uint64_t bytes) : Disk(type, bytes, make_memory(Memory::system)) {}

Disk::Disk(DiskType type, uint64_t bytes, std::unique_ptr<MemorySource> memory)
    : owned_memory_(std::move(memory)) {
  start({.type = type.type}, bytes, {.memory = owned_memory_.get()}, type.base);
}

Disk::Disk(DiskType type, uint64_t bytes, MemorySource& memory, Trace trace) {
  start({.type = type.type}, bytes, {.memory = &memory, .trace_directories = std::move(trace)},
        type.base);
}

Disk::Disk(const AllocatorOptions& options, uint64_t bytes, MemorySource& memory,
           BackgroundTiming pace, Base base) {
  start(options, bytes, {.memory = &memory, .pace = pace}, base);
}

void Disk::start(const AllocatorOptions& options, uint64_t bytes, const Environment& environment,
                 Base base) {
  if (base != Base::none) {
    BaseDisk::Load load = [](Allocator&, uint64_t) {};
    if (base == Base::data) load = load_ranges;
    if (base == Base::zeroed) load = load_everywhere;
    base_ = std::make_unique<BaseDisk>(options.type, bytes, load);
    if (base == Base::data) content_ = base_.get();
  }
  auto made = base_ ? make_clone(*base_, bytes, options, environment)
                    : make_allocator(options, bytes, environment);
  status_ = made.status();
  if (!status_.ok()) return;
  allocator_ = std::move(made.value());
  status_ = allocator_->get_ready();
  if (status_.ok()) status_ = allocator_->after_fork();
  if (status_.ok() && base == Base::zeroed) status_ = allocator_->zero(bytes, 0);
}

Allocator& Disk::operator*() const {
  if (!works()) throw std::runtime_error(std::string("no disk: ") + status_.message());
  if (!allocator_) throw std::logic_error("the disk was stopped");
  return *allocator_;
}

void Disk::stop() {
  if (allocator_ && status_.ok()) allocator_->stop();
  allocator_.reset();
}

std::vector<Kind> all_kinds(const std::vector<Base>& bases) {
  std::vector<Kind> kinds;
  for (const AllocatorType type : all_allocators()) {
    for (const Memory memory : {Memory::system, Memory::small_pages, Memory::portable}) {
      kinds.push_back({type, memory});
    }
  }
  for (const DiskType& clone : with_clones({}, bases)) kinds.push_back({clone, Memory::system});
  return kinds;
}

std::string name_of_type(const testing::TestParamInfo<AllocatorType>& info) {
  return allocator_name(info.param);
}

void PrintTo(const DiskType& type, std::ostream* out) {
  const char* clone = type.base == Base::none    ? ""
                      : type.base == Base::empty ? "_clone_of_nothing"
                      : type.base == Base::data  ? "_clone"
                                                 : "_zeroed_clone";
  *out << allocator_name(type.type) << clone;
}

std::string name_of_disk(const testing::TestParamInfo<DiskType>& info) {
  return testing::PrintToString(info.param);
}

void PrintTo(const Kind& kind, std::ostream* out) {
  const char* memory = kind.memory == Memory::system        ? "system"
                       : kind.memory == Memory::small_pages ? "small_pages"
                                                            : "portable";
  PrintTo(kind.type, out);
  *out << "_" << memory;
}

std::string name_of_kind(const testing::TestParamInfo<Kind>& info) {
  return testing::PrintToString(info.param);
}

std::vector<std::byte> read_back(Allocator& disk, uint64_t count, uint64_t offset) {
  // Rubbish at first: a read must write every byte, also those of holes.
  std::vector<std::byte> bytes(count, std::byte{0xee});
  const Status status = disk.read(bytes, offset);
  EXPECT_TRUE(status.ok()) << "read of " << count << " at " << offset << ": " << status.message();
  return bytes;
}

}  // namespace ramdisk::support
