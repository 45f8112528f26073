// The codec alone, in a tight loop: what a disk that compresses every page at once cannot beat.
//
// zstd at its default level, without a dictionary. Without libzstd there is nothing to measure.
//
// Thread contract: each thread of the measurement has contexts of its own.

#ifndef RAMDISK_BENCH_CODEC_H
#define RAMDISK_BENCH_CODEC_H

#include "memory.h"

namespace bench {

struct CodecLimits {
  double compressions = 0;    // pages of 4 KiB per second, of all threads together
  double decompressions = 0;  // of the results of the former

  // Of requests of which `reads` per cent are reads.
  double mixed(unsigned reads) const {
    return 100 / (reads / decompressions + (100 - reads) / compressions);
  }
};

// Spends `seconds` on each of the two. Returns zeroes if there is no codec.
CodecLimits codec_limits(const Corpus& corpus, unsigned threads, double seconds);

}  // namespace bench

#endif
