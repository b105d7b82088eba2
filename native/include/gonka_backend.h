/* gonka_backend.h - everything a host and a backend know about each other. C11; also valid C++20 and CUDA.
 *
 * A backend is a shared library that exports one symbol, gk_backend_entry. It describes devices, owns their memory and
 * runs ops. A vendor needs this file and nothing else of the project.
 *
 * Rules that hold everywhere
 *   Sizes       in bytes unless a comment says elements. Counts and extents are int64_t and >= 0 unless stated.
 *   Layout      row-major; a "leading dimension" (ld*) is the number of elements between consecutive rows.
 *   Structs     begin with struct_size, set by whoever fills the struct. Fields are only ever appended; test for a
 *               field with GK_HAS. A reader treats an absent field as zero.
 *   Unknown     an enumerator or a non-zero field that a backend does not know means GK_UNSUPPORTED, never a guess.
 *   Ownership   whoever allocates frees: buffers through buffer_free of the backend that made them; strings returned
 *               by a backend are static or live as long as the object they were read from.
 *   Errors      every call returns a gk_status and may fill the caller's gk_error. No exception, signal, abort or exit
 *               leaves a backend.
 *   Threads     gk_backend and gk_device may be used from any thread at once. A gk_stream is used by one thread at a
 *               time. Different streams are independent.
 *   Versioning  minor: fields appended to structs, enumerators or ops added. Major: anything else.
 */
#ifndef GONKA_BACKEND_H
#define GONKA_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GK_ABI_MAJOR 1u
#define GK_ABI_MINOR 1u

/* True if whoever filled *p knew field f. */
#define GK_HAS(p, T, f) ((p)->struct_size >= offsetof(T, f) + sizeof((p)->f))

/* ---------------------------------------------------------------------------------------------- status and error */

/* Values never change and are never reused. Only GK_UNSUPPORTED makes the host try something else (the next
 * implementation, then its own CPU through copies); every other status ends the call. */
typedef enum gk_status {
  GK_OK = 0,
  GK_INVALID_ARGUMENT = 10, /* the caller's mistake; retrying is useless */
  GK_UNSUPPORTED = 20,      /* correct, but not here */
  GK_OUT_OF_MEMORY = 30,
  GK_DEVICE_ERROR = 31, /* this call failed; the device may still be usable */
  GK_DEVICE_LOST = 32,  /* the device is gone until it is opened anew */
  GK_CANCELLED = 33,
  GK_SELFTEST_FAILED = 34,
  GK_INTERNAL = 35,
  GK_STATUS_32BIT = 0x7fffffff
} gk_status;

/* Owned by the caller and filled on failure; may be NULL wherever it is a parameter. message is NUL-terminated UTF-8
 * that names the op and the values: "gemm: ldb=60 is smaller than k=64". native_code: errno, cudaError_t, ... or 0. */
typedef struct gk_error {
  uint32_t struct_size;
  gk_status status;
  int32_t native_code;
  char message[500];
} gk_error;

/* ------------------------------------------------------------------------------------------------ numbers and ops */

typedef enum gk_dtype {
  GK_F32 = 1,
  GK_F16 = 2,
  GK_BF16 = 3,
  GK_I8 = 4,
  GK_I32 = 5,
  GK_F8_E4M3 = 6, /* OCP OFP8: no infinities, NaN = 0x7f/0xff, max 448 */
  GK_F8_E5M2 = 7,
  GK_F64 = 8,
  GK_DTYPE_32BIT = 0x7fffffff
} gk_dtype;

typedef enum gk_op {
  GK_OP_GEMM = 1,               /* gk_gemm */
  GK_OP_ATTENTION = 2,          /* gk_attention */
  GK_OP_MATMUL_POW = 3,         /* gk_matmul_pow */
  GK_OP_SHA256_SEARCH = 4,      /* gk_sha256_search */
  GK_OP_NORMAL_FILL = 5,        /* gk_normal_fill */
  GK_OP_RMS_NORM = 6,           /* gk_rms_norm */
  GK_OP_ROPE = 7,               /* gk_rope */
  GK_OP_SILU_MUL = 8,           /* gk_silu_mul */
  GK_OP_HOUSEHOLDER = 9,        /* gk_householder */
  GK_OP_GATHER = 10,            /* gk_gather */
  GK_OP_L2_NORMALIZE = 11,      /* gk_l2_normalize */
  GK_OP_PERMUTED_DISTANCE = 12, /* gk_permuted_distance; since 1.1 */
  GK_OP_32BIT = 0x7fffffff
} gk_op;

