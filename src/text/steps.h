/* What happens to text before it is tokens, and to tokens before they are text: the steps of tokenizer.json's
 * normalizer, pre_tokenizer and decoder, in a few kinds that they all come down to. Not collective. */
#ifndef TEXT_STEPS_H
#define TEXT_STEPS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "text/buffer.h"
#include "text/regex.h"

enum step_kind {
    /* normalizer */
    STEP_PREPEND, /* text */
    STEP_REPLACE, /* regex, text; also a decoder */
    STEP_FORM,    /* form */
    STEP_STRIP,   /* left, right: white space at the ends */
    /* pre_tokenizer */
    STEP_SPLIT,  /* regex, rule, invert */
    STEP_SPACES, /* text instead of each space, and before the piece by `when` unless it is there */
    /* decoder */
    STEP_BYTES,         /* ByteLevel's characters are bytes */
    STEP_BYTE_FALLBACK, /* <0xNN> are bytes */
    STEP_FUSE,          /* one piece */
    STEP_TRIM,          /* text, at most left times at the begin and right times at the end of each piece */
    STEP_UNSPACE,       /* text is a space; the first piece's is left out, unless when = NEVER */
};
enum split_rule { REMOVED, ISOLATED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS };
enum when { NEVER, FIRST, ALWAYS }; /* FIRST: only at the begin of the whole text */

/* One struct for all kinds: each uses what its comment names. */
struct step {
    enum step_kind kind;
    struct regex *regex;
    struct bytes text;
    enum split_rule rule;
    enum when when;
    int form, left, right; /* form: options of utf8proc */
    bool invert;
};

struct steps {
    struct step *step;
    int n;
};

/** A new step at the end. */
struct step *steps_add(struct steps *, enum step_kind);
void steps_free(struct steps *);

/** Append text[0, n) with every match replaced (STEP_REPLACE). E_DATA. */
status step_replace(const struct step *, struct regex_match *, const char *text, int64_t n,
                    struct bytes *out) MUST_USE;

/** The text normalized; it is overwritten. E_DATA. */
status steps_normalize(const struct steps *, struct regex_match *, struct bytes *text) MUST_USE;

/** Pieces of one text, in order. */
struct pieces {
    struct bytes text;
    struct piece {
        int64_t at, n;
        bool first; /* begins where the whole text begins */
    } * piece;
    int64_t n, room;
};
void pieces_add(struct pieces *, int64_t at, int64_t n, bool first);
void pieces_free(struct pieces *);
void pieces_swap(struct pieces *, struct pieces *);
/** p has one piece or more; each step replaces them by its own. `spare` is used on the way. E_DATA. */
status steps_split(const struct steps *, struct regex_match *, struct pieces *p,
                   struct pieces *spare) MUST_USE;

/** p has one piece per token; the text is in the pieces that are left. E_DATA. */
status steps_decode(const struct steps *, struct regex_match *, struct pieces *p,
                    struct pieces *spare) MUST_USE;

#endif
