/* kernels.c - the levels, the choice among them, and what each weight type's kernels are. */
#include "kernels/kernels.h"
#include "base/error.h"
#include "kernels/decode.h"
#include "kernels/overlays.h"
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h> /* what Linux says of this CPU */
#endif

static bool always(void) { return true; }

static void overlay_ref(struct kernels *k)
{
    floats_overlay_ref(k);
    scans_overlay_ref(k);
    largest_overlay_ref(k);
    quantize_overlay_ref(k);
    kv_store_overlay_ref(k);
    attend_overlay_ref(k);
    float_products_overlay_ref(k);
    pack_k_overlay_ref(k);
    products_overlay_ref(k);
    dequantize_overlay(k);
}

#if defined(__x86_64__)
/* clang 14 knows no such name for __builtin_cpu_supports. */
static bool has_f16c(void)
{
    unsigned a, b, c = 0, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

static void overlay_avx2(struct kernels *k)
{
    floats_overlay_avx2(k);
    scans_overlay_avx2(k);
    largest_overlay_avx2(k);
    quantize_overlay_avx2(k);
    kv_store_overlay_avx2(k);
    attend_overlay_avx2(k);
    float_products_overlay_avx2(k);
    pack_k_overlay_avx2(k);
    products_overlay_avx2(k);
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

static void overlay_avx512(struct kernels *k)
{
    floats_overlay_avx512(k);
    scans_overlay_avx512(k);
    largest_overlay_avx512(k);
    quantize_overlay_avx512(k);
    kv_store_overlay_avx512(k);
    attend_overlay_avx512(k);
    float_products_overlay_avx512(k);
    pack_k_overlay_avx512(k);
    products_overlay_avx512(k);
}

static bool has_avx512bf16(void) { return __builtin_cpu_supports("avx512bf16"); }

static void fast_avx512(struct kernels *k)
{
    if (has_avx512bf16())
        fast_products_overlay_avx512bf16(k);
}

/* Linux gives a process the state of tiles, 8 KiB a thread, when it asks; what asks before there are threads asks for
 * all of them (Documentation/arch/x86/xstate.rst). */
static bool has_amx(void)
{
    enum {
        CPUID_BF16 = 1 << 22,
        CPUID_TILE = 1 << 24,
        CPUID_INT8 = 1 << 25,
        REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */,
        TILE_DATA = 18
    };
    unsigned a, b, c, d = 0;
    return has_avx512() && has_avx512bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & CPUID_TILE) &&
           (d & CPUID_INT8) && (d & CPUID_BF16) && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}

static void overlay_amx(struct kernels *k)
{
    float_products_overlay_amx(k);
    products_overlay_amx(k);
}

#elif defined(__aarch64__)
static bool has_neon(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0; }

static void overlay_neon(struct kernels *k)
{
    floats_overlay_neon(k);
    scans_overlay_neon(k);
    largest_overlay_neon(k);
    quantize_overlay_neon(k);
    kv_store_overlay_neon(k);
    attend_overlay_neon(k);
    float_products_overlay_neon(k);
    pack_k_overlay_neon(k);
    products_overlay_neon(k);
}

static bool has_dotprod(void) { return has_neon() && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

static void overlay_dotprod(struct kernels *k)
{
    attend_overlay_dotprod(k);
    products_overlay_dotprod(k);
}

static bool has_i8mm(void) { return has_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }

static void overlay_i8mm(struct kernels *k) { products_overlay_i8mm(k); }
#endif

const struct level kernel_levels[] = {
    {"ref", always, overlay_ref, NULL, probes_ref},
#if defined(__x86_64__)
    {"avx2", has_avx2, overlay_avx2, NULL, probes_avx2},
    {"avx512", has_avx512, overlay_avx512, fast_avx512, probes_avx512},
    {"amx", has_amx, overlay_amx, fast_products_overlay_amx, NULL},
#elif defined(__aarch64__)
    {"neon", has_neon, overlay_neon, NULL, probes_neon},
    {"dotprod", has_dotprod, overlay_dotprod, NULL, probes_dotprod},
    {"i8mm", has_i8mm, overlay_i8mm, NULL, probes_i8mm},
#endif
    {NULL, NULL, NULL, NULL, NULL},
};

static andiron_status refuse(const char *cpu, andiron_error *error)
{
    char have[128] = "";
    size_t n = 0;
    for (const struct level *l = kernel_levels; l->cpu; l++)
        if (l->present() && n < sizeof have)
            n += (size_t)snprintf(have + n, sizeof have - n, "%s%s", n ? ", " : "", l->cpu);
    return error_set(error, ANDIRON_E_ARGUMENT, "this machine has no CPU level \"%s\"; it has %s", cpu, have);
}

andiron_status kernels_choose(struct kernels *out, const char *cpu, andiron_error *error)
{
    *out = (struct kernels){0};
    for (const struct level *l = kernel_levels; l->cpu; l++) {
        if (!l->present())
            continue;
        l->overlay(out);
        out->cpu = l->cpu;
        if (cpu && !strcmp(cpu, l->cpu))
            return ANDIRON_OK;
    }
    return cpu ? refuse(cpu, error) : ANDIRON_OK;
}

andiron_status kernels_set_math(struct kernels *k, const char *math, andiron_error *error)
{
    if (!math || !strcmp(math, "exact"))
        return ANDIRON_OK;
    if (strcmp(math, "fast") != 0)
        return error_set(error, ANDIRON_E_ARGUMENT, "math is \"exact\" or \"fast\", not \"%s\"", math);
    for (const struct level *l = kernel_levels; l->cpu; l++)
        if (l->fast && !strcmp(k->cpu, l->cpu))
            l->fast(k);
    return ANDIRON_OK;
}

mul_fn kernels_mul(const struct kernels *k, uint32_t type)
{
    switch (type) {
    case TYPE_F32: return k->mul_f32;
    case TYPE_F16: return k->mul_f16;
    case TYPE_BF16: return k->mul_bf16;
#define QUANTIZED(name, type) \
    case TYPE_##type:         \
        return k->mul_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
    default: return NULL;
    }
}

dequantize_fn kernels_dequantize(const struct kernels *k, uint32_t type)
{
    switch (type) {
    case TYPE_F32: return k->dequantize_f32;
    case TYPE_F16: return k->dequantize_f16;
    case TYPE_BF16: return k->dequantize_bf16;
#define QUANTIZED(name, type) \
    case TYPE_##type:         \
        return k->dequantize_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
    default: return NULL;
    }
}

bool mul_reads_q8(uint32_t type) { return type != TYPE_F32 && type != TYPE_F16 && type != TYPE_BF16; }

bool mul_reads_wide(uint32_t type) { return is_wide(sums_of(type)); }

static size_t part_bytes(enum kv_type type, size_t hd)
{
    size_t bytes = KV_PAGE * hd * (type == KV_F32 ? 4 : 2);
    if (type == KV_Q8_0)
        bytes = KV_PAGE * kv_blocks(hd) * (Q_BLOCK + 2);
    return (bytes + 63) / 64 * 64;
}

size_t kv_key_page_bytes(enum kv_type type, size_t hd) { return part_bytes(type, hd); }

size_t kv_value_page_bytes(enum kv_type type, size_t hd) { return part_bytes(type, hd); }