typedef struct gk_device gk_device;       /* opaque; one accelerator */
typedef struct gk_stream gk_stream;       /* opaque; ordered queue of work on one device */
typedef struct gk_buffer gk_buffer;       /* opaque; device memory; base address aligned to at least 64 */
typedef struct gk_recording gk_recording; /* opaque; queued ops that can be queued again as one */

/* A place in device memory. An absent optional operand has buffer == NULL. offset in bytes: ops must accept any offset
 * that is a multiple of the element size and must not read or write outside the operand's extent. */
typedef struct gk_ref {
  gk_buffer *buffer;
  uint64_t offset;
} gk_ref;

/* Every op struct begins with these two fields.
 *   implementation  0: the backend takes its best; i >= 1: exactly the i-th of backend.implementation() or
 *                   GK_UNSUPPORTED with the reason it cannot.
 * Host pointers in op structs (targets, hit lists, seeds) are read during run(); what they receive is valid after
 * synchronize() of the stream. They stay alive until then. */

/* ------------------------------------------------------------------------------------------------------------ gemm */

typedef enum gk_epilogue {
  GK_EPILOGUE_NONE = 0,
  /* D = silu(A B^T) * (A B2^T) with silu(x) = x / (1 + exp(-x)); alpha applies to both products, beta must be 0. */
  GK_EPILOGUE_SWIGLU = 1,
  GK_EPILOGUE_32BIT = 0x7fffffff
} gk_epilogue;

/* How short F8 sums may be; ignored for other types. A permission: a backend that keeps more bits may ignore it. */
typedef enum gk_accumulation {
  GK_ACCUMULATE_F32 = 0,
  /* Sums of up to 128 neighbouring products may be kept to 14 bits, as the F8 units of sm_89 and sm_90 do. */
  GK_ACCUMULATE_SHORT = 1,
  GK_ACCUMULATE_32BIT = 0x7fffffff
} gk_accumulation;

/* D = alpha * A B^T + beta * C   (NT: both operands are stored with k contiguous).
 *
 *  Shapes    A [m,k] ld lda, B [n,k] ld ldb, C [m,n] ld ldc, D [m,n] ld ldd. lda, ldb >= k; ldc, ldd >= n.
 *  Types     a_type x b_type -> d_type, accumulation:
 *              {F32,F16,BF16} x {F32,F16,BF16} -> {F32,F16,BF16}, in F32;
 *              I8 x I8 -> I32, exact modulo 2^32 (alpha 1, beta 0 or 1);
 *              {F8_E4M3,F8_E5M2} x same -> {F32,BF16,F16}, in F32 with scales.
 *            C has the type of D.
 *  Packed    b_packed != 0: b is what gemm_pack made of B on this device, at offset 0; ldb is ignored. Same for b2.
 *  Scales    only for F8 types: a_scale [m, ceil(k/scale_block_k)], b_scale [ceil(n/scale_block_n),
 *            ceil(k/scale_block_k)], F32, dense; each multiplies its block. Absent: 1.
 *  Aliasing  C may be D (same place and ld). No other overlap of D with an operand.
 *  Empty     m == 0 or n == 0: nothing. k == 0: beta * C. beta == 0: C is not read and may hold NaN.
 *  Numerics  floats: |error| <= 2 (k + 2) eps32 |alpha| sum|a||b| + eps32 |beta c| + rounding of D, elementwise, for
 *            products that do not overflow; SWIGLU: that of both products carried through silu, + 8 eps32 |d|.
 *            GK_ACCUMULATE_SHORT: + 17 2^-10 |alpha| sum|a||b| for each product.
 *            BF16 x BF16: subnormal operands and partial sums may count as zero. Bitwise repeatable for one device,
 *            implementation and problem.
 *  Source    Goto and van de Geijn, ACM TOMS 34(3), 2008 (blocking). */
