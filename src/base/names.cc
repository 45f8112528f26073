#include "base/names.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace ramdisk {

namespace {

constexpr size_t kMostEdits = 2;
constexpr size_t kLeastContained = 4;  // shorter words are contained in names by chance

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Returns the only name for which `fits` holds, or an empty view.
template <typename Fits>
std::string_view only_one(std::span<const std::string_view> known, Fits fits) {
  const auto found = std::find_if(known.begin(), known.end(), fits);
  if (found == known.end() || std::any_of(found + 1, known.end(), fits)) return {};
  return *found;
}

}  // namespace

// Computes one row of the table of distances between prefixes from the row above it.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

std::string_view similar_name(std::string_view word, std::span<const std::string_view> known) {
  if (word.empty()) return {};
  const std::string wanted = lower(word);
  std::string_view best;
  // A word of which every letter is replaced says nothing about the name.
  size_t least = std::min(kMostEdits + 1, wanted.size());
  for (const std::string_view name : known) {
    // The distance is never less than the difference in length, so long words cost nothing.
    if (wanted.size() > name.size() + kMostEdits) continue;
    const size_t distance = edit_distance(wanted, name);
    if (distance >= least) continue;
    least = distance;
    best = name;
  }
  if (!best.empty()) return best;
  best = only_one(known, [&](std::string_view name) { return name.starts_with(wanted); });
  if (!best.empty() || wanted.size() < kLeastContained) return best;
  return only_one(
      known, [&](std::string_view name) { return name.find(wanted) != std::string_view::npos; });
}

}  // namespace ramdisk
