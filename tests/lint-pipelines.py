#!/usr/bin/env python3
"""Finds pipelines that end early: a program after "|" that may leave before it has read everything.

Usage: python3 tests/lint-pipelines.py [FILE]...     our scripts and manuals when none is named

The program that writes is then killed by SIGPIPE, if it happens to be the slower one. Under
pipefail that fails the whole pipeline: a test fails now and then, or, in a condition, is skipped
or says the opposite. So no script has such a pipeline, whether it runs under pipefail or not.
What does the same and reads everything:

    head -n 1                  sed -n 1p
    grep -q, -m, -l            grep -q PATTERN <<<"$(COMMAND)"
    sed with q                 sed -n with an address or a counter
    awk with exit              awk with a counter, or exit in END

Lines of shell are looked at one by one, joined where one goes on in the next, and so are strings
that hold a pipeline, for another shell. Of a file that ends in .md or .pod only indented lines
count. Each run begins with the samples at the end of this file, so that the check cannot become
blind without anybody noticing.
"""
import glob
import re
import sys

# What only starts the program that follows it; options, numbers and assignments go with it.
RUNNERS = {"!", "{", "(", "busybox", "command", "env", "exec", "inside", "nice", "stdbuf", "sudo",
           "timeout"}
GREP = re.compile(r" -[A-Za-z]*[qmlL]| --(quiet|silent|max-count|files-with)|(?<!2)> ?/dev/null")
SED = re.compile(r"(^|[\s;{}0-9$/'\"])[qQ][0-9]*\s*($|[;}'\"])")
LOOP = re.compile(r"\|\s*(while|until)\b")
PROGRAM = re.compile(r"\|\s*(awk|sed|perl)\b[^']*'[^']*$")


def mask(text):
    """The text with a NUL for each character within quotes, and without the comment at its end."""
    out, stack, i = [], [], 0
    while i < len(text):
        c, top = text[i], stack[-1] if stack else ""
        width = 2 if c == "\\" and top != "'" else 1
        live = top not in ("'", '"')
        if width == 2:
            pass
        elif top == "'" and c == "'" or top == '"' and c == '"':
            stack.pop()
        elif top != "'" and text.startswith("$(", i):
            stack.append("(")
            live = True
        elif live and c in "'\"(":
            stack.append(c)
        elif live and c == ")" and top == "(":
            stack.pop()
        elif live and c == "#" and (i == 0 or text[i - 1].isspace()):
            break
        out.append(text[i:i + width] if live and width == 1 else "\0" * len(text[i:i + width]))
        i += width
    return "".join(out)


def ends_early(stage, visible):
    """Why this part of a pipeline, which may begin with programs that run others, ends early."""
    words = stage.split()
    while words and (words[0] in RUNNERS or re.match(r"-|\d|\w+=", words[0])):
        words.pop(0)
    name = words[0].strip("(){};\"'").rsplit("/", 1)[-1] if words else ""
    if name == "head" or name == "read":
        return name
    if re.fullmatch(r"[a-z]*grep", name) and GREP.search(visible):
        return name + " that is content with the first match"
    if name == "sed" and SED.search(stage):
        return "sed with q"
    if re.fullmatch(r"[a-z]?awk", name) and re.search(r"\bexit\b", stage.split("END", 1)[0]):
        return "awk with exit"
    if name == "perl" and re.search(r"\b(exit|last)\b", stage):
        return "perl with exit or last"
    if re.search({"dd": " count=", "cmp": " (-n|--bytes)"}.get(name, "(?!)"), visible):
        return name + " of a part"
    if name in ("while", "until") and re.search(r"\b(break|exit|return)\b", visible):
        return "a loop that is left"
    return None


def check_text(text):
    """All reasons in one logical line, and in the strings within it."""
    seen, found = mask(text), []
    for pipe in re.finditer(r"(?<![|>])\|&?(?!\|)", seen):
        rest = seen[pipe.end():]
        stop = None
        if not re.match(r"\s*(while|until)\b", rest):
            stop = re.search(r"[|;)]|(?<!>)&(?!>)", rest)
        end = pipe.end() + (stop.start() if stop else len(rest))
        found.append(ends_early(text[pipe.end():end], seen[pipe.end():end]))
    for quoted in re.finditer("\0+", seen):
        if re.search(r"(^|\s)\|&?\s", text[quoted.start():quoted.end()]):
            found += check_text(text[quoted.start():quoted.end()])
    return [reason for reason in found if reason]