typedef struct gk_gemm {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t a_type, b_type, d_type; /* gk_dtype */
  uint32_t b_packed;
  int64_t m, n, k, lda, ldb, ldc, ldd; /* elements */
  float alpha, beta;
  gk_ref a, b, c, d;
  uint32_t epilogue;     /* gk_epilogue */
  uint32_t accumulation; /* gk_accumulation */
  gk_ref b2;
  gk_ref a_scale, b_scale, b2_scale;
  int64_t scale_block_n, scale_block_k; /* elements; 0 where there are no scales */
} gk_gemm;

/* Turns a constant B [n,k] into whatever layout the device's gemm likes best; made once, used by many gemms.
 * epilogue and b2 as in gk_gemm: with GK_EPILOGUE_SWIGLU both are packed together into one buffer (b2 is then not
 * passed to the gemm). The pack keeps b_type's precision: unpacking would give B back bit for bit. */
typedef struct gk_gemm_pack {
  uint32_t struct_size;
  uint32_t implementation; /* as in gk_gemm: whose layout; 0 = that of the best implementation */
  uint32_t a_type, b_type; /* gk_dtype of the gemms that will use it */
  uint32_t epilogue;       /* gk_epilogue */
  uint32_t reserved;
  int64_t n, k, ldb; /* elements */
  gk_ref b, b2;
} gk_gemm_pack;

/* ------------------------------------------------------------------------------------------------------- attention */

/* O = softmax(softmax_scale * Q K^T + mask) V, per head, over packed sequences of different lengths.
 *
 *  Shapes    Q and O [total_q, num_heads, head_dim], K and V [total_k, num_heads_kv, head_dim]; *_token_stride and
 *            *_head_stride in elements, head_dim contiguous. num_heads % num_heads_kv == 0; query head h reads kv head
 *            h / (num_heads / num_heads_kv).
 *  Sequences cu_seqlens_q, cu_seqlens_k: host arrays of batch + 1 increasing offsets from 0; read during run().
 *  Mask      causal: query i of a sequence sees keys j <= i + seqlen_k - seqlen_q. A row that sees no key gives 0 and
 *            LSE -inf.
 *  Types     q, k, v of one type F32, F16 or BF16; o_type F32 or that type. Products and softmax in F32 or better;
 *            implementations may round the probabilities to the type of V.
 *  lse       optional, F32 [num_heads, total_q]: natural log of the sum of exp of the scaled, masked scores.
 *  Range     1 <= head_dim <= 256.
 *  Numerics  error at most twice that of the plain evaluation in the operand type plus 1e-6 relative (F32 softmax).
 *  Source    Dao et al., FlashAttention, arXiv 2205.14135; Milakov and Gimelshein, arXiv 1805.02867. */
typedef struct gk_attention {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t qkv_type, o_type; /* gk_dtype */
  uint32_t causal;
  uint32_t batch;
  int32_t num_heads, num_heads_kv, head_dim;
  float softmax_scale;
  const int64_t *cu_seqlens_q, *cu_seqlens_k; /* host, batch + 1 entries */
  int64_t q_token_stride, q_head_stride, k_token_stride, k_head_stride;
  int64_t v_token_stride, v_head_stride, o_token_stride, o_head_stride;
  gk_ref q, k, v, o, lse;
} gk_attention;

/* ------------------------------------------------------------------------------------------------------ matmul_pow */

typedef enum gk_pow_profile {
  GK_POW_I8 = 1, /* operands in [-128, 127] */
  GK_POW_I4 = 2, /* operands in [-7, 7] */
  GK_POW_PROFILE_32BIT = 0x7fffffff
} gk_pow_profile;

/* A winning tile: ticket < target. */
typedef struct gk_pow_share {
  uint32_t bi, bj; /* tile row and column */
  uint8_t ticket[32];
} gk_pow_share;

