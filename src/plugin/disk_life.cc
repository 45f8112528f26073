// How disks begin and end: at the start, or when a client asks for one.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "base/shared_copy.h"
#include "base/sizes.h"
#include "disk/clone_disk.h"
#include "disk/registry.h"
#include "image/replacement.h"
#include "memory/available_memory.h"
#include "memory/memory_lock.h"
#include "plugin/exports.h"
#include "plugin/plugin_state.h"
#include "table/slab_allocator.h"

// Set by nbdkit's debug flag -D memory.dir=1; nbdkit prescribes the name.
extern "C" [[gnu::visibility("default")]] int memory_debug_dir;
int memory_debug_dir = 0;

namespace ramdisk {

namespace {

// ---- memory

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
Status make_memory(Plugin& p) {
  const Config& config = p.config;
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
  p.system_memory = make_default_memory(
      {.lock = lock && grows, .dump = config.dump(), .on_refusal = report_refusal});
  p.budget = std::make_shared<Budget>(std::move(limits));
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

// ---- one disk

Disks::Ptr new_disk(const Plugin& p, std::string_view name) {
  auto disk = std::make_shared<Disk>();
  disk->name = name;
  disk->operations = p.operations ? p.operations : std::make_shared<Operations>();
  return disk;
}

// Makes what stores the content: a clone if there is a base for it. A disk that is the only one has
// threads of its own.
Status make_content(Plugin& p, Disk& disk, Allocator* base = nullptr) {
  const bool only_one = p.config.serving() == Serving::one;
  disk.memory = std::make_unique<BudgetedMemory>(p.system_memory, p.budget, !only_one);
  Environment environment;
  environment.memory = disk.memory.get();
  if (!only_one) environment.workers = &p.workers;
  if (memory_debug_dir) {
    environment.trace_directories = [](const std::string& line) {
      nbdkit_debug("%s", line.c_str());
    };
  }
  auto made = base ? make_clone(*base, disk.bytes, p.config.options(), environment)
                   : make_allocator(p.config.options(), disk.bytes, environment);
  if (!made.ok()) return made.status();
  disk.allocator = std::move(made.value());
  return disk.allocator->get_ready();
}

// The disks that are there from the start.
std::vector<Disks::Ptr> at_start(const Plugin& p) {
  std::vector<Disks::Ptr> disks = p.disks.all();
  if (p.base) disks.push_back(p.base);
  return disks;
}

// Makes a disk while others are served. What a disk takes before anything is written must leave
// those what they need for changes.
Result<Disks::Ptr> make_served_disk(Plugin& p, std::string_view name) {
  Disks::Ptr disk = new_disk(p, name);
  disk->bytes = bytes_of_each(p);
  Allocator* const base = p.base ? p.base->allocator.get() : nullptr;
  if (Status status = make_content(p, *disk, base); !status.ok()) return status;
  const bool charges = p.config.options().type == AllocatorType::zstd && !base;
  if (charges && !p.budget->admits_new(p.budget->used())) return Status::no_memory();
  if (Status status = disk->allocator->after_fork(); !status.ok()) return status;
  return {std::move(disk)};
}

// What a client is told who asks for a disk that cannot be made. A malloc disk knows best why it
// has no memory, of the others the budget does.
Status not_made(Plugin& p, const Status& status) {
  const bool ask = status.errnum() == ENOMEM && p.config.options().type != AllocatorType::malloc;
  return limited(p.unopened, ask ? p.budget->why() : status);
}

// The most that the disk can store: a disk that does not compress holds no more than there is
// memory.
uint64_t most_stored(const Plugin& p, uint64_t disk_bytes) {
  if (p.config.options().type == AllocatorType::zstd) return disk_bytes;
  return std::min(disk_bytes, p.config.max_memory().value_or(available_memory().total));
}

// Disks are loaded in the process that serves: memory that is written before a fork would be shared
// with a parent that stays (--run) and then be copied, page by page; it would not be locked; and a
// zstd disk has its threads only here.
Status load_image(Plugin& p, Disk& disk) {
  if (!disk.image) return {};
  p.loading = true;
  Status status = disk.image->load(*disk.allocator, *p.budget);
  p.loading = false;
  const unsigned percent = p.mark_while_loading.exchange(0);
  if (status.ok() && percent > 0) {
    report_mark({percent, p.budget->used(), p.budget->limit().value_or(0)});
  }
  return status;
}

// No two disks may be saved to one file, whatever links lead there, and none to where another one's
// new file is before it is complete.
Status check_saved_files(const std::vector<Disks::Ptr>& disks) {
  std::map<std::string, const Disk*> taken;
  for (const Disks::Ptr& disk : disks) {
    const std::string* const path = disk->image ? disk->image->saved_path() : nullptr;
    if (!path) continue;
    for (const std::string& name : {*path, Replacement::unfinished(*path)}) {
      const Disk* const first = taken.emplace(name, disk.get()).first->second;
      if (first == disk.get()) continue;
      return Status::error(EINVAL, "exports=: to save '" + printable(first->name) + "' and '" +
                                       printable(disk->name) + "' would both write to " + name);
    }
  }
  return {};
}

}  // namespace

uint64_t bytes_of_each(const Plugin& p) {
  return p.base ? p.base->bytes : p.config.disk_bytes().value_or(0);
}

// Opens the files to load now, because nbdkit may change its user and directory next.
Status open_images(Plugin& p) {
  const bool scratch = p.config.serving() == Serving::scratch;
  if (scratch) p.operations = std::make_shared<Operations>();
  std::vector<Disks::Ptr> disks;
  for (const DiskPlan& plan : p.config.plans()) {
    if (scratch && !plan.has_file()) continue;
    disks.push_back(new_disk(p, plan.name));
    disks.back()->bytes = plan.bytes.value_or(0);
    if (!plan.has_file()) continue;
    disks.back()->image = std::make_unique<DiskImage>(plan);
    if (Status status = disks.back()->image->find_files(); !status.ok()) return status;
  }
  if (Status status = check_saved_files(disks); !status.ok()) return status;
  for (Disks::Ptr& disk : disks) {
    if (disk->image) {
      Result<uint64_t> bytes = disk->image->open();
      if (!bytes.ok()) return bytes.status();
      disk->bytes = bytes.value();
      if (Status status = disk->image->check_saving(); !status.ok()) return status;
      disk->image->warn_of_room(most_stored(p, disk->bytes));
    }
    if (scratch) {
      p.base = std::move(disk);
    } else {
      p.disks.add(std::move(disk));
    }
  }
  return {};
}

Status make_disks(Plugin& p) {
  if (Status status = make_memory(p); !status.ok()) return status;
  choose_how_to_copy(*p.system_memory);
  for (const Disks::Ptr& disk : at_start(p)) {
    if (Status status = make_content(p, *disk); !status.ok()) return status;
    p.allocator = disk->allocator->describe();
  }
  if (p.disks.size() > 0) return {};
  // One is made and goes again, so that what could never be made is an error now.
  Disk trial;
  trial.bytes = bytes_of_each(p);
  Allocator* const base = p.base ? p.base->allocator.get() : nullptr;
  if (Status status = make_content(p, trial, base); !status.ok()) return status;
  p.allocator = trial.allocator->describe();
  return {};
}

Status start_disks(Plugin& p) {
  const std::vector<Disks::Ptr> disks = at_start(p);
  for (const Disks::Ptr& disk : disks) {
    if (!disk->image) continue;
    if (Status status = disk->image->check_saving(); !status.ok()) return status;
  }
  for (const Disks::Ptr& disk : disks) {
    if (Status status = disk->allocator->after_fork(); !status.ok()) return status;
  }
  for (const Disks::Ptr& disk : disks) {
    if (Status status = load_image(p, *disk); !status.ok()) return status;
  }
  return {};
}

void save_disks(Plugin& p) noexcept {
  guarded([&] {
    for (const Disks::Ptr& disk : p.disks.all()) {
      if (!disk->image || !disk->allocator) continue;
      guarded([&] { return disk->image->save(*disk->allocator); });
    }
    return Status();
  });
}

Result<Disks::Ptr> disk_called(Plugin& p, std::string_view name) {
  MutexLock lock(p.making);
  if (Disks::Ptr disk = p.disks.find(name)) return {std::move(disk)};
  if (p.disks.size() >= p.config.most_disks()) {
    return limited(
        p.unopened,
        Status::error(ENOSPC, "there are as many disks as exports-max allows, which is " +
                                  std::to_string(p.config.most_disks())));
  }
  Result<Disks::Ptr> made = make_served_disk(p, name);
  if (!made.ok()) return not_made(p, made.status());
  p.disks.add(made.value());
  return made;
}

Result<Disks::Ptr> make_scratch_disk(Plugin& p) {
  Result<Disks::Ptr> made = make_served_disk(p, {});
  if (!made.ok()) return not_made(p, made.status());
  p.disks.add(made.value());
  return made;
}

}  // namespace ramdisk