def logical_lines(lines, indented_only):
    """(number, text) of each, without comments."""
    number, whole = 0, ""
    for i, line in enumerate(lines, 1):
        line = line.rstrip("\n")
        if indented_only and not line.startswith(" ") or line.lstrip().startswith("#"):
            line = ""
        if not whole:
            number = i
        whole += line
        if whole.endswith("\\"):
            whole = whole[:-1] + " "
        elif re.search(r"\|&?\s*$", whole) or PROGRAM.search(whole):
            whole += "\n"
        elif LOOP.search(whole) and not re.search(r"\bdone\b", whole):
            whole += "\n"
        else:
            yield number, whole
            whole = ""
    if whole:
        yield number, whole


def check_file(name):
    with open(name, encoding="utf-8") as file:
        lines = file.readlines()
    return [f"{name}:{number}: ends early: {reason}"
            for number, text in logical_lines(lines, name.endswith((".md", ".pod")))
            for reason in check_text(text)]


def check_samples():
    """Each line of BAD has one reason, none of GOOD has any."""
    for samples, count in ((BAD, 1), (GOOD, 0)):
        for sample in samples.strip("\n").split("\n\n"):
            reasons = [reason for _, text in logical_lines(sample.split("\n"), False)
                       for reason in check_text(text)]
            if len(reasons) != count:
                sys.exit(f"lint-pipelines: {reasons} found in a sample that has {count}:\n{sample}")


BAD = r"""
at=$(nbdinfo --map "$uri" | awk '$NF == "data" { print $1; exit }')

mirror=${MIRROR:-$(apt-get indextargets --format '$(URI)' | head -n 1)}

if dpkg --compare-versions 1 gt "$(dpkg-query -W -f '${Version}\n' libc6 | head -n 1)"; then

has_zstd() { dump_plugin | grep -qx zstd=yes; }

! nbdkit -U - "$plugin" 1M --run 'nbdinfo "$uri"' | grep -q limit || fail "none is a limit"

dpkg-query -W "$1" 2>/dev/null |
  # the state of each machine
  grep -Fqx -e "$here installed"

tar -cf - -C / usr | head -c 8000000 | dd of=disk.img bs=1M || :

nm -D "$plugin"|grep --max-count=1 plugin_init

nm -D "$plugin" |& LC_ALL=C timeout 5 grep plugin_init >/dev/null

bash -c 'nm -D "$1" | grep -q plugin_init' bash "$plugin"

(cd / && find . | { read -r first; echo "$first"; })

nbdcopy "$uri" - | cmp -n 4096 - "$dir/disk.img"

ls | sed '/x/{p;q;}'

ls | sed 5q

ls | awk '
  /x/ { print }
  /y/ { exit }'

find . | while read -r file; do
  [ ! -d "$file" ] || break
done
"""

GOOD = r"""
at=$(nbdinfo --map "$uri" | awk '$NF == "data" && !seen++ { print $1 }')

grep -qx zstd=yes <<<"$(dump_plugin | sort)" || head -n 1 "$file"

head -c 1000 "$file" | dd of=disk.img || grep -q x "$file"

ls | sed -n 's|head -n 1|q|p' # | head

count=$(nbdinfo --list "$uri" | grep -c '^export=' || :)

ls | awk '/x/ { bad = 1 } END { exit bad }'

find . -print0 | xargs -0 grep -l x | sort -m

case $1 in a | -q) echo "grep | tail" ;; esac

find . | while read -r file; do
  echo "$file"
done

ls 2>&1 | grep -vE -- '(path|quiet -q|head -n)=' >"$dir/-q" 2>/dev/null
"""


def main():
    check_samples()
    names = sys.argv[1:] or [".ci/run", "README.md"] + sorted(
        glob.glob("tests/**/*.sh", recursive=True) + glob.glob("man/*.pod") +
        glob.glob(".packaging/*/*"))
    found = [line for name in names for line in check_file(name)]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


sys.exit(main())