/* One nonce of matmul-pow version 1: A [m,k] and B [n,k] from Philox4x32-10 under nonce_seed, C = A B^T exactly, one
 * 64-bit fold and one SHA-256 ticket per 64x64 tile; tiles with ticket < target are reported, ordered by (bi, bj).
 *
 *  Limits    m, n multiples of 64 in 64..65536; k a multiple of 256 in 256..65536.
 *  Operands  a_given, b_given (optional, I8, dense [m,k] and [n,k]): used instead of the derived ones. For tests.
 *  Output    shares[0 .. min(shares_found, shares_capacity)); shares_found may exceed the capacity, then the rest is
 *            lost and the nonce should be run again with more room. folds (optional): host, [m/64][n/64].
 *  Part      tile_rows and tile_columns not 0: only the tiles [tile_row, tile_row + tile_rows) x [tile_column,
 *            tile_column + tile_columns); shares still name tiles of the whole, folds is [tile_rows][tile_columns],
 *            operands given are whole. Both 0: all of them. Fields of 1.1: the host sets them for backends of at least
 *            that version only.
 *  Exact. */
typedef struct gk_matmul_pow {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t profile; /* gk_pow_profile */
  uint32_t m, n, k;
  uint8_t nonce_seed[32]; /* s of the specification */
  uint8_t target[32];     /* big-endian */
  gk_pow_share *shares;   /* host */
  uint32_t shares_capacity;
  uint32_t shares_found; /* out */
  uint64_t *folds;       /* host, optional */
  gk_ref a_given, b_given;
  uint32_t tile_row, tile_rows, tile_column, tile_columns;
} gk_matmul_pow;

/* --------------------------------------------------------------------------------------------------- sha256_search */

typedef struct gk_sha256_hit {
  uint32_t nonce;
  uint8_t digest[32]; /* as SHA-256 prints it */
} gk_sha256_hit;

/* Double SHA-256 over an 80-byte header whose bytes 76..79 are the nonce, little-endian. A nonce is a hit if the
 * digest, read as a little-endian 256-bit number, is <= target (given big-endian): Bitcoin's rule.
 * Searches [nonce_begin, nonce_begin + nonce_count), which must not pass 2^32. Hits are reported in increasing order;
 * hits_found may exceed hits_capacity: the first hits_capacity are stored. Exact. Source: FIPS 180-4. */
typedef struct gk_sha256_search {
  uint32_t struct_size;
  uint32_t implementation;
  uint8_t header[80]; /* bytes 76..79 are ignored */
  uint8_t target[32]; /* big-endian */
  uint64_t nonce_begin, nonce_count;
  gk_sha256_hit *hits; /* host */
  uint32_t hits_capacity;
  uint32_t hits_found; /* out */
} gk_sha256_search;

/* ----------------------------------------------------------------------------------------------------- normal_fill */

typedef enum gk_normal_generator {
  /* murmur3 + Box-Muller in F32 (PoC v2). Seeds per row: `segments` u32. A row of `columns` values is cut into segments
   * of ceil(columns / segments); each is its own Box-Muller block of its own length. Within 3 ulp of F32. */
  GK_NORMAL_MURMUR3 = 1,
  /* NumPy PCG64 + ziggurat in F64 (PoC v1), times sigma, then F64 -> F32 -> out_type. Seeds per row: 4 u64 =
   * state high, state low, increment high, increment low, before the first draw. Bit-exact. */
  GK_NORMAL_PCG64 = 2,
  GK_NORMAL_32BIT = 0x7fffffff
} gk_normal_generator;

/* out [rows, columns], ld ldo: sigma * normal. Each row has its own seeds (host, read during run()). */
typedef struct gk_normal_fill {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t generator; /* gk_normal_generator */
  uint32_t out_type;  /* F32, F16, BF16; F64 for GK_NORMAL_PCG64 only */
  uint32_t segments;  /* GK_NORMAL_MURMUR3: >= 1; otherwise 1 */
  uint32_t reserved;
  int64_t rows, columns, ldo;
  double sigma;
  const uint32_t *seeds_u32; /* [rows, segments] for GK_NORMAL_MURMUR3 */
  const uint64_t *seeds_u64; /* [rows, 4] for GK_NORMAL_PCG64 */
  gk_ref out;
} gk_normal_fill;

/* --------------------------------------------------------------------------------------------------- row-wise ops */

