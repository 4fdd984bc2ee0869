#!/bin/sh
# The documents: each block of commands that is marked as tested runs, with the installed program, in the order of its page; links lead
# somewhere; doc/errors.md has every exit code with its meaning, and quotes no message that the sources do not have.
. "${srcdir:-.}/validation/scripts/tap.sh"
unset MAKEFLAGS MAKELEVEL MFLAGS
: "${builddir:=$top/build}"
pages="user site formats errors performance versions"
(cd "$builddir" && ends 0 "${MAKE:-make}" -s install DESTDIR="$work/stage")
verdict $? "make install into a stage"
bin=$(dirname "$(find "$work/stage" -path '*/bin/coppice' | head -n 1)")

# blocks PAGE: its tested blocks, as $work/PAGE.1, .2 ...; prints how many
blocks() {
    awk -v to="$work/$(basename "$1" .md)." '
        /^```/ { if (into) { close(into); into = "" } else if ($0 == "```sh tested") into = to (++n); next }
        into { print > into }
        END { print n + 0 }' "$1"
}
mkdir "$work/launch"
printf '#!/bin/sh\nexec %s %s "$@"\n' "$(command -v "$MPIEXEC" || echo "$MPIEXEC")" "${MPIEXEC_FLAGS:-}" > "$work/launch/mpirun"
chmod +x "$work/launch/mpirun"
for page in $pages; do
    n=$(blocks "$top/doc/$page.md")
    mkdir "$work/at-$page"
    [ "$n" -gt 0 ]
    verdict $? "doc/$page.md has commands that are tested"
    for i in $(seq "$n"); do
        block=$work/$page.$i
        if grep -q '^ *mpirun' "$block" && [ "$MPIEXEC" = no ]; then
            verdict 0 "doc/$page.md, block $i # SKIP configure found no MPI launcher"
            continue
        fi
        ln -sfn "$top/packaging" "$work/at-$page/packaging"
        (cd "$work/at-$page" && PATH=$work/launch:$bin:$PATH ends 0 sh -eu "$block")
        verdict $? "doc/$page.md, block $i: $(head -n 1 "$block" | cut -c 1-60)"
    done
done

# Every fence of shell commands is tested or says that it needs a site.
grep -n '^```sh' "$top"/doc/*.md | grep -v '```sh tested$\|```sh site$' > "$work/said"
[ ! -s "$work/said" ]
verdict $? "each block of commands is tested, or needs a site"

# Links to files, from where the page lies.
for page in "$top"/README.md "$top"/doc/*.md; do
    grep -o '](\([^)#]*\)' "$page" | sed 's/](//' | grep -v '^http' | while read -r link; do
        [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
    done
done > "$work/said"
[ ! -s "$work/said" ]
verdict $? "links lead somewhere"

# Exit codes: each once, in words of the program itself.
"$COPPICE" help | sed -n '/^exit codes:/,$s/^ *\([0-9]\{1,\}\)  \(.*\)/\1: \2/p' > "$work/codes"
sed -n 's/^## \([0-9]\{1,\}: .*\)/\1/p' "$top/doc/errors.md" | diff "$work/codes" - > "$work/said" && [ "$(wc -l < "$work/codes")" -gt 10 ]
verdict $? "doc/errors.md has every exit code"
in_sources() { grep -rhF --include='*.c' -- "$1" "$top/src" | grep -q '"'; }
sed -n 's/^| `\([^`]*\)` |.*/\1/p' "$top/doc/errors.md" > "$work/words"
while read -r words; do in_sources "$words" || echo "no message has: $words"; done < "$work/words" > "$work/said"
[ ! -s "$work/said" ] && [ "$(wc -l < "$work/words")" -gt 20 ]
verdict $? "the messages that doc/errors.md quotes are in the sources"
! in_sources "words that no message "has
verdict $? "words that no message has are seen"
finish
