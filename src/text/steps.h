/* The steps of tokenizer.json's normalizer, pre_tokenizer and decoder: what happens to text before it becomes
 * tokens, and to tokens before they become text. All components are made of a few kinds of steps. Not
 * collective. */
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
    STEP_STRIP,   /* left, right: remove white space at these ends */
    /* pre_tokenizer */
    STEP_SPLIT,  /* regex, rule, invert */
    STEP_SPACES, /* replace each space by text, and put text before the piece (see when), unless it is there
                  */
    /* decoder */
    STEP_BYTES,         /* ByteLevel's characters become bytes */
    STEP_BYTE_FALLBACK, /* <0xNN> becomes a byte */
    STEP_FUSE,          /* join all pieces */
    STEP_TRIM,    /* remove text, at most left times at the start and right times at the end of each piece */
    STEP_UNSPACE, /* replace text by a space; at the first piece remove it, unless when = NEVER */
};
enum split_rule { REMOVED, ISOLATED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS };
enum when { NEVER, FIRST, ALWAYS }; /* FIRST: only at the start of the whole text */

/* One struct for all kinds. Each kind uses the members that its comment names. */
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

/** Add a step. */
struct step *steps_add(struct steps *, enum step_kind);
void steps_free(struct steps *);

/** Append text[0, n) with every match replaced (STEP_REPLACE). E_DATA. */
status step_replace(const struct step *, struct regex_match *, const char *text, int64_t n,
                    struct bytes *out) MUST_USE;

/** Normalize a text in place. E_DATA. */
status steps_normalize(const struct steps *, struct regex_match *, struct bytes *text) MUST_USE;

/** Pieces of one text, in order. */
struct pieces {
    struct bytes text;
    struct piece {
        int64_t at, n;
        bool first; /* it begins where the whole text begins */
    } * piece;
    int64_t n, room;
};
void pieces_add(struct pieces *, int64_t at, int64_t n, bool first);
void pieces_free(struct pieces *);
void pieces_swap(struct pieces *, struct pieces *);
/** Split the pieces p, at least one, step by step. `spare` is room for intermediate pieces. E_DATA. */
status steps_split(const struct steps *, struct regex_match *, struct pieces *p,
                   struct pieces *spare) MUST_USE;

/** Decode the pieces p, one for each token. The pieces that remain hold the text. E_DATA. */
status steps_decode(const struct steps *, struct regex_match *, struct pieces *p,
                    struct pieces *spare) MUST_USE;

#endif
