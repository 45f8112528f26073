#include "zstd/codec.h"

#include <zdict.h>
#include <zstd.h>

#include <algorithm>

#include "base/check.h"
#include "base/page.h"

namespace ramdisk {

LevelRange zstd_levels() {
  return {ZSTD_minCLevel(), ZSTD_maxCLevel()};
}
const char* zstd_version() {
  return ZSTD_versionString();
}

// ---- dictionaries

namespace {

constexpr size_t kDictionaryBytes = 110 << 10;  // the default of zstd's own tool; more gains little

std::vector<size_t> lengths_of(std::span<const std::byte> samples) {
  DCHECK(samples.size() % kPageBytes == 0);
  return std::vector<size_t>(samples.size() / kPageBytes, kPageBytes);
}

}  // namespace

std::unique_ptr<Dictionary> Dictionary::train(std::span<const std::byte> samples, int level) {
  const std::vector<size_t> lengths = lengths_of(samples);
  std::vector<std::byte> content(kDictionaryBytes);
  const size_t bytes = ZDICT_trainFromBuffer(content.data(), content.size(), samples.data(),
                                             lengths.data(), static_cast<unsigned>(lengths.size()));
  return from(std::move(content), bytes, level);
}

std::unique_ptr<Dictionary> Dictionary::collect(std::span<const std::byte> samples, int level) {
  constexpr size_t kPiece = 1024;
  constexpr size_t kTables = 2048;    // the most that they take
  constexpr size_t kForTables = 128;  // samples that they are made from
  const std::vector<size_t> lengths = lengths_of(samples);
  const size_t pieces = std::min((kDictionaryBytes - kTables) / kPiece, samples.size() / kPiece);
  std::vector<std::byte> collected;
  collected.reserve(pieces * kPiece);
  for (size_t i = 0; i < pieces; ++i) {
    const size_t at = i * (samples.size() / kPiece) / pieces * kPiece;
    const auto piece = samples.subspan(at, kPiece);
    collected.insert(collected.end(), piece.begin(), piece.end());
  }
  std::vector<std::byte> content(kDictionaryBytes);
  ZDICT_params_t parameters{};
  parameters.compressionLevel = level;
  const size_t bytes = ZDICT_finalizeDictionary(
      content.data(), content.size(), collected.data(), collected.size(), samples.data(),
      lengths.data(), static_cast<unsigned>(std::min(kForTables, lengths.size())), parameters);
  return from(std::move(content), bytes, level);
}

std::unique_ptr<Dictionary> Dictionary::largest(int level) {
  std::vector<std::byte> content(kDictionaryBytes);
  uint32_t state = 1;
  for (std::byte& b : content) {
    state = state * 1664525 + 1013904223;
    b = static_cast<std::byte>(state >> 24);
  }
  return from(std::move(content), kDictionaryBytes, level);
}

// `bytes` is what zdict returned: the length of the content, or an error.
std::unique_ptr<Dictionary> Dictionary::from(std::vector<std::byte> content, size_t bytes,
                                             int level) {
  if (ZDICT_isError(bytes)) return nullptr;
  std::unique_ptr<Dictionary> made(new Dictionary);
  made->content_ = std::move(content);
  made->content_.resize(bytes);
  made->content_.shrink_to_fit();
  made->compression_ = ZSTD_createCDict(made->content_.data(), bytes, level);
  made->decompression_ = ZSTD_createDDict(made->content_.data(), bytes);
  if (!made->compression_ || !made->decompression_) return nullptr;
  return made;
}

Dictionary::~Dictionary() {
  ZSTD_freeCDict(compression_);
  ZSTD_freeDDict(decompression_);
}

size_t Dictionary::memory_bytes() const {
  return content_.size() + ZSTD_sizeof_CDict(compression_) + ZSTD_sizeof_DDict(decompression_);
}

// ---- compression

std::unique_ptr<Compressor> Compressor::make(int level, size_t bytes) {
  std::unique_ptr<Compressor> made(new Compressor);
  made->context_ = ZSTD_createCCtx();
  if (!made->context_) return nullptr;
  // The frame need not record what the page table already knows.
  ZSTD_CCtx_setParameter(made->context_, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(made->context_, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(made->context_, ZSTD_c_checksumFlag, 0);
  ZSTD_CCtx_setParameter(made->context_, ZSTD_c_dictIDFlag, 0);
  const std::vector<std::byte> data(bytes);
  std::vector<std::byte> out(ZSTD_compressBound(bytes));
  return made->compress(out, data, nullptr) > 0 ? std::move(made) : nullptr;
}

Compressor::~Compressor() {
  ZSTD_freeCCtx(context_);
}

size_t Compressor::compress(std::span<std::byte> out, std::span<const std::byte> data,
                            const Dictionary* dictionary) {
  if (dictionary || refers_) {
    // If the last result did not fit, zstd is still in the middle of that frame and would refuse
    // another dictionary.
    ZSTD_CCtx_reset(context_, ZSTD_reset_session_only);
    const size_t error =
        ZSTD_CCtx_refCDict(context_, dictionary ? dictionary->compression_ : nullptr);
    if (ZSTD_isError(error)) return 0;
    refers_ = dictionary != nullptr;
  }
  const size_t length = ZSTD_compress2(context_, out.data(), out.size(), data.data(), data.size());
  return ZSTD_isError(length) ? 0 : length;
}

bool Compressor::adopt(const Dictionary& dictionary) {
  return !ZSTD_isError(
      ZSTD_CCtx_loadDictionary(context_, dictionary.content_.data(), dictionary.content_.size()));
}

size_t Compressor::memory_bytes() const {
  return ZSTD_sizeof_CCtx(context_);
}

// zstd processes a loaded dictionary, and sizes its tables for it, only on the first use, so the
// compressor has to be used before it is measured.
size_t Compressor::most_memory_bytes(int level, size_t bytes) {
  const std::unique_ptr<Compressor> compressor = make(level, bytes);
  const std::unique_ptr<Dictionary> dictionary = Dictionary::largest(level);
  if (!compressor || !dictionary || !compressor->adopt(*dictionary)) return 0;
  const std::vector<std::byte> data(bytes);
  std::vector<std::byte> out(ZSTD_compressBound(bytes));
  return compressor->compress(out, data, nullptr) > 0 ? compressor->memory_bytes() : 0;
}

// ---- decompression

std::unique_ptr<Decompressor> Decompressor::make() {
  std::unique_ptr<Decompressor> made(new Decompressor);
  made->context_ = ZSTD_createDCtx();
  return made->context_ ? std::move(made) : nullptr;
}

Decompressor::~Decompressor() {
  ZSTD_freeDCtx(context_);
}

bool Decompressor::decompress(std::span<std::byte> out, std::span<const std::byte> data,
                              const Dictionary* dictionary) {
  const size_t length =
      dictionary ? ZSTD_decompress_usingDDict(context_, out.data(), out.size(), data.data(),
                                              data.size(), dictionary->decompression_)
                 : ZSTD_decompressDCtx(context_, out.data(), out.size(), data.data(), data.size());
  return length == out.size();
}

size_t Decompressor::memory_bytes() const {
  return ZSTD_sizeof_DCtx(context_);
}

}  // namespace ramdisk
