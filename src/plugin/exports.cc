#include "plugin/exports.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "base/digits.h"
#include "plugin/config.h"
#include "plugin/hints.h"
#include "plugin/nbdkit.h"

namespace ramdisk {

namespace {

Status refusal(std::string_view value, const std::string& why) {
  return Status::error(EINVAL, "exports=" + std::string(value) + ": " + why);
}

// Whether a size in `entry` is followed by what other lists are separated by.
bool has_other_separator(std::string_view entry) {
  for (size_t at = entry.find(':'); at < entry.size(); at = entry.find(':', at + 1)) {
    const std::string_view size = entry.substr(at + 1);
    const size_t digits = leading_digits(size);
    const size_t end = size.find_first_of(" ;|\t\n", digits);
    if (digits > 0 && end <= digits + 1) return true;
  }
  return false;
}

Result<NamedExport> parse_entry(std::string_view value, std::string_view entry) {
  NamedExport parsed{std::string(entry)};
  if (has_other_separator(entry)) {
    return refusal(value, "exports are separated by commas, as in exports=mail:20G,web:5G");
  }
  const size_t colon = entry.rfind(':');
  const std::string_view size =
      colon == std::string_view::npos ? std::string_view() : entry.substr(colon + 1);
  if (begins_with_digit(size)) {
    const std::string text(size);
    const std::string before = "exports=" + std::string(entry.substr(0, colon + 1));
    if (Status hint = check_size(before, size); !hint.ok()) return hint;
    const int64_t bytes = nbdkit_parse_size(text.c_str());
    if (bytes == -1) return Config::already_reported();
    parsed = {std::string(entry.substr(0, colon)), static_cast<uint64_t>(bytes)};
  }
  if (parsed.name.empty()) return refusal(value, "there is an export without a name");
  if (parsed.name.front() == ' ') {
    return refusal(value, "no blank may stand before a name, because it would be part of it");
  }
  if (parsed.name == "*") return refusal(value, "'*' stands for all names, and so stands alone");
  if (parsed.name.size() > kLongestName) {
    return Status::error(EINVAL, "exports=: a name has " + std::to_string(parsed.name.size()) +
                                     " bytes, more than the " + std::to_string(kLongestName) +
                                     " that NBD allows");
  }
  return {std::move(parsed)};
}

// Returns how many bytes the character at the front of `text` has, if it is valid UTF-8 that can
// be printed on one line; else 0.
size_t printable_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f && first != '\\' ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  const bool control = first == 0xc2 && second < 0xa0;
  const bool separator = first == 0xe2 && second == 0x80 && (byte(2) == 0xa8 || byte(2) == 0xa9);
  const bool too_long = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond = first == 0xf4 && second >= 0x90;
  return control || separator || too_long || surrogate || beyond ? 0 : length;
}

}  // namespace

Result<std::vector<NamedExport>> parse_exports(std::string_view value) {
  std::vector<NamedExport> exports;
  std::set<std::string> names;
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    Result<NamedExport> entry = parse_entry(value, value.substr(begin, end - begin));
    if (!entry.ok()) return entry.status();
    if (!names.insert(entry.value().name).second) {
      return refusal(value, "two exports have the name '" + entry.value().name + "'");
    }
    exports.push_back(std::move(entry.value()));
    begin = end + 1;
  }
  return {std::move(exports)};
}

bool names_export(std::string_view pattern) {
  for (size_t at = pattern.find('%'); at < pattern.size(); at = pattern.find('%', at + 2)) {
    if (pattern.substr(at, 2) == "%s") return true;
  }
  return false;
}

Result<std::string> file_for_export(std::string_view key, std::string_view pattern,
                                    std::string_view name) {
  const auto refused = [&](const std::string& why) {
    return Status::error(EINVAL, std::string(key) + "=" + std::string(pattern) + ": " + why);
  };
  if (names_export(pattern) && name.find('/') != std::string_view::npos) {
    return refused("the export '" + std::string(name) +
                   "' has a slash in its name, and so cannot name a file");
  }
  std::string file;
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] != '%') {
      file += pattern[at];
      continue;
    }
    const std::string_view two = pattern.substr(at++, 2);
    if (two == "%s") {
      file += name;
    } else if (two == "%%") {
      file += '%';
    } else {
      return refused("with exports=, %s is the name of the export and %% a percent sign; '" +
                     std::string(two) + "' is nothing");
    }
  }
  return {std::move(file)};
}

std::string printable(std::string_view name) {
  std::string text;
  while (!name.empty()) {
    if (const size_t length = printable_character(name)) {
      text += name.substr(0, length);
      name.remove_prefix(length);
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(name.front()));
    text += escape;
    name.remove_prefix(1);
  }
  return text;
}

}  // namespace ramdisk
