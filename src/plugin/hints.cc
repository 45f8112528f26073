#include "plugin/hints.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/digits.h"
#include "base/names.h"
#include "base/sizes.h"
#include "disk/options.h"

namespace ramdisk {

namespace {

struct Parameter {
  std::string_view name;
  std::string_view example;  // what to type
};

// All parameters, in the order of the help. The messages know no others.
constexpr std::array kParameters{
    Parameter{"size", "size=1G"},
    Parameter{"load", "load=disk.img"},
    Parameter{"save", "save=disk.img"},
    Parameter{"image", "image=disk.img"},
    Parameter{"exports", "exports=a,b"},
    Parameter{"exports-max", "exports-max=100"},
    Parameter{"scratch", "scratch=true"},
    Parameter{"allocator", "allocator=zstd"},
    Parameter{"mlock", "mlock=true"},
    Parameter{"max-memory", "max-memory=4G"},
    Parameter{"dump", "dump=true"},
    Parameter{"stats-export", "stats-export=stats"},
    Parameter{"stats-file", "stats-file=disk.json"},
    Parameter{"stats-format", "stats-format=json"},
};

// What other programs call it: a word, and what is written here instead.
constexpr std::array kOtherWords{
    Parameter{"clone", "scratch"},
    Parameter{"compress", "allocator=zstd"},
    Parameter{"compression", "allocator=zstd"},
    Parameter{"compression-level", "allocator=zstd,level=9"},
    Parameter{"disks", "exports"},
    Parameter{"file", "load"},
    Parameter{"filename", "load"},
    Parameter{"limit", "max-memory"},
    Parameter{"maxmem", "max-memory"},
    Parameter{"mem", "max-memory"},
    Parameter{"memory-limit", "max-memory"},
    Parameter{"memory-max", "max-memory"},
    Parameter{"name", "exports"},
    Parameter{"output", "save"},
    Parameter{"path", "load"},
    Parameter{"persist", "image"},
    Parameter{"preload", "load"},
    Parameter{"private", "scratch"},
    Parameter{"source", "load"},
    Parameter{"type", "allocator"},
};

// What is an option of nbdkit, and not a parameter of any plugin.
constexpr std::array kServerOptions{
    Parameter{"foreground", "--foreground"}, Parameter{"pidfile", "--pidfile=FILE"},
    Parameter{"port", "--port=PORT"},        Parameter{"readonly", "--readonly"},
    Parameter{"socket", "--unix=SOCKET"},    Parameter{"threads", "--threads=N"},
    Parameter{"tls", "--tls=MODE"},          Parameter{"unix", "--unix=SOCKET"},
    Parameter{"user", "--user=USER"},        Parameter{"verbose", "--verbose"},
};

std::vector<std::string_view> parameter_names() {
  std::vector<std::string_view> names;
  names.reserve(kParameters.size());
  for (const Parameter& parameter : kParameters) names.push_back(parameter.name);
  return names;
}

const Parameter* find(std::span<const Parameter> parameters, std::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  return found == parameters.end() ? nullptr : &*found;
}

const Parameter* find_parameter(std::string_view name) {
  return find(kParameters, name);
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Only zstd has options that are no parameters.
std::string as_option(std::string_view name, std::string_view value) {
  return "allocator=zstd," + std::string(name) + "=" + std::string(value);
}

// Returns what to type to get what `word`, a word alone, stands for; empty if that is not known.
std::string written_out(std::string_view word) {
  if (parse_allocator(word).ok()) return "allocator=" + std::string(word);
  if (word.find('/') != std::string_view::npos || word.ends_with(".img")) {
    return "load=" + std::string(word);
  }
  if (word.size() < 3) return {};  // a letter or two begin many names
  const std::vector<std::string_view> parameters = parameter_names();
  if (const size_t colon = word.find(':'); contains(parameters, word.substr(0, colon))) {
    if (colon < word.size() - 1) {
      return std::string(word.substr(0, colon)) + "=" + std::string(word.substr(colon + 1));
    }
  }
  if (const std::string_view name = similar_name(word, parameters); !name.empty()) {
    return std::string(find_parameter(name)->example);
  }
  if (const std::string_view name = similar_name(word, allocator_options()); !name.empty()) {
    return as_option(name, name == "level" ? "9" : name == "cache" ? "64M" : "false");
  }
  const std::string_view allocator = similar_name(word, allocator_names());
  return allocator.empty() ? std::string() : "allocator=" + std::string(allocator);
}

Status invalid(std::string text) {
  return Status::error(EINVAL, std::move(text));
}

// ---- sizes

constexpr std::string_view kUnits = "KMGTPE";

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

// `digits` is one digit or more, and nothing else. Returns nothing if the number has no 64 bits.
std::optional<uint64_t> parse_number(std::string_view digits) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

// Whether this is what people write behind a unit, and nbdkit does not know.
bool says_bytes(std::string_view text) {
  return text == "B" || text == "iB" || text == "b" || text == "ib";
}

// Whether it is the suffix for bytes or for sectors, which nbdkit knows, too.
bool is_other_unit(std::string_view suffix) {
  return suffix == "b" || suffix == "B" || suffix == "s" || suffix == "S";
}

// Whether what follows the digits of a size, if any, is the rest of a fraction. Some people write a
// comma in it.
bool is_fraction(std::string_view rest) {
  return rest.size() > 1 && (rest.front() == '.' || rest.front() == ',') &&
         begins_with_digit(rest.substr(1));
}

// `value` is a number with a fraction and one of the units. Returns the number of whole units of
// the next size that it has; empty if it is written in another way, or is too long to reckon with.
std::string in_smaller_units(std::string_view value) {
  const size_t point = leading_digits(value);
  const size_t places = leading_digits(value.substr(point + 1));
  const size_t end = point + 1 + places;
  const size_t unit = end < value.size() ? kUnits.find(upper(value[end])) : std::string_view::npos;
  if (unit == std::string_view::npos || end > 13) return {};
  if (const auto more = value.substr(end + 1); !more.empty() && !says_bytes(more)) return {};
  std::string digits(value.substr(0, point));
  digits += value.substr(point + 1, places);
  uint64_t whole = parse_number(digits).value_or(0) * 1024;
  for (size_t i = 0; i < places; ++i) whole /= 10;
  return std::to_string(whole) + (unit == 0 ? std::string() : std::string(1, kUnits[unit - 1]));
}

}  // namespace

Status unknown_parameter(std::string_view name, std::string_view value) {
  std::string text = "unknown parameter '" + std::string(name) + "'";
  const std::vector<std::string_view> options = allocator_options();
  if (contains(options, name)) {
    return invalid(text + ": it is an option of the allocator, as in " + as_option(name, value));
  }
  if (contains(allocator_names(), name)) {
    return invalid(text + ": it is an allocator, as in allocator=" + std::string(name));
  }
  if (const Parameter* option = find(kServerOptions, name)) {
    return invalid(text + ": it is an option of nbdkit, " + std::string(option->example));
  }
  const std::vector<std::string_view> parameters = parameter_names();
  if (name == "disk") {  // of a size, or in a file
    text += begins_with_digit(value) ? ", did you mean size?" : ", did you mean load?";
  } else if (const Parameter* other = find(kOtherWords, name)) {
    text += ", did you mean " + std::string(other->example) + "?";
  } else if (const std::string_view near = similar_name(name, parameters); !near.empty()) {
    text += ", did you mean " + std::string(near) + "?";
  } else if (const std::string_view option = similar_name(name, options); !option.empty()) {
    text += ", did you mean " + as_option(option, value) + "?";
  }
  const char* before = " (known parameters: ";
  for (const std::string_view known : parameters) {
    text += before + std::string(known);
    before = ", ";
  }
  return invalid(text + ")");
}

Status check_word(std::string_view value, bool has_size) {
  if (value.empty()) return invalid("size=: the size is missing, as in size=1G");
  if (begins_with_digit(value)) return {};
  if (const Parameter* option = find(kServerOptions, value)) {
    return invalid("'" + std::string(value) + "' is an option of nbdkit, " +
                   std::string(option->example));
  }
  const std::string meant = written_out(value);
  if (meant.empty() && !has_size) return {};
  const std::string text = "'" + std::string(value) + "' is no size; parameters are NAME=VALUE";
  return invalid(meant.empty() ? text : text + ", as in " + meant);
}

Status check_size(std::string_view before, std::string_view value) {
  const std::string written(before);
  const auto refused = [&](const std::string& why) {
    return invalid(written + std::string(value) + ": " + why);
  };
  const size_t digits = leading_digits(value);
  const std::string_view suffix = value.substr(digits);
  if (is_fraction(suffix)) {
    const std::string whole = in_smaller_units(value);
    return refused("must be a whole number" +
                   (whole.empty() ? whole : ", as in " + written + whole));
  }
  if (digits == 0) {  // nbdkit allows blanks and a sign before them
    return value.find_first_of(" \t+-") == 0 ? Status() : refused(kNotASize);
  }
  if (value.find(' ') != std::string_view::npos) return refused("there may be no blanks in it");
  if (value.find(',') != std::string_view::npos) {
    return refused("parameters are separated by blanks, not by commas");
  }
  const size_t unit = suffix.empty() ? std::string_view::npos : kUnits.find(upper(suffix.front()));
  const std::string_view more = suffix.substr(suffix.empty() ? 0 : 1);
  if (unit != std::string_view::npos && says_bytes(more)) {
    return refused("the suffix is one letter, as in " + written +
                   std::string(value.substr(0, digits + 1)));
  }
  if (is_other_unit(suffix)) return {};
  if (!more.empty() || (unit == std::string_view::npos && !suffix.empty()))
    return refused(kNotASize);
  const uint64_t most = uint64_t{INT64_MAX} >> (suffix.empty() ? 0 : 10 * (unit + 1));
  const std::optional<uint64_t> number = parse_number(value.substr(0, digits));
  if (number && *number <= most) return {};
  return refused("the largest size is 9223372036854775807 bytes, one less than 8E");
}

Status check_option_names(std::string_view value) {
  for (size_t comma = value.find(','); comma != std::string_view::npos;) {
    const size_t begin = comma + 1;
    comma = value.find(',', begin);
    const std::string_view option = value.substr(begin, comma - begin);
    const std::string_view name = option.substr(0, option.find('='));
    if (!find_parameter(name) || name == "mlock") continue;
    return invalid("allocator=" + std::string(value) + ": " + std::string(name) +
                   " is a parameter of its own; put a blank before it instead of the comma");
  }
  return {};
}

}  // namespace ramdisk
