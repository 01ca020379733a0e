/* What a mistyped word was to be. */

#include "proto/guess.h"

#include <ctype.h>
#include <string.h>

/* Words longer than this are not guessed at. */
#define WORD_MAX 32

static char fold(char c) {
        return c == '-' ? '_' : c;
}

bool name_is(const char *word, const char *name) {
        while (*word && fold(*word) == fold(*name)) {
                word++;
                name++;
        }
        return *word == *name;
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b) {
        size_t rows[3][WORD_MAX + 1];
        size_t *before = rows[0], *above = rows[1], *row = rows[2], *unused;
        size_t best;

        for (size_t j = 0; j <= n_b; j++)
                above[j] = j;
        memset(before, 0, sizeof(rows[0]));
        for (size_t i = 1; i <= n_a; i++) {
                row[0] = i;
                for (size_t j = 1; j <= n_b; j++) {
                        best = above[j - 1] + (tolower(fold(a[i - 1])) != fold(b[j - 1]));
                        if (above[j] + 1 < best)
                                best = above[j] + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            before[j - 2] + 1 < best)
                                best = before[j - 2] + 1;
                        row[j] = best;
                }
                unused = before;
                before = above;
                above = row;
                row = unused;
        }
        return above[n_b];
}

const char *guess(const char *word, const char *const *candidates, size_t n_candidates) {
        size_t n = strlen(word);
        /* One slip in short words, two in long ones. */
        size_t best = n <= 4 ? 2 : 3;
        const char *found = NULL;
        size_t d;

        for (size_t i = 0; n <= WORD_MAX && i < n_candidates; i++) {
                if (strlen(candidates[i]) > WORD_MAX)
                        continue;
                d = distance(word, n, candidates[i], strlen(candidates[i]));
                if (d < best) {
                        best = d;
                        found = candidates[i];
                }
        }
        return found;
}
