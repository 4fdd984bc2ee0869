#!/bin/sh
# What make install brings, from a prefix that was moved, cannot be written, and is used by somebody without a home.
. "${srcdir:-.}/validation/scripts/tap.sh"
unset MAKEFLAGS MAKELEVEL MFLAGS COPPICE_SITE
: "${builddir:=$top/build}"
value() { sed -n "s|^$1 = ||p" "$builddir/Makefile" | head -n 1 | sed "s|\${prefix}|$prefix|; s|\$(prefix)|$prefix|"; }
prefix=$(value prefix)
case $prefix in /*) ;; *) verdict 0 "make install # SKIP no prefix in $builddir/Makefile"; finish ;; esac
chmod 755 "$work"
stage=$work/stage
installs() { (cd "$builddir" && ends 0 "${MAKE:-make}" -s "$1" DESTDIR="$stage"); }
installs install
verdict $? "make install into a stage"
echo "mine" > "$stage$(value sysconfdir | sed 's|^$|'"$prefix"'/etc|')/coppice/site.yaml" &&
    installs install && [ "$(cat "$stage$prefix/etc/coppice/site.yaml")" = mine ]
verdict $? "a second install leaves the site file alone"
for version in a b; do mkdir -p "$work/$version" && cp -R "$stage$prefix/." "$work/$version"; done
installs uninstall && [ "$(cd "$stage" && find . -type f)" = ".$prefix/etc/coppice/site.yaml" ]
verdict $? "make uninstall leaves nothing but the site file"

# A prefix that was moved, without its site file; nobody may write to it.
a=$work/a b=$work/b
rm -f "$a/etc/coppice/site.yaml" "$b/etc/coppice/site.yaml"
echo "account: of_b" > "$b/etc/coppice/site.yaml"
cp "$b/share/coppice/machines/cpu.yaml" "$b/share/coppice/machines/only-b.yaml"
chmod -R a-w "$a" "$b"
mkdir "$work/here" && chmod 777 "$work/here"
drop=
if [ "$(id -u)" -eq 0 ]; then
    for try in "setpriv --reuid=65534 --regid=65534 --clear-groups" "runuser -u nobody --"; do
        # shellcheck disable=SC2086
        [ -n "$drop" ] || ! $try true 2> /dev/null || drop=$try
    done
fi
# alone COMMAND...: with an empty environment and home, in an empty folder, as nobody if this is root
alone() {
    # shellcheck disable=SC2086
    (cd "$work/here" && ends "${code:-0}" $drop env -i HOME= PATH="$PATH" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        OMP_NUM_THREADS=1 ${LD_LIBRARY_PATH:+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"} ${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0"} "$@")
}
who=${drop:+", as nobody"}
alone "$a/bin/coppice" --version && said '^Coppice [0-9.]* ([0-9a-f]\{7\}\|^Coppice [0-9.]* (' && ! said '(unknown)'
verdict $? "--version names the release and the revision$who"
alone "$a/bin/coppice" env --json && said '"compiler"' && said '"Open MPI"\|"MPICH"\|MPI' && for name in HDF5 jansson libyaml xxHash PCRE2 utf8proc; do
    said "\"$name\": \"[0-9]" || break; done
verdict $? "env names the compiler and the libraries with their versions$who"
alone "$a/bin/coppice" deck check "$a/share/coppice/input/demo.yaml" --ranks 4 &&
    alone "$a/bin/coppice" plan "$a/share/coppice/input/demo.yaml" --ranks 4 && said '2 cores of Zen 3'
verdict $? "the demonstration's deck, its model and data, and a machine file by name$who"
code=73 alone "$a/bin/coppice" deck check "$a/share/coppice/input/demo.yaml" --set run.dir=/nowhere-at-all && said 'run.dir: /nowhere-at-all cannot be .*: /: '
verdict $? "a run folder that would lie in the root folder$who"
alone "$a/bin/coppice" train "$a/share/coppice/input/demo.yaml" --set run.steps=1 --set optimizer.warmup=0 --set eval.every=never --set parallel.tensor=1 \
    --set parallel.expert=1 --set batch.sequences=4 && said 'CERTIFICATE PASS' && [ -d "$work/here/runs/demo/ckpt" ]
verdict $? "training it, from a prefix that cannot be written$who"
code=64 alone "$a/bin/coppice" plan "$a/share/coppice/input/demo.yaml" --ranks 4 --machine only-b &&
    alone "$b/bin/coppice" plan "$a/share/coppice/input/demo.yaml" --ranks 4 --machine only-b &&
    alone "$a/bin/coppice" site get account && said '^$' && alone "$b/bin/coppice" site get account && said '^of_b$'
verdict $? "two versions side by side have their own files and site$who"

# Pages and completion are those of the program's tables.
"$COPPICE" help --out "$work/pages" && cmp "$work/pages/coppice.1" "$a/share/man/man1/coppice.1" &&
    cmp "$work/pages/_coppice" "$a/share/zsh/site-functions/_coppice" &&
    cmp "$work/pages/coppice.bash" "$a/share/bash-completion/completions/coppice" &&
    cmp "$work/pages/site.yaml.example" "$a/etc/coppice/site.yaml.example"
verdict $? "pages, completion and the site file's example are fresh"
"$COPPICE" help | sed -n 's/^  \([a-z]\{1,\}\( [a-z]\{1,\}\)\{0,1\}\)  *.*/\1/p; s/^  \([a-z]* *[a-z]*\) [[A-Z].*/\1/p' | sed 's/ *$//' |
    sort -u | while read -r name; do
    [ -s "$a/share/man/man1/coppice-$(echo "$name" | tr ' ' -).1" ] || echo "no page of $name"
done > "$work/said"
[ ! -s "$work/said" ] && [ "$(find "$a/share/man/man1" -name 'coppice-*' | wc -l)" -gt 10 ]
verdict $? "each command has a page"
missing=$("$COPPICE" deck keys | sed -n 's/^\([a-z][a-z_.]*\) .*/\1/p' | while read -r key; do
    grep -q "^.fB$key.fR " "$a/share/man/man5/coppice-deck.5" || echo "$key"; done)
[ -z "$missing" ]
verdict $? "coppice-deck(5) has every key"
if command -v man > /dev/null && man --version > /dev/null 2>&1; then
    for page in "$a"/share/man/man[15]/*; do man --warnings -l "$page" 2>&1 > /dev/null; done | grep . > "$work/said"
    [ ! -s "$work/said" ]
    verdict $? "man reads the pages without a warning"
else
    verdict 0 "man reads the pages # SKIP there is no man"
fi

# completes WORDS... WANTED: the last word is what bash makes of the others, among other things
completes() {
    printf '%s\n' "$@" > "$work/words"
    bash -c '. "$1"; mapfile -t words < "$2"; wanted=${words[-1]}; unset "words[-1]"
        COMP_WORDS=("${words[@]}"); COMP_CWORD=$((${#words[@]} - 1)); _coppice
        for word in "${COMPREPLY[@]}"; do [ "$word" != "$wanted" ] || exit 0; done; echo "${COMPREPLY[@]}"; exit 1' \
        bash "$a/share/bash-completion/completions/coppice" "$work/words" > "$work/said" 2>&1
}
if command -v bash > /dev/null; then
    completes coppice tr train && completes coppice deck ch check && completes coppice train --fr --fresh &&
        completes coppice train --set model.moe.top model.moe.top_k= && completes coppice site show --sh --shell &&
        completes coppice help tok tokenize && ! completes coppice export --fr --fresh
    verdict $? "bash completes commands, options and keys"
else
    verdict 0 "bash completes # SKIP there is no bash"
fi
helps=$("$COPPICE" help env | sed -n '1s/^env: //p')
grep -qF "'env:$helps'" "$a/share/zsh/site-functions/_coppice" && grep -q "'deck:new check show keys'" "$a/share/zsh/site-functions/_coppice"
verdict $? "zsh's completion has the help of commands, and the words of a family"
if command -v zsh > /dev/null; then ends 0 zsh -n "$a/share/zsh/site-functions/_coppice"; verdict $? "zsh reads its completion"; fi

# Modulefiles.
version=$(value PACKAGE_VERSION)
! grep -n '@[A-Z]*@\|@[a-z]*dir@' "$a/share/modulefiles/coppice/$version" "$a/share/modulefiles/coppice/$version.lua" > "$work/said" &&
    grep -q "\"PATH\", \"$(value bindir)\|\"PATH\", \"$prefix/bin\"" "$a/share/modulefiles/coppice/$version.lua" &&
    head -n 1 "$a/share/modulefiles/coppice/$version" | grep -q '^#%Module'
verdict $? "modulefiles name the prefix"

# An installed job script, and a copy of it elsewhere, with stand-ins for Slurm: they find what they need, and the site's values.
mkdir "$work/bin"
printf '#!/bin/sh\necho "srun $*"; exit 79\n' > "$work/bin/srun"
printf '#!/bin/sh\nexit 0\n' > "$work/bin/scontrol"
chmod +x "$work/bin/srun" "$work/bin/scontrol"
printf 'mpi: pmi2\nlauncher_flags: --network=x --verbose\nstripe: touch %s/striped\n' "$work/here" > "$work/site.yaml"
cp "$a/share/coppice/jobscripts/node.sbatch" "$work/here/mine.sbatch"
chmod 644 "$work/here/mine.sbatch"
command -v bash > /dev/null && for script in "$a/share/coppice/jobscripts/node.sbatch" mine.sbatch; do
    rm -rf "$work/here/runs" "$work/here/striped"
    code=79 alone PATH="$work/bin:$a/bin:$PATH" COPPICE_SITE="$work/site.yaml" SLURM_JOB_ID=7 bash "$script" "$a/share/coppice/input/demo.yaml" &&
        said '^srun -K1 --mpi=pmi2 .* --network=x --verbose coppice train ' && said 'stopped by the user' && [ -e "$work/here/striped" ]
    verdict $? "$(basename "$script"): an installed job script with the site's launcher and stripe$who"
done
chmod -R u+w "$a" "$b"

# packaging/deps with a library of one file: built by its checksum under any name; a changed tarball and one that is missing are refused.
mkdir -p "$work/packaging" "$work/toy-1" "$work/tarballs"
cp "$top/packaging/deps" "$work/packaging"
printf 'all:\ninstall:\n\tmkdir -p $(prefix)/lib && echo toy > $(prefix)/lib/libtoy.so\n' > "$work/toy-1/Makefile"
tar -cf "$work/tarballs/any-name.tar.x" -C "$work" toy-1
sum=$(sha256sum "$work/tarballs/any-name.tar.x" | cut -d ' ' -f 1)
echo "toy 1 $sum make nowhere" > "$work/packaging/deps.list"
ends 0 "$work/packaging/deps" "$work/deps" --from "$work/tarballs" && said "--with-toy=$work/deps" && [ -e "$work/deps/lib/libtoy.so" ] &&
    echo x >> "$work/tarballs/any-name.tar.x" && ends 65 "$work/packaging/deps" "$work/deps2" --from "$work/tarballs" && said "$sum .*nowhere" &&
    ends 64 "$work/packaging/deps" "$work/deps2" --from "$work/tarballs" --only other && ends 64 "$work/packaging/deps"
verdict $? "packaging/deps knows tarballs by their checksums"
finish