/* y = x / sqrt(mean(x^2) + eps) * w over each row of [rows, columns]; statistics in F32 or better.
 *  residual (optional): x + residual is normalised instead and written to sum (rounded to type; the rounded value is
 *  what is normalised). sum may be x or residual. y may be x.
 *  round_before_weight: round to type after the division, before the product with w (Llama reference in half
 *  precision); no effect for F32.
 *  reflector (optional, [columns], of type): what is normalised - x, or x + residual rounded - is first reflected by it
 *  as gk_householder does, and written to sum, which must be there. Since 1.1.
 *  |error| <= (columns / 4 + 8) eps32 |y| + rounding of type, elementwise, from what is in sum. */
typedef struct gk_rms_norm {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t type;   /* of x, residual, sum, y: F32, F16, BF16 */
  uint32_t w_type; /* F32, F16, BF16 */
  uint32_t round_before_weight;
  float eps;
  int64_t rows, columns, ldx, ld_residual, ld_sum, ldy;
  gk_ref x, residual, sum, w, y;
  gk_ref reflector;
} gk_rms_norm;

typedef enum gk_rope_layout {
  GK_ROPE_ADJACENT = 1, /* pairs (2i, 2i+1) */
  GK_ROPE_HALF = 2,     /* pairs (i, i + rotary_dim/2) */
  GK_ROPE_32BIT = 0x7fffffff
} gk_rope_layout;

/* Rotates the first rotary_dim elements of every head of x [tokens, heads, head_dim] in place by the angles of the
 * token's position: (a, b) -> (a cos - b sin, a sin + b cos). The rest of the head is left alone.
 *  table F32 [table_positions, rotary_dim/2, 2] = (cos, sin); positions I32 [tokens], 0 <= p < table_positions (a value
 *  outside is GK_INVALID_ARGUMENT where the backend can see it, else clamped, never an access outside the table).
 *  Computed in F32, rounded to type once. |error| <= 3 eps32 (|a| + |b|) + rounding. */
typedef struct gk_rope {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t type;                             /* F32, F16, BF16 */
  uint32_t layout;                           /* gk_rope_layout */
  int64_t tokens, token_stride, head_stride; /* strides in elements */
  int32_t heads, head_dim, rotary_dim;       /* rotary_dim even, <= head_dim */
  uint32_t reserved;
  int64_t table_positions;
  gk_ref x, table, positions;
} gk_rope;

/* out = silu(gate) * up over [rows, columns]; silu(x) = x / (1 + exp(-x)). out may be gate or up.
 *  Computed in F32, rounded once. |error| <= 8 eps32 |out| + rounding. */
typedef struct gk_silu_mul {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t type; /* F32, F16, BF16 */
  uint32_t reserved;
  int64_t rows, columns, ld_gate, ld_up, ldo;
  gk_ref gate, up, out;
} gk_silu_mul;

/* x <- x - 2 (x . v) v for every row of x [rows, columns], in place; v [columns].
 *  F32: |error| <= (columns + 8) eps32 |x|_2 |v|_2 |v_i| * 2. F16 and BF16: rounded after x*v, after the sum, after the
 *  doubling, after the product with v and after the subtraction, as the half-precision reference does. */
typedef struct gk_householder {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t type; /* of x and v: F32, F16, BF16 */
  uint32_t reserved;
  int64_t rows, columns, ldx;
  gk_ref x, v;
} gk_householder;

/* out[r][c] = x[row(r)][column(r, c)], converted to out_type.
 *  row_index I32 [rows], absent: row(r) = r. column_index I32 [rows, columns] dense, absent: column(r, c) = c.
 *  Indices lie in [0, x_rows) and [0, x_columns); a value outside is GK_INVALID_ARGUMENT where the backend can see it,
 *  else clamped. Exact up to the conversion (round to nearest even). */
typedef struct gk_gather {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t x_type, out_type; /* F32, F16, BF16 */
  int64_t rows, columns, x_rows, x_columns, ldx, ldo;
  gk_ref x, row_index, column_index, out;
} gk_gather;

