#include "disk/options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string>

#include "base/digits.h"
#include "base/names.h"
#include "base/sizes.h"
#include "disk/registry.h"

namespace ramdisk {

namespace {

struct Type {
  AllocatorType type;
  std::string_view name;
  std::string_view keys;  // its options, for messages; what each means is in apply_key()
};

constexpr std::array<Type, 3> kTypes{{
    {AllocatorType::sparse, "sparse", "mlock=true|false"},
    {AllocatorType::malloc, "malloc", "mlock=true|false"},
    {AllocatorType::zstd, "zstd", "mlock=true|false, level=N, cache=SIZE, recompress=true|false"},
}};

// The options that only zstd has, and that are no parameters.
constexpr std::array<std::string_view, 3> kZstdOptions{"level", "cache", "recompress"};

const Type& type_of(AllocatorType type) {
  return *std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return t.type == type; });
}

Status invalid(std::string text) {
  return Status::error(EINVAL, std::move(text));
}

std::string known_names() {
  std::string names;
  for (const Type& type : kTypes) {
    if (!names.empty()) names += ", ";
    names += type.name;
  }
  return names;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view name = similar_name(word, known);
  return name.empty() ? std::string() : ", did you mean " + std::string(name) + "?";
}

// As did_you_mean(), but also recognizes a level without its name, and an option with "no" before
// it.
std::string option_meant(std::string_view key, const std::vector<std::string_view>& known) {
  for (const std::string_view name : known) {
    const std::string option(name);
    if (name == "level" && is_number(key)) {
      return ", did you mean level=" + std::string(key) + "?";
    }
    if ((name == "mlock" || name == "recompress") &&
        (key == "no-" + option || key == "no" + option)) {
      return ", did you mean " + option + "=false?";
    }
  }
  return did_you_mean(key, known);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Cuts `rest` at the first comma and returns what was before it.
std::string_view next_part(std::string_view& rest) {
  const size_t comma = rest.find(',');
  const std::string_view part = rest.substr(0, comma);
  rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  return part;
}

Result<int> parse_level(std::string_view value) {
  const std::optional<ZstdSupport> zstd = zstd_support();
  if (!zstd) return 0;  // check_options() refuses the allocator itself
  int level = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), level);
  if (error == std::errc() && end == value.data() + value.size() && level >= zstd->least_level &&
      level <= zstd->most_level) {
    return level;
  }
  return invalid("allocator=zstd: level=" + std::string(value) + ": must be a number from " +
                 std::to_string(zstd->least_level) + " to " + std::to_string(zstd->most_level));
}

// A number of bytes with a suffix K, M, G, T, P or E, or none.
Result<uint64_t> parse_bytes(const std::string& what, std::string_view value) {
  constexpr std::string_view kSuffixes = "KMGTPE";
  uint64_t bytes = 0;
  const char* const end = value.data() + value.size();
  auto [rest, error] = std::from_chars(value.data(), end, bytes);
  if (error == std::errc() && rest + 1 == end) {
    const size_t power = kSuffixes.find(static_cast<char>(std::toupper(*rest)));
    const unsigned shift =
        power == std::string_view::npos ? 64 : 10 * (static_cast<unsigned>(power) + 1);
    if (shift < 64 && bytes <= UINT64_MAX >> shift) {
      bytes <<= shift;
      rest = end;
    }
  }
  if (error == std::errc() && rest == end && bytes <= INT64_MAX) return bytes;
  return invalid(what + "=" + std::string(value) + ": " + kNotASize);
}

// `value` is empty when the key stands alone, which means true.
Status apply_key(AllocatorOptions& options, std::string_view key,
                 std::optional<std::string_view> value) {
  const Type& type = type_of(options.type);
  const std::string prefix = "allocator=" + std::string(type.name) + ": ";
  if (key == "mlock") {
    Result<bool> on = parse_bool(prefix + "mlock", value.value_or("true"));
    options.mlock = on.value();
    return on.status();
  }
  if (key == "level" && options.type == AllocatorType::zstd) {
    Result<int> level = parse_level(value.value_or("true"));
    options.level = level.value();
    return level.status();
  }
  if (key == "cache" && options.type == AllocatorType::zstd) {
    Result<uint64_t> bytes = parse_bytes(prefix + "cache", value.value_or("true"));
    options.cache = bytes.value();
    return bytes.status();
  }
  if (key == "recompress" && options.type == AllocatorType::zstd) {
    Result<bool> on = parse_bool(prefix + "recompress", value.value_or("true"));
    options.recompress = on.value();
    return on.status();
  }
  const bool of_zstd =
      std::find(kZstdOptions.begin(), kZstdOptions.end(), key) != kZstdOptions.end();
  if (of_zstd) {
    return invalid(prefix + std::string(key) + " is an option of allocator=zstd (options here: " +
                   std::string(type.keys) + ")");
  }
  std::vector<std::string_view> known{"mlock"};
  if (options.type == AllocatorType::zstd) {
    known.insert(known.end(), kZstdOptions.begin(), kZstdOptions.end());
  }
  return invalid(prefix + "unknown option \"" + std::string(key) + "\"" + option_meant(key, known) +
                 " (known options: " + std::string(type.keys) + ")");
}

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// Returns an allocator with a level if `value` is its name with a number behind it, such as zstd9
// or zstd:9; else an empty text.
std::string level_appended(std::string_view value) {
  constexpr std::string_view kName = "zstd";
  constexpr std::string_view kSigns = ":-=/";
  if (!value.starts_with(kName)) return {};
  std::string_view level = value.substr(kName.size());
  if (!level.empty() && kSigns.find(level.front()) != std::string_view::npos)
    level.remove_prefix(1);
  if (!is_number(level)) return {};
  return std::string(kName) + ",level=" + std::string(level);
}

