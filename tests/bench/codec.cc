// See codec.h.

#include "codec.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "measure.h"

#ifdef RAMDISK_BENCH_ZSTD
#include <zstd.h>
#endif

namespace bench {

#ifdef RAMDISK_BENCH_ZSTD

namespace {

constexpr size_t kPage = 4096;
constexpr uint64_t kPages = 1024;  // of a thread, evenly from the corpus

struct Frame {
  std::vector<std::byte> bytes;
  size_t length = 0;
};

// The codec of one thread, with pages as they are and compressed.
class Codec {
 public:
  explicit Codec(const Corpus& corpus) : corpus_(corpus), frames_(kPages) {
    for (uint64_t i = 0; i < kPages; ++i) {
      frames_[i].bytes.resize(ZSTD_compressBound(kPage));
      compress(i);
    }
  }

  void compress(uint64_t i) {
    Frame& frame = frames_[i];
    const uint64_t at = i * (corpus_.size() / kPage) / kPages * kPage;
    frame.length = ZSTD_compressCCtx(compression_.get(), frame.bytes.data(), frame.bytes.size(),
                                     corpus_.at(at), kPage, ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(frame.length)) throw std::runtime_error("zstd does not compress a page");
  }

  void decompress(uint64_t i) {
    const size_t length = ZSTD_decompressDCtx(decompression_.get(), page_.data(), page_.size(),
                                              frames_[i].bytes.data(), frames_[i].length);
    if (length != kPage) throw std::runtime_error("zstd does not decompress a page");
  }

 private:
  const Corpus& corpus_;
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> compression_{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> decompression_{ZSTD_createDCtx(),
                                                                    ZSTD_freeDCtx};
  std::vector<Frame> frames_;
  std::vector<std::byte> page_ = std::vector<std::byte>(kPage);
};

}  // namespace

CodecLimits codec_limits(const Corpus& corpus, unsigned threads, double seconds) {
  std::vector<std::unique_ptr<Codec>> codecs;
  for (unsigned t = 0; t < threads; ++t) codecs.push_back(std::make_unique<Codec>(corpus));
  CodecLimits limits;
  limits.compressions = rate(threads, seconds, [&](unsigned t, Random& random) {
    codecs[t]->compress(random.below(kPages));
  });
  limits.decompressions = rate(threads, seconds, [&](unsigned t, Random& random) {
    codecs[t]->decompress(random.below(kPages));
  });
  return limits;
}

#else

CodecLimits codec_limits(const Corpus&, unsigned, double) {
  return {};
}

#endif

}  // namespace bench