/* y = x / (|x|_2 + eps) for every row of [rows, columns]; norm in F32 or better. y may be x.
 *  |error| <= (columns / 4 + 8) eps32 |y| + rounding. An all-zero row with eps 0 gives NaN. */
typedef struct gk_l2_normalize {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t type; /* F32, F16, BF16 */
  float eps;
  int64_t rows, columns, ldx, ldy;
  gk_ref x, y;
} gk_l2_normalize;

/* PoC v1's figure of a nonce, for every row of x [rows, columns]:
 *  distance[r] = | p / |p|_2 - target |_2  with  p[j] = x[r][permutation_r[j]].
 *  Permutation  0 .. columns - 1, shuffled: for i = columns - 1 down to 1, elements i and j change places, j in [0, i].
 *               j is the low b bits of 32 random ones, 2^b - 1 being the smallest such number >= i; again while j > i.
 *               The 32 bits are halves of PCG64 outputs, the low half first. seeds: host u64 [rows, 4] as of
 *               GK_NORMAL_PCG64, read during run().
 *  Numerics     squares, their sum, its root and the quotients are F32, each rounded; difference, squares, sum and root
 *               F64. Sums are pairwise, as NumPy has them: up to 128 terms in eight running sums, term i in sum i % 8,
 *               joined as ((0+1)+(2+3))+((4+5)+(6+7)), and the terms past the last multiple of eight (all of them, if
 *               fewer than eight) added one by one; more than 128 in two parts, the first of half the terms, rounded
 *               down to a multiple of eight. Bit-exact; NaN where a row has no finite norm, or norm 0.
 *  Limits       columns <= 2^31 - 1. columns == 0: distance 0. */
typedef struct gk_permuted_distance {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t x_type; /* F32, F16, BF16 */
  uint32_t reserved;
  int64_t rows, columns, ldx;
  const uint64_t *seeds;
  gk_ref x;
  gk_ref target;   /* F64 [columns] */
  gk_ref distance; /* F64 [rows] */
} gk_permuted_distance;

/* -------------------------------------------------------------------------------------------------------- backend */

/* A number format that gemm multiplies, and how wide the device adds up: significand bits including the hidden one for
 * floats (24 = F32), value bits for integers (32 = exact I32). Conformance proves the claim with adversarial operands.
 */
typedef struct gk_format {
  uint32_t dtype; /* gk_dtype of both gemm operands */
  uint32_t accumulator_bits;
} gk_format;

#define GK_MAX_FORMATS 16

typedef struct gk_device_info {
  uint32_t struct_size; /* set by the caller */
  uint32_t format_count;
  char name[128];     /* "AMD EPYC 9R14", "NVIDIA H100 80GB HBM3" */
  char arch[64];      /* "x86-64 avx512", "sm_90" */
  char driver[64];    /* version of driver or runtime, empty if none */
  char unique_id[64]; /* serial, UUID or PCI address; empty if none */
  uint64_t memory_bytes, memory_free_bytes;
  uint32_t compute_units; /* cores, SMs */
  uint32_t threads;       /* CPU: worker threads of this device; otherwise 0 */
  gk_format formats[GK_MAX_FORMATS];
} gk_device_info;

typedef struct gk_device_options {
  uint32_t struct_size;
  uint32_t threads; /* CPU: worker threads, 0 = all this process may use */
} gk_device_options;

/* Which figures of a gk_telemetry were read. */
typedef enum gk_telemetry_field {
  GK_TELEMETRY_TEMPERATURE = 1 << 0,
  GK_TELEMETRY_POWER = 1 << 1,
  GK_TELEMETRY_POWER_LIMIT = 1 << 2,
  GK_TELEMETRY_ENERGY = 1 << 3,
  GK_TELEMETRY_CLOCKS = 1 << 4,       /* core_clock_mhz and memory_clock_mhz */
  GK_TELEMETRY_CLOCK_LIMITS = 1 << 5, /* core_clock_limit_mhz and memory_clock_limit_mhz */
  GK_TELEMETRY_THROTTLE = 1 << 6,
  GK_TELEMETRY_ECC = 1 << 7, /* ecc_corrected and ecc_uncorrected */
  GK_TELEMETRY_XID = 1 << 8, /* xid_count and last_xid */
  GK_TELEMETRY_UTILIZATION = 1 << 9,
  GK_TELEMETRY_MEMORY = 1 << 10, /* memory_total_bytes and memory_used_bytes */
  GK_TELEMETRY_PROCESSES = 1 << 11,
  GK_TELEMETRY_FIELD_32BIT = 0x7fffffff
} gk_telemetry_field;

