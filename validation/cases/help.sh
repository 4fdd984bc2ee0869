#!/bin/sh
# Help of every command in all its forms; suggestions of what was probably meant; each command takes exactly the options that
# its help lists.
. "${srcdir:-.}/validation/scripts/tap.sh"
commands="train probe inspect export upcycle tokenize env help"
two_words="deck_new deck_check deck_show deck_keys site_show site_get site_check"

# helps NAME: a whole page, the same in all three spellings
helps() {
    name=$1
    # shellcheck disable=SC2086
    ends 0 "$COPPICE" help $name && said "^usage: coppice $name" && said '^options:' && said '^example:' &&
        said '  coppice \|  mpirun ' && said ' --quiet ' && cp "$work/said" "$work/help" || return 1
    for flag in --help -h; do
        # shellcheck disable=SC2086
        ends 0 "$COPPICE" $name $flag && cmp "$work/help" "$work/said" || return 1
    done
}
for name in $commands; do helps "$name"; verdict $? "$name: help, --help and -h say the same"; done
for name in $two_words; do name=$(echo "$name" | tr _ ' '); helps "$name"; verdict $? "$name: help, --help and -h say the same"; done

ends 0 "$COPPICE" -h && cp "$work/said" "$work/help" && ends 0 "$COPPICE" --help && cmp "$work/help" "$work/said" &&
    ends 0 "$COPPICE" help && cmp "$work/help" "$work/said"
verdict $? "-h, --help and help"
good=0
for name in $commands $two_words; do
    grep -q "^  $(echo "$name" | tr _ ' ') " "$work/help" || good=1
done
verdict $good "the list has every command"
ends 0 "$COPPICE" deck --help && said 'deck check' && ! said '^  train'
verdict $? "deck --help lists what begins with deck"
ends 0 "$COPPICE" train deck.yaml --set a=b --help && said '^usage: coppice train'
verdict $? "--help behind other arguments"
ends 64 "$COPPICE" frobnicate --help && said 'no command frobnicate'
verdict $? "--help of an unknown command: exit code 64"

for script in quickstart validation/golden validation/layouts validation/mutation validation/science/run validation/bench/step \
    validation/fuzz/run; do
    ends 0 "$top/$script" --help && said "$script" && cp "$work/said" "$work/help" && ends 0 "$top/$script" -h &&
        cmp "$work/help" "$work/said"
    verdict $? "$script answers --help and -h"
done

# meant MESSAGE ARGUMENT...: exit code 64, one line, with the word that was meant
meant() {
    message=$1
    shift
    ends 64 "$COPPICE" "$@" && said "$message" && [ "$(grep -c . "$work/said")" -eq 1 ]
    verdict $? "coppice $*: $message"
}
meant 'did you mean train?' trian
meant 'did you mean inspect?' inpsect x
meant 'did you mean deck check?' deck chekc x
meant 'did you mean deck?' dekc check x
meant 'did you mean upcycle?' help upcylce
meant 'did you mean --fresh?' train x --frehs
meant 'did you mean --expect?' probe x --expct=f
meant 'did you mean --set?' deck check x --sett a=b
meant 'did you mean --quiet?' inspect x --quite
meant 'unknown option -n' train x -n
meant 'coppice help' zzzzzzzz
meant 'needs one word more' deck
meant 'whole number' deck check x --ranks 0
meant 'whole number' deck check x --ranks 4x
meant 'needs a value' train x --branch
meant 'takes no value' train x --fresh=1
meant 'takes no argument' env x
meant "no key's name contains" deck keys zzz

# Every option of every help is taken, and those of other commands are not: a word of its own follows, so that
# nothing runs.
for name in $commands $two_words; do
    name=$(echo "$name" | tr _ ' ')
    good=0
    # shellcheck disable=SC2086
    options=$("$COPPICE" help $name | sed -n 's/^  --\([a-z-]*\).*/\1/p')
    for option in set fresh branch out expect curve diff dtype format explain ranks json markdown quiet \
        tokenizer field split-blank eod no-eod special shell; do
        # shellcheck disable=SC2086
        "$COPPICE" $name --$option=1 --zz > "$work/said" 2>&1
        taken=$(grep -c "unknown option --$option=1" "$work/said")
        case " $(echo $options) " in *" $option "*) [ "$taken" -eq 0 ] ;; *) [ "$taken" -eq 1 ] ;; esac || good=1
    done
    [ "$name" = help ] || verdict $good "$name takes what its help lists, and nothing else"
done
finish
