#include "core/codec.h"

#include <zstd.h>

#include <array>

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

// A context for as long as this lives.
class CodecPool::Lease {
 public:
  explicit Lease(CodecPool& pool) : pool_(pool), context_(pool.borrow()) {}
  ~Lease() { pool_.give_back(std::move(context_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Context* operator->() const { return context_.get(); }

 private:
  CodecPool& pool_;
  std::unique_ptr<Context> context_;
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

std::unique_ptr<CodecPool::Context> CodecPool::borrow() {
  for (;;) {
    {
      MutexLock lock(mutex_);
      while (idle_.empty() && made_ >= most_) returned_.wait(mutex_);
      if (!idle_.empty()) {
        auto context = std::move(idle_.back());
        idle_.pop_back();
        return context;
      }
      ++made_;
    }
    try {
      if (auto context = make_context()) return context;
    } catch (const std::bad_alloc&) {
    }
    // No memory for another one: there is at least the first to wait for.
    MutexLock lock(mutex_);
    --made_;
    while (idle_.empty()) returned_.wait(mutex_);
  }
}

void CodecPool::give_back(std::unique_ptr<Context> context) {
  {
    MutexLock lock(mutex_);
    idle_.push_back(std::move(context));
  }
  returned_.notify_one();
}

size_t CodecPool::compress(std::span<std::byte> out, std::span<const std::byte> page) {
  Lease lease(*this);
  const size_t length =
      ZSTD_compress2(lease->compressor.get(), out.data(), out.size(), page.data(), page.size());
  return ZSTD_isError(length) ? 0 : length;
}

bool CodecPool::decompress(std::span<std::byte> page, std::span<const std::byte> data) {
  Lease lease(*this);
  return ZSTD_decompressDCtx(lease->decompressor.get(), page.data(), page.size(), data.data(),
                             data.size()) == page.size();
}

}  // namespace ramdisk