/* Why a device runs below its highest clock. */
typedef enum gk_throttle {
  GK_THROTTLE_IDLE = 1 << 0,        /* nothing to do */
  GK_THROTTLE_SETTING = 1 << 1,     /* clocks are set lower by an administrator, a display or a group of devices */
  GK_THROTTLE_POWER = 1 << 2,       /* the power limit */
  GK_THROTTLE_TEMPERATURE = 1 << 3, /* the driver or the device itself keeps it cool */
  GK_THROTTLE_HARDWARE = 1 << 4,    /* an emergency brake: temperature or supply out of bounds */
  GK_THROTTLE_OTHER = 1 << 5,       /* reported, but of none of these kinds */
  GK_THROTTLE_32BIT = 0x7fffffff
} gk_throttle;

typedef struct gk_device_process {
  uint32_t pid;
  uint32_t reserved;
  uint64_t memory_bytes; /* UINT64_MAX: not told */
} gk_device_process;

#define GK_MAX_PROCESSES 32

/* What the device's sensors and its driver say at one moment. A figure counts only if its bit is set in `fields`. */
typedef struct gk_telemetry {
  uint32_t struct_size; /* set by the caller */
  uint32_t fields;      /* gk_telemetry_field */
  char name[128];
  char uuid[96];
  char pci[32];    /* "00000000:1B:00.0" */
  char driver[64]; /* "570.86.15" */
  char source[64]; /* who was asked: "NVML 12.570.86.15" */
  int32_t temperature_c;
  uint32_t throttle; /* gk_throttle, or-ed; 0: full clocks */
  uint64_t power_mw, power_limit_mw;
  uint64_t energy_mj; /* millijoules since a moment that stays the same while the driver is loaded; never decreases */
  uint32_t core_clock_mhz, memory_clock_mhz, core_clock_limit_mhz, memory_clock_limit_mhz;
  uint64_t ecc_corrected, ecc_uncorrected; /* since the driver was loaded */
  uint32_t xid_count, last_xid;            /* driver error events since this process first asked; 0: none */
  uint32_t utilization_percent;
  uint32_t process_count;                         /* may exceed GK_MAX_PROCESSES: the first are listed */
  uint64_t memory_total_bytes, memory_used_bytes; /* of all processes */
  gk_device_process processes[GK_MAX_PROCESSES];
  char missing[500]; /* why figures are absent, "energy: Not Supported; ..." */
} gk_telemetry;

/* What a backend exports. Entries marked optional may be NULL or, in a backend built against an older header, absent.
 */
