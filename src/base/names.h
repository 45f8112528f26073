// Finds the name that somebody meant who mistyped it.
//
// Thread contract: pure functions.

#ifndef RAMDISK_BASE_NAMES_H
#define RAMDISK_BASE_NAMES_H

#include <cstddef>
#include <span>
#include <string_view>

namespace ramdisk {

// Returns how many letters have to be inserted, deleted or replaced to make `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

// Returns the name in `known` that `word` most likely stands for: the nearest, within two edits;
// else the only one that begins with the word; else the only one that contains it, if it has four
// letters or more. Case does not count. Returns an empty view if there is none.
std::string_view similar_name(std::string_view word, std::span<const std::string_view> known);

}  // namespace ramdisk

#endif
