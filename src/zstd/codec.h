// Compresses single pages with zstd: compressors, decompressors, and the dictionaries that they
// share.
//
// A dictionary is a sample of typical data, made by zstd's own trainer (zdict.h), that both the
// compressor and the decompressor know. It helps because a page of 4 KiB is too short to contain
// many repetitions of its own.
//
// Thread contract: one thread at a time uses a Compressor or Decompressor (see Pool). A Dictionary
// is immutable, so any number of threads may share it.

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
  // Trains a dictionary for compression at `level` on `samples`, which are contiguous pages.
  // Returns nullptr if there is no memory or the samples have nothing in common.
  static std::unique_ptr<Dictionary> train(std::span<const std::byte> samples, int level);

  // As train(), in a hundredth of the time and for about half of the gain: the content is
  // unprocessed pieces of the samples, with zstd's tables of the most frequent symbols.
  static std::unique_ptr<Dictionary> collect(std::span<const std::byte> samples, int level);

  // Makes a useless dictionary of the maximum size, to measure how much memory one takes.
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
  // `level` must be within zstd_levels(). Returns nullptr if there is no memory. zstd allocates the
  // tables of a context on its first use, so this compresses `bytes` bytes at once: the most that
  // the compressor will be given later.
  static std::unique_ptr<Compressor> make(int level, size_t bytes);
  ~Compressor();

  // Compresses `data` into `out`, with `dictionary` unless that is nullptr; it must have been
  // trained for this level. Returns the length of the result, or 0 if it does not fit.
  size_t compress(std::span<std::byte> out, std::span<const std::byte> data,
                  const Dictionary* dictionary);

  // Loads `dictionary` for this compressor's own level; compress() with nullptr then uses it.
  // Returns false if there is no memory.
  bool adopt(const Dictionary& dictionary);

  size_t memory_bytes() const;

  // Returns what a compressor made with these arguments takes once it has adopted the largest
  // dictionary and has been used; 0 if there is no memory to find out.
  static size_t most_memory_bytes(int level, size_t bytes);

 private:
  Compressor() = default;
  ZSTD_CCtx_s* context_ = nullptr;
  bool refers_ = false;  // to a dictionary, which may no longer exist
};

class Decompressor {
 public:
  static std::unique_ptr<Decompressor> make();  // nullptr if there is no memory
  ~Decompressor();

  // Decompresses `data`, made by compress() with the same dictionary, and fills `out` exactly.
  // Returns false if `data` is damaged.
  bool decompress(std::span<std::byte> out, std::span<const std::byte> data,
                  const Dictionary* dictionary);

  size_t memory_bytes() const;

 private:
  Decompressor() = default;
  ZSTD_DCtx_s* context_ = nullptr;
};

}  // namespace ramdisk

#endif