typedef struct gk_backend {
  uint32_t struct_size;
  uint32_t abi_major, abi_minor;
  uint32_t reserved;
  const char *name;    /* lower case, [a-z0-9_-], at most 31 characters, static: "cpu", "cuda" */
  const char *version; /* of the library, static */

  gk_status (*device_count)(uint32_t *count, gk_error *);
  gk_status (*device_open)(uint32_t index, const gk_device_options *, gk_device **, gk_error *);
  void (*device_close)(gk_device *); /* after all of its streams and buffers are gone; NULL is ignored */
  gk_status (*device_info)(gk_device *, gk_device_info *, gk_error *);

  gk_status (*stream_open)(gk_device *, gk_stream **, gk_error *);
  void (*stream_close)(gk_stream *); /* waits for queued work; NULL is ignored */
  gk_status (*synchronize)(gk_stream *, gk_error *);

  gk_status (*buffer_alloc)(gk_device *, uint64_t size, gk_buffer **, gk_error *); /* contents undefined; size > 0 */
  void (*buffer_free)(gk_buffer *); /* no queued work uses it; NULL is ignored */
  /* In stream order. The host memory may be reused when the call returns. */
  gk_status (*buffer_write)(gk_stream *, gk_buffer *, uint64_t offset, const void *, uint64_t size, gk_error *);
  /* In stream order; the bytes are there when the call returns. */
  gk_status (*buffer_read)(gk_stream *, const gk_buffer *, uint64_t offset, void *, uint64_t size, gk_error *);

  /* Queues one op. problem points to the struct named beside the gk_op value. With dry_run != 0 it answers as the real
   * call would - GK_OK, or why not - and does nothing else; operand refs may then be empty. One code path, one answer.
   */
  gk_status (*run)(gk_stream *, uint32_t op, void *problem, int dry_run, gk_error *);

  /* Optional. Name of the index-th implementation of op on this device, best first ("avx512", "sm90_tma_wgmma", "ref");
   * NULL past the end. Absent: each op has at most one implementation, called "default". */
  const char *(*implementation)(gk_device *, uint32_t op, uint32_t index);
  /* Optional. Address of host-visible memory that *is* the buffer, or NULL. Lets the host skip copies. */
  void *(*buffer_pointer)(gk_buffer *);
  /* Optional. Packs a constant operand; *out is freed with buffer_free. Absent: the host never sets b_packed. */
  gk_status (*gemm_pack)(gk_stream *, const gk_gemm_pack *, gk_buffer **out, gk_error *);
  /* Since 1.1. Optional. From any thread, also while the device computes and after it was lost: sensors are read
   * beside the work. GK_UNSUPPORTED with the cause where nothing at all can be read. */
  gk_status (*device_telemetry)(gk_device *, gk_telemetry *, gk_error *);

  /* Since 1.1. Optional: all four or none. Recording a fixed sequence of ops, to be replayed with one call.
   * record_begin: from here run() on this stream records instead of computing; it answers as ever, and GK_UNSUPPORTED
   *   also where an op cannot be recorded (one that reports to host memory). Other calls on the stream are refused
   *   with GK_INVALID_ARGUMENT until the end. Host pointers of problems are read then and there: their contents become
   *   part of the recording. Device operands are read at every replay, where they lay.
   * record_end: ends recording, always. If an op failed in the middle of recording, its status, and *out is NULL.
   * replay: queues what was recorded, on the stream that recorded it. Bitwise what the ops themselves would give.
   * recording_free: no queued replay is unfinished; before the stream is closed; NULL is ignored. Buffers that the ops
   *   used live until then. */
  gk_status (*record_begin)(gk_stream *, gk_error *);
  gk_status (*record_end)(gk_stream *, gk_recording **out, gk_error *);
  gk_status (*replay)(gk_stream *, gk_recording *, gk_error *);
  void (*recording_free)(gk_recording *);

  /* Since 1.1. Optional: both or none. What the device has found out by measuring (which of several equivalent kernels
   * is fastest for which shapes), as text that the host keeps for other processes. tuning_export: *size is the length
   * of the text, 0 if there is none; up to `room` bytes of it are written to text, without a NUL. It must not change
   * results by a bit. tuning_import: text that tuning_export gave on the same device, with the same driver and the same
   * library. GK_INVALID_ARGUMENT if it is not understood: nothing of it is used then. */
  gk_status (*tuning_export)(gk_device *, char *text, uint64_t room, uint64_t *size, gk_error *);
  gk_status (*tuning_import)(gk_device *, const char *text, uint64_t size, gk_error *);

  /* Since 1.1. Optional. For a problem whose `implementation` is 0: which one run() would take, as that field counts
   * (1 is the first); 0 if none. Needed only where that is not the first whose dry run answers GK_OK. Operand refs may
   * be empty. Figures are reported under this name. */
  uint32_t (*choice)(gk_stream *, uint32_t op, void *problem);
} gk_backend;

/* The only symbol a backend library exports, with C linkage, named gk_backend_entry. Returns a static struct, or NULL
 * if the library cannot serve hosts of this major version. Does not touch devices; cheap; callable any number of times.
 */
typedef const gk_backend *(*gk_backend_entry_fn)(uint32_t host_abi_major);
#define GK_BACKEND_ENTRY_NAME "gk_backend_entry"

#ifdef __cplusplus
}
#endif
#endif
