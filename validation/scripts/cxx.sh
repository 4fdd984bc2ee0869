#!/bin/sh
# Every header of src compiles as C++ by itself, inside extern "C", as a device written in C++ will include it.
src=${srcdir:-.}/src
[ -e "$src/base/status.h" ] || { echo "Bail out! no sources in $src"; exit 1; }
cxx=${CXX:-$(command -v g++ || command -v clang++ || command -v c++)}
[ -n "$cxx" ] || { echo "1..0 # SKIP no C++ compiler"; exit 0; }
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT

# compiles SRC HEADER: alone, with its standard headers outside
compiles() {
    grep -h '^#include <' "$1/$2" > "$work/one.cc"
    printf 'extern "C" {\n#include "%s"\n}\n' "$2" >> "$work/one.cc"
    "$cxx" -fsyntax-only -std=c++17 -I"$1" -I"${builddir:-.}" -I"$src/../validation/cuda-on-cpu/include" "$work/one.cc" 2> "$work/said"
}

bad=0
for header in $(cd "$src" && find . -name '*.h' ! -path ./device/cuda/sdpa.h | sort); do # that one wants cuDNN's header
    compiles "$src" "${header#./}" && continue
    bad=$((bad + 1))
    sed 's/^/# /' "$work/said" | head -n 5 >&2
done
[ "$bad" -eq 0 ] && echo "ok 1 - every header compiles as C++" || echo "not ok 1 - $bad headers do not compile as C++"

# The test itself: words of C alone, which it must see.
mkdir "$work/src"
seen=0
for line in 'void f(int new);' '_Bool g(void);' '_Noreturn void h(void);' 'int k(int n, int x[static n]);'; do
    echo "$line" > "$work/src/bait.h"
    compiles "$work/src" bait.h || seen=$((seen + 1))
done
[ "$seen" -eq 4 ] && echo "ok 2 - words of C alone are seen" || echo "not ok 2 - of four words of C alone $seen are seen"
echo 1..2
[ "$bad" -eq 0 ] && [ "$seen" -eq 4 ]
