/* Searches 64 bytes at once: a mask has a bit for each of the 64 bytes at p, the first byte's bit the lowest.

   Masks are made with instructions that every such processor has: SSE2 on x86-64, NEON on arm64. On other processors, and
   if FASTHITS_WORDS is defined, they are made with words of 8 bytes. (AVX2 would save 3 of the 50 ns that it takes to read
   a line. That is not worth another variant.) */

#ifndef FASTHITS_MASKS_H
#define FASTHITS_MASKS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A part is a number of bytes that are compared at once. In the result a byte that was found is 0xFF, or 0x80 in a word;
   other bytes are 0. */
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
static inline int fasthits_any(fasthits_part found) { return _mm_movemask_epi8(found) != 0; }

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
static inline int fasthits_any(fasthits_part found) { return vmaxvq_u8(found) != 0; }

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
static inline int fasthits_any(fasthits_part found) { return found != 0; }
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

static inline fasthits_part fasthits_found(const char *p, char byte)    /* which of the 64 bytes is not told */
{
    fasthits_part found = fasthits_equal(fasthits_load(p), fasthits_fill(byte));
    for (size_t i = 1; i < FASTHITS_PARTS; i++)
        found = fasthits_or(found, fasthits_equal(fasthits_load(p + i * sizeof(fasthits_part)), fasthits_fill(byte)));
    return found;
}

/* Tells whether a byte is among those from p up to the end. Nearly always there are 64 to 192, which are looked at
   without a branch: some of them twice. */
static inline int fasthits_has(const char *p, const char *end, char byte)
{
    if (end - p < 64)
        return p != end && memchr(p, byte, (size_t)(end - p)) != NULL;
    fasthits_part found = fasthits_found(end - 64, byte);
    found = fasthits_or(found, fasthits_found(end - p < 128 ? p : end - 128, byte));
    found = fasthits_or(found, fasthits_found(end - p < 192 ? p : end - 192, byte));
    for (; __builtin_expect(end - p > 192, 0); p += 64)
        found = fasthits_or(found, fasthits_found(p, byte));
    return fasthits_any(found);
}

#define FASTHITS_SEARCHED 4096    /* bytes at a time: they are still in the cache when their lines are counted */

/* Appends the newlines among the 64 bytes at p to the newlines found so far; returns the number of all. Nearly always
   there is none or one, so the first newline is stored without a branch. */
static inline size_t fasthits_put_newlines(const char *p, const char **newline, size_t newlines)
{
    uint64_t found = fasthits_mask_of(p, '\n');
    newline[newlines] = p + __builtin_ctzll(found | (uint64_t)1 << 63);
    newlines += found != 0;
    while (__builtin_expect((found &= found - 1) != 0, 0))
        newline[newlines++] = p + __builtin_ctzll(found);
    return newlines;
}

/* Finds some of the next newlines, at least one if there is any; returns their number. Moves *searched to the end of the
   bytes that were searched. */
static inline size_t fasthits_find_newlines(const char **searched, const char *end, const char **newline)
{
    const char *p = *searched;
    const char *stop = end - p < FASTHITS_SEARCHED ? end : p + FASTHITS_SEARCHED;
    const char *last = p + ((stop - p) & ~(ptrdiff_t)127);
    size_t newlines = 0;
    for (; p != last; p += 128) {
        newlines = fasthits_put_newlines(p, newline, newlines);
        newlines = fasthits_put_newlines(p + 64, newline, newlines);
    }
    for (; p != stop; p++)
        if (*p == '\n')
            newline[newlines++] = p;
    if (newlines == 0 && p != end) {
        newline[0] = (const char *)memchr(p, '\n', (size_t)(end - p));
        newlines = newline[0] != NULL;
        p = newlines ? newline[0] + 1 : end;
    }
    *searched = p;
    return newlines;
}

#endif
