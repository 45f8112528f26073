#include "core/codec.h"

#include <zstd.h>

#include <array>
#include <condition_variable>
#include <new>

#include "core/page.h"

namespace ramdisk {

namespace {

struct Free {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

struct CodecPool::Context {
  std::unique_ptr<ZSTD_CCtx, Free> compressor{ZSTD_createCCtx()};
  std::unique_ptr<ZSTD_DCtx, Free> decompressor{ZSTD_createDCtx()};
};

// Stands in line for a context, on the stack of its thread.
struct CodecPool::Waiter {
  std::unique_ptr<Context> context;
  std::condition_variable_any arrived;
  Waiter* next = nullptr;
};

LevelRange zstd_levels() {
  return {ZSTD_minCLevel(), ZSTD_maxCLevel()};
}
const char* zstd_version() {
  return ZSTD_versionString();
}

CodecPool::CodecPool(int level, size_t most) : level_(level), most_(most) {
  idle_.reserve(most);
}
CodecPool::~CodecPool() = default;

// zstd takes a context's tables on its first use, so it is used here. nullptr: no memory.
std::unique_ptr<CodecPool::Context> CodecPool::make_context() const {
  auto context = std::make_unique<Context>();
  ZSTD_CCtx* compressor = context->compressor.get();
  if (!compressor || !context->decompressor) return nullptr;
  // The frame need not carry what the page table knows.
  ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, level_);
  ZSTD_CCtx_setParameter(compressor, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 0);
  const std::array<std::byte, kPageBytes> page{};
  std::array<std::byte, ZSTD_COMPRESSBOUND(kPageBytes)> out;
  const size_t length =
      ZSTD_compress2(compressor, out.data(), out.size(), page.data(), page.size());
  if (ZSTD_isError(length)) return nullptr;
  return context;
}

bool CodecPool::prepare() {
  auto context = make_context();
  if (!context) return false;
  MutexLock lock(mutex_);
  idle_.push_back(std::move(context));
  ++made_;
  return true;
}

std::unique_ptr<CodecPool::Context> CodecPool::wait_for_one(Waiter& waiter) {
  (last_waiter_ ? last_waiter_->next : first_waiter_) = &waiter;
  last_waiter_ = &waiter;
  while (!waiter.context) waiter.arrived.wait(mutex_);
  return std::move(waiter.context);
}

std::unique_ptr<CodecPool::Context> CodecPool::borrow() {
  Waiter waiter;
  {
    MutexLock lock(mutex_);
    if (!idle_.empty()) {
      auto context = std::move(idle_.back());
      idle_.pop_back();
      return context;
    }
    if (made_ == most_) return wait_for_one(waiter);
    ++made_;
  }
  try {
    if (auto context = make_context()) return context;
  } catch (const std::bad_alloc&) {
  }
  // No memory for another one: there is at least the first to wait for.
  MutexLock lock(mutex_);
  --made_;
  if (idle_.empty()) return wait_for_one(waiter);
  auto context = std::move(idle_.back());
  idle_.pop_back();
  return context;
}

void CodecPool::give_back(std::unique_ptr<Context> context) {
  MutexLock lock(mutex_);
  if (!first_waiter_) {
    idle_.push_back(std::move(context));
    return;
  }
  Waiter* waiter = first_waiter_;
  first_waiter_ = waiter->next;
  if (!first_waiter_) last_waiter_ = nullptr;
  waiter->context = std::move(context);
  waiter->arrived.notify_one();  // under the mutex: the waiter is gone once it sees the context
}

CodecPool::Lease::Lease(CodecPool& pool) : pool_(pool), context_(pool.borrow()) {}
CodecPool::Lease::~Lease() {
  pool_.give_back(std::move(context_));
}

size_t CodecPool::Lease::compress(std::span<std::byte> out, std::span<const std::byte> page) {
  const size_t length =
      ZSTD_compress2(context_->compressor.get(), out.data(), out.size(), page.data(), page.size());
  return ZSTD_isError(length) ? 0 : length;
}

bool CodecPool::Lease::decompress(std::span<std::byte> page, std::span<const std::byte> data) {
  return ZSTD_decompressDCtx(context_->decompressor.get(), page.data(), page.size(), data.data(),
                             data.size()) == page.size();
}

}  // namespace ramdisk
