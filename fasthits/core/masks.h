/* Searches 64 bytes at once: a mask has a bit for each of the 64 bytes at p, the first byte's bit the lowest.

   Masks are made by what every processor of its kind has: SSE2 on x86-64, NEON on arm64; elsewhere, and if
   FASTHITS_WORDS is defined, by words of 8 bytes. (AVX2 for newlines and brackets would save 3 ns of the 50 that a line
   takes with its reading; that is not worth another way.) */

#ifndef FASTHITS_MASKS_H
#define FASTHITS_MASKS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A part is what is compared at once. A byte of it that was found is 0xFF, or, of a word, 0x80; others are 0. */
#if defined(__SSE2__) && !defined(FASTHITS_WORDS)
#include <emmintrin.h>
typedef __m128i fasthits_part;

static inline fasthits_part fasthits_load(const char *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline fasthits_part fasthits_fill(char byte) { return _mm_set1_epi8(byte); }
static inline fasthits_part fasthits_or(fasthits_part a, fasthits_part b) { return _mm_or_si128(a, b); }
static inline fasthits_part fasthits_equal(fasthits_part a, fasthits_part b) { return _mm_cmpeq_epi8(a, b); }
static inline uint64_t fasthits_bits(const fasthits_part *found)
{
    uint64_t low = (uint32_t)_mm_movemask_epi8(found[0]) | (uint32_t)_mm_movemask_epi8(found[1]) << 16;
    uint64_t high = (uint32_t)_mm_movemask_epi8(found[2]) | (uint32_t)_mm_movemask_epi8(found[3]) << 16;
    return low | high << 32;
}

#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(FASTHITS_WORDS)
#include <arm_neon.h>
typedef uint8x16_t fasthits_part;

static inline fasthits_part fasthits_load(const char *p) { return vld1q_u8((const uint8_t *)p); }
static inline fasthits_part fasthits_fill(char byte) { return vdupq_n_u8((uint8_t)byte); }
static inline fasthits_part fasthits_or(fasthits_part a, fasthits_part b) { return vorrq_u8(a, b); }
static inline fasthits_part fasthits_equal(fasthits_part a, fasthits_part b) { return vceqq_u8(a, b); }
static inline uint64_t fasthits_bits(const fasthits_part *found)
{
    const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t low = vpaddq_u8(vandq_u8(found[0], bits), vandq_u8(found[1], bits));
    uint8x16_t high = vpaddq_u8(vandq_u8(found[2], bits), vandq_u8(found[3], bits));
    uint8x16_t all = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

#else
typedef uint64_t fasthits_part;

static inline fasthits_part fasthits_load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return le64toh(word);
}
static inline fasthits_part fasthits_fill(char byte) { return (uint8_t)byte * 0x0101010101010101u; }
static inline fasthits_part fasthits_or(fasthits_part a, fasthits_part b) { return a | b; }
static inline fasthits_part fasthits_equal(fasthits_part a, fasthits_part b)
{
    const uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
    return ~((((a ^ b) & low) + low) | (a ^ b) | low);
}
static inline uint64_t fasthits_bits(const fasthits_part *found)
{
    uint64_t mask = 0;
    for (int i = 0; i < 8; i++)
        mask |= ((found[i] >> 7) * 0x0102040810204080u) >> 56 << 8 * i;
    return mask;
}
#endif

#define FASTHITS_PARTS (64 / sizeof(fasthits_part))

static inline uint64_t fasthits_mask_of(const char *p, char byte)
{
    fasthits_part found[FASTHITS_PARTS];
    for (size_t i = 0; i < FASTHITS_PARTS; i++)
        found[i] = fasthits_equal(fasthits_load(p + i * sizeof(fasthits_part)), fasthits_fill(byte));
    return fasthits_bits(found);
}

/* Spaces, quotes (which differ from spaces in one bit) and question marks. */
static inline uint64_t fasthits_ends_of_path(const char *p)
{
    fasthits_part found[FASTHITS_PARTS];
    for (size_t i = 0; i < FASTHITS_PARTS; i++) {
        fasthits_part part = fasthits_load(p + i * sizeof(fasthits_part));
        found[i] = fasthits_or(fasthits_equal(fasthits_or(part, fasthits_fill(' ' ^ '"')), fasthits_fill('"')),
                               fasthits_equal(part, fasthits_fill('?')));
    }
    return fasthits_bits(found);
}

#define FASTHITS_MARKS 128    /* newlines are those of 30 KB then, which are near still when their lines are counted */

typedef struct {
    const char *newline[FASTHITS_MARKS + 63], *bracket[FASTHITS_MARKS + 64];
    size_t newlines, brackets;
} fasthits_marks;

/* Finds the next newlines, one at least if there is any, and the brackets among these lines, or some of a line that has
   more of them than marks; behind the last one stands a place behind all the lines. Of 64 bytes nearly all have no
   newline, or one, and of brackets too, so what is done about the first takes no branch. */
static inline void fasthits_find_marks(const char *p, const char *end, fasthits_marks *marks)
{
    size_t newlines = 0, brackets = 0;
    while (end - p >= 64 && newlines < FASTHITS_MARKS && brackets < FASTHITS_MARKS) {
        uint64_t found = fasthits_mask_of(p, '\n');
        marks->newline[newlines] = p + __builtin_ctzll(found | (uint64_t)1 << 63);
        newlines += found != 0;
        while (__builtin_expect((found &= found - 1) != 0, 0))
            marks->newline[newlines++] = p + __builtin_ctzll(found);
        found = fasthits_mask_of(p, '[');
        marks->bracket[brackets] = p + __builtin_ctzll(found | (uint64_t)1 << 63);
        brackets += found != 0;
        while (__builtin_expect((found &= found - 1) != 0, 0))
            marks->bracket[brackets++] = p + __builtin_ctzll(found);
        p += 64;
    }
    for (; p != end && newlines < FASTHITS_MARKS && brackets < FASTHITS_MARKS; p++) {
        if (*p == '\n')
            marks->newline[newlines++] = p;
        if (*p == '[')
            marks->bracket[brackets++] = p;
    }
    if (newlines == 0 && p != end) {
        p = (const char *)memchr(p, '\n', (size_t)(end - p));
        if (p != NULL)
            marks->newline[newlines++] = p;
    }
    marks->bracket[brackets] = end;
    marks->newlines = newlines;
    marks->brackets = brackets;
}

#endif