// Returns `value` as it was probably meant if it has blanks, or the wrong sign between options:
// blanks beside a comma or an equals sign and at the ends are gone, and other blanks and such signs
// have become commas.
std::string repaired(std::string_view value) {
  constexpr std::string_view kSigns = ":;/+";
  std::string out;
  bool gap = false;  // what was last seen stands for one comma
  for (const char c : value) {
    if (is_blank(c) || kSigns.find(c) != std::string_view::npos) {
      gap = true;
      continue;
    }
    const bool joins = c == ',' || c == '=';
    if (gap && !joins && !out.empty() && out.back() != ',' && out.back() != '=') out += ',';
    gap = false;
    out += c;
  }
  return out;
}

// Reads the options after the name of the allocator, `rest`. An option must follow each comma.
Status parse_options(AllocatorOptions& options, std::string_view value, std::string_view rest) {
  for (bool more = true; more;) {
    more = rest.find(',') != std::string_view::npos;
    const std::string_view part = next_part(rest);
    if (part.empty() || part.front() == '=') {
      const char* where = part.empty() ? (more ? " between two commas"
                                               : " after the last comma, which no blank may follow")
                                       : " before an equals sign";
      return invalid("allocator=" + std::string(value) + ": there is no option" + where);
    }
    const size_t equals = part.find('=');
    std::optional<std::string_view> key_value;
    if (equals != std::string_view::npos) key_value = part.substr(equals + 1);
    if (Status status = apply_key(options, part.substr(0, equals), key_value); !status.ok()) {
      return status;
    }
  }
  return {};
}

}  // namespace

std::vector<std::string_view> allocator_names() {
  std::vector<std::string_view> names;
  names.reserve(kTypes.size());
  for (const Type& type : kTypes) names.push_back(type.name);
  return names;
}

std::vector<std::string_view> allocator_options() {
  return {kZstdOptions.begin(), kZstdOptions.end()};
}

const char* allocator_name(AllocatorType type) {
  return type_of(type).name.data();
}

Result<bool> parse_bool(std::string_view what, std::string_view value) {
  const std::string word = lower(value);
  for (const char* yes : {"1", "true", "t", "yes", "y", "on"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"0", "false", "f", "no", "n", "off"}) {
    if (word == no) return false;
  }
  return invalid(std::string(what) + "=" + std::string(value) + ": must be true or false");
}

Result<AllocatorOptions> parse_allocator(std::string_view value) {
  const std::string written = "allocator=" + std::string(value) + ": ";
  const bool has_blank = std::any_of(value.begin(), value.end(), is_blank);
  if (has_blank) {
    const std::string meant = repaired(value);
    const bool good = parse_allocator(meant).ok();
    return invalid(written + "there may be no blanks in it" +
                   (good ? "; did you mean allocator=" + meant + "?" : ""));
  }
  std::string_view rest = value;
  const std::string_view name = next_part(rest);
  if (name.empty()) {
    return invalid(written + "the name of the allocator is missing (known: " + known_names() + ")");
  }
  AllocatorOptions options;
  const auto type =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return t.name == name; });
  if (type == kTypes.end()) {
    const std::string level = level_appended(value);
    const std::string meant = level.empty() ? repaired(value) : level;
    const std::string hint = meant != value && parse_allocator(meant).ok()
                                 ? ", did you mean allocator=" + meant + "?"
                                 : did_you_mean(name, allocator_names());
    return invalid(written + "unknown allocator \"" + std::string(name) + "\"" + hint +
                   " (known: " + known_names() + ")");
  }
  options.type = type->type;
  if (name.size() == value.size()) return options;
  if (Status status = parse_options(options, value, rest); !status.ok()) return status;
  return options;
}

}  // namespace ramdisk
