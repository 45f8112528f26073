// zstd, page by page: compressors, decompressors and the dictionaries that they share.
//
// A dictionary is a piece of typical data, made by zstd's own trainer (zdict.h), that compressor
// and decompressor both know: a page of 4 KiB is too short to find many repetitions in itself.
//
// Thread contract: a Compressor or Decompressor is one thread's at a time (see Pool); a Dictionary
// does not change and may be used by any number of them.

#ifndef RAMDISK_ZSTD_CODEC_H
#define RAMDISK_ZSTD_CODEC_H

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;
struct ZSTD_CDict_s;
struct ZSTD_DDict_s;

namespace ramdisk {

struct LevelRange {
  int least;
  int most;
};
LevelRange zstd_levels();
const char* zstd_version();

class Dictionary {
 public:
  // Trains on `samples`, pages one behind the other, for compression at `level`. nullptr if there
  // is no memory or the samples have nothing in common.
  static std::unique_ptr<Dictionary> train(std::span<const std::byte> samples, int level);

  // The same in a hundredth of the time, for about half of the gain: pieces of the samples as they
  // are, with tables of what is frequent.
  static std::unique_ptr<Dictionary> collect(std::span<const std::byte> samples, int level);

  // One that is as large as they get and of no use, to see how much memory one takes.
  static std::unique_ptr<Dictionary> largest(int level);
  ~Dictionary();

  size_t memory_bytes() const;

 private:
  friend class Compressor;
  friend class Decompressor;
  Dictionary() = default;
  static std::unique_ptr<Dictionary> from(std::vector<std::byte> content, size_t bytes, int level);

  std::vector<std::byte> content_;
  ZSTD_CDict_s* compression_ = nullptr;
  ZSTD_DDict_s* decompression_ = nullptr;
};

class Compressor {
 public:
  // `level` is within zstd_levels(). nullptr when there is no memory. zstd takes a context's tables
  // on its first use, so it is used here, on `bytes` bytes, the most it will be given later.
  static std::unique_ptr<Compressor> make(int level, size_t bytes);
  ~Compressor();

  // Compresses `data` into `out`, with `dictionary` unless that is nullptr, which was trained for
  // this level. The length of the result, or 0 if it does not fit.
  size_t compress(std::span<std::byte> out, std::span<const std::byte> data,
                  const Dictionary* dictionary);

  // Takes the tables of `dictionary` for this compressor's own level; compress() with nullptr then
  // uses them. False when there is no memory.
  bool adopt(const Dictionary& dictionary);

  size_t memory_bytes() const;

  // What one made with these takes when it has adopted the largest dictionary and has been used. 0
  // when there is no memory to find out.
  static size_t most_memory_bytes(int level, size_t bytes);

 private:
  Compressor() = default;
  ZSTD_CCtx_s* context_ = nullptr;
  bool refers_ = false;  // to a dictionary, which may be gone by now
};

class Decompressor {
 public:
  static std::unique_ptr<Decompressor> make();  // nullptr when there is no memory
  ~Decompressor();

  // Decompresses `data`, made by compress() with the same dictionary, into exactly `out`. False if
  // it is damaged.
  bool decompress(std::span<std::byte> out, std::span<const std::byte> data,
                  const Dictionary* dictionary);

  size_t memory_bytes() const;

 private:
  Decompressor() = default;
  ZSTD_DCtx_s* context_ = nullptr;
};

}  // namespace ramdisk

#endif
