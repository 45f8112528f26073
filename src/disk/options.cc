#include "disk/options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string>

#include "disk/registry.h"

namespace ramdisk {

namespace {

struct Type {
  AllocatorType type;
  std::string_view name;
  std::string_view keys;  // for messages; what each means is in apply_key()
};

constexpr std::array<Type, 3> kTypes{{
    {AllocatorType::sparse, "sparse", "mlock=true|false"},
    {AllocatorType::malloc, "malloc", "mlock=true|false"},
    {AllocatorType::zstd, "zstd", "mlock=true|false, level=N, cache=SIZE, recompress=true|false"},
}};

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
  return invalid(what + "=" + std::string(value) +
                 ": must be a number of bytes, or one with a suffix K, M, G, T, P or E");
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
  return invalid(prefix + "unknown key \"" + std::string(key) +
                 "\" (known keys: " + std::string(type.keys) + ")");
}

}  // namespace

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
  std::string_view rest = value;
  const std::string_view name = next_part(rest);
  if (name.empty()) {
    return invalid("allocator=" + std::string(value) +
                   ": the name of the allocator is missing (known: " + known_names() + ")");
  }
  AllocatorOptions options;
  const auto type =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return t.name == name; });
  if (type == kTypes.end()) {
    return invalid("allocator=" + std::string(value) + ": unknown allocator \"" +
                   std::string(name) + "\" (known: " + known_names() + ")");
  }
  options.type = type->type;
  // A key must follow each comma.
  for (bool more = name.size() < value.size(); more;) {
    const bool last = rest.find(',') == std::string_view::npos;
    const std::string_view part = next_part(rest);
    const size_t equals = part.find('=');
    std::optional<std::string_view> key_value;
    if (equals != std::string_view::npos) key_value = part.substr(equals + 1);
    if (Status status = apply_key(options, part.substr(0, equals), key_value); !status.ok()) {
      return status;
    }
    more = !last;
  }
  return options;
}

}  // namespace ramdisk
