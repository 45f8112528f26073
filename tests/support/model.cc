// The two models of a disk, and the set of its kept pages.

#include "support/model.h"

#include <algorithm>

namespace ramdisk::support {
namespace {

// Calls `work(piece number, offset in the piece, bytes)` for each piece of a range.
template <typename Work>
void for_each_piece(uint64_t count, uint64_t offset, Work work) {
  while (count > 0) {
    const uint64_t within = offset % Model::kPiece;
    const uint64_t n = std::min(count, Model::kPiece - within);
    work(offset / Model::kPiece, within, n);
    offset += n;
    count -= n;
  }
}

constexpr uint64_t kLargestVector = 64 << 20;

}  // namespace

void VectorModel::write(std::span<const std::byte> data, uint64_t offset) {
  std::copy(data.begin(), data.end(), bytes_.begin() + offset);
}

void VectorModel::zero(uint64_t count, uint64_t offset) {
  std::fill_n(bytes_.begin() + offset, count, std::byte{0});
}

Bytes VectorModel::read(uint64_t count, uint64_t offset) const {
  return Bytes(bytes_.begin() + offset, bytes_.begin() + offset + count);
}

bool VectorModel::reads_as_zeroes(uint64_t count, uint64_t offset) const {
  return all_zero(std::span(bytes_).subspan(offset, count));
}

std::vector<uint64_t> VectorModel::pieces() const {
  std::vector<uint64_t> all;
  for (uint64_t offset = 0; offset < bytes_.size(); offset += kPiece) all.push_back(offset);
  return all;
}

void MapModel::write(std::span<const std::byte> data, uint64_t offset) {
  size_t done = 0;
  for_each_piece(data.size(), offset, [&](uint64_t piece, uint64_t within, uint64_t n) {
    Bytes& bytes = pieces_.try_emplace(piece, kPiece).first->second;
    std::copy_n(data.begin() + done, n, bytes.begin() + within);
    done += n;
  });
}

void MapModel::zero(uint64_t count, uint64_t offset) {
  if (count == 0) return;
  const uint64_t end = offset + count;
  auto it = pieces_.lower_bound(offset / kPiece);
  while (it != pieces_.end() && it->first * kPiece < end) {
    const uint64_t start = it->first * kPiece;
    const uint64_t from = std::max(offset, start) - start;
    const uint64_t to = std::min(end, start + kPiece) - start;
    std::fill(it->second.begin() + from, it->second.begin() + to, std::byte{0});
    it = all_zero(it->second) ? pieces_.erase(it) : std::next(it);
  }
}

Bytes MapModel::read(uint64_t count, uint64_t offset) const {
  Bytes result(count);
  size_t done = 0;
  for_each_piece(count, offset, [&](uint64_t piece, uint64_t within, uint64_t n) {
    if (auto it = pieces_.find(piece); it != pieces_.end()) {
      std::copy_n(it->second.begin() + within, n, result.begin() + done);
    }
    done += n;
  });
  return result;
}

bool MapModel::reads_as_zeroes(uint64_t count, uint64_t offset) const {
  if (count == 0) return true;
  const uint64_t end = offset + count;
  auto it = pieces_.lower_bound(offset / kPiece);
  for (; it != pieces_.end() && it->first * kPiece < end; ++it) {
    const uint64_t start = it->first * kPiece;
    const uint64_t from = std::max(offset, start) - start;
    const uint64_t to = std::min(end, start + kPiece) - start;
    if (!all_zero(std::span(it->second).subspan(from, to - from))) return false;
  }
  return true;
}

std::vector<uint64_t> MapModel::pieces() const {
  std::vector<uint64_t> all;
  for (const auto& [piece, bytes] : pieces_) all.push_back(piece * kPiece);
  return all;
}

std::unique_ptr<Model> make_model(uint64_t disk_bytes) {
  if (disk_bytes <= kLargestVector) return std::make_unique<VectorModel>(disk_bytes);
  return std::make_unique<MapModel>();
}

void KeptPages::write(uint64_t count, uint64_t offset) {
  if (count == 0) return;
  for (uint64_t page = offset / page_; page <= (offset + count - 1) / page_; ++page) {
    kept_.insert(page);
  }
}

void KeptPages::zero(uint64_t count, uint64_t offset) {
  if (count == 0) return;
  const uint64_t end = offset + count;
  const uint64_t first = offset / page_ + (offset % page_ != 0);
  // The disk's last page is whole when its bytes up to the end of the disk are.
  const uint64_t last = end / page_ + (end == disk_ && end % page_ != 0);
  if (first < last) kept_.erase(kept_.lower_bound(first), kept_.lower_bound(last));
}

uint64_t KeptPages::first_hole(uint64_t count, uint64_t offset) const {
  const uint64_t end = offset + count;
  uint64_t at = offset;
  while (at < end && kept_.contains(at / page_)) at = (at / page_ + 1) * page_;
  return std::min(at, end);
}

}  // namespace ramdisk::support
