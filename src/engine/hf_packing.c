/* hf_packing.c - packed weights of a folder: what config.json's quantization_config says of them. */
#include "base/error.h"
#include "engine/hf_packed.h"
#include <inttypes.h>

static const struct {
    const char *name;
    enum hf_packing_method method;
} methods[] = {{"fp8", HF_FP8},   {"fbgemm_fp8", HF_FP8}, {"modelopt", HF_FP8}, {"compressed-tensors", HF_COMPRESSED},
               {"gptq", HF_GPTQ}, {"awq", HF_AWQ},        {"mxfp4", HF_MXFP4},  {"bitsandbytes", HF_BNB}};

static andiron_status refuse(const struct hf_model *m, const char *key, struct span value, const char *known,
                             andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: config.json: quantization_config has the %s \"%.*s\"; read here: %s; take a GGUF file of the "
                     "model",
                     hf_path(m->dir), key, (int)(value.n < 80 ? value.n : 80), value.p, known);
}

bool hf_is_among(struct span value, const char *const *known, size_t n)
{
    bool is = false;
    for (size_t i = 0; i < n; i++)
        is = is || span_is(value, known[i]);
    return is;
}

bool hf_read_group(const json_t *config, const char *key, uint64_t *out)
{
    double x = -1;
    json_at_f64(config, key, &x);
    *out = 0;
    return x == -1 || (json_at_u64(config, key, out) && *out >= 1 && *out <= HF_BLOCK_MAX);
}

bool hf_read_block(const json_t *config, const char *path, uint64_t block[2])
{
    const json_t *list = json_at(config, path);
    return json_array_size(list) == 2 && json_at_u64(list, "0", &block[0]) && json_at_u64(list, "1", &block[1]) &&
           block[0] >= 1 && block[1] >= 1 && block[0] <= HF_BLOCK_MAX && block[1] <= HF_BLOCK_MAX;
}

static andiron_status read_fp8(struct hf_model *m, const json_t *config, andiron_error *error)
{
    static const char *const algorithms[] = {"FP8", "NVFP4", "MIXED_PRECISION"};
    const json_t *block = json_at(config, "weight_block_size");
    struct span algorithm = span_of("FP8");
    json_at_text(config, "quant_algo", &algorithm); /* modelopt's */
    if (!hf_is_among(algorithm, algorithms, sizeof algorithms / sizeof *algorithms))
        return refuse(m, "quant_algo", algorithm, "FP8, NVFP4, MIXED_PRECISION", error);
    if (!block || json_is_null(block) || hf_read_block(config, "weight_block_size", m->packing.block))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_FORMAT,
                     "%s: config.json: expected weight_block_size to be two numbers from 1 to %d", hf_path(m->dir),
                     HF_BLOCK_MAX);
}

/* gpt-oss, bitsandbytes: nothing more to know. */
static andiron_status read_nothing(struct hf_model *m, const json_t *config, andiron_error *error)
{
    (void)m, (void)config, (void)error;
    return ANDIRON_OK;
}

static andiron_status read_compressed(struct hf_model *m, const json_t *config, andiron_error *error)
{
    static const char *const formats[] = {
        "pack-quantized", "int-quantized",   "float-quantized",      "naive-quantized",
        "dense",          "mixed-precision", "mxfp4-pack-quantized", "nvfp4-pack-quantized"};
    const char *known =
        "pack-quantized, int-quantized, float-quantized, naive-quantized, mxfp4-pack-quantized, nvfp4-pack-quantized, "
        "mixed-precision";
    struct span format = {0}, sparse = span_of("dense");
    json_at_text(config, "format", &format);
    json_at_text(config, "sparsity_config.format", &sparse);
    if (!hf_is_among(format, formats, sizeof formats / sizeof *formats))
        return refuse(m, "format", format, known, error);
    if (!span_is(sparse, "dense"))
        return refuse(m, "sparsity_config.format", sparse, "dense", error);
    m->packing.groups = json_at(config, "config_groups");
    const char *key;
    json_t *group;
    json_object_foreach((json_t *)(uintptr_t)m->packing.groups, key, group)
    {
        struct span own = format;
        json_at_text(group, "format", &own);
        if (!hf_is_among(own, formats, sizeof formats / sizeof *formats))
            return refuse(m, "format", own, known, error);
    }
    return ANDIRON_OK;
}

/* Bits and groups of GPTQ and AWQ; old files say w_bit and q_group_size. */
static andiron_status read_bits(struct hf_model *m, const json_t *config, andiron_error *error)
{
    uint64_t bits = 0;
    const bool awq = m->packing.method == HF_AWQ;
    const char *group = json_at(config, "group_size") ? "group_size" : "q_group_size";
    if (!json_at_u64(config, "bits", &bits))
        json_at_u64(config, "w_bit", &bits);
    if (bits != 4 && (awq || (bits != 8 && bits != 2)))
        return error_set(error, ANDIRON_E_SUPPORT,
                         "%s: config.json: quantization_config has %" PRIu64
                         " bits; of %s are read here; take a GGUF file of "
                         "the model",
                         hf_path(m->dir), bits, awq ? "AWQ 4" : "GPTQ 2, 4 and 8");
    if (!hf_read_group(config, group, &m->packing.group))
        return error_set(error, ANDIRON_E_FORMAT, "%s: config.json: expected a group_size of -1, or from 1 to %d",
                         hf_path(m->dir), HF_BLOCK_MAX);
    m->packing.bits = (uint32_t)bits;
    return ANDIRON_OK;
}

static andiron_status read_gptq(struct hf_model *m, const json_t *config, andiron_error *error)
{
    static const char *const formats[] = {"gptq", "gptq_v2"};
    struct span format = span_of("gptq");
    if (!json_at_text(config, "checkpoint_format", &format))
        json_at_text(config, "format", &format);
    if (!hf_is_among(format, formats, 2))
        return refuse(m, "checkpoint_format", format, "gptq, gptq_v2", error);
    m->packing.less_one = span_is(format, "gptq");
    return read_bits(m, config, error);
}

static andiron_status read_awq(struct hf_model *m, const json_t *config, andiron_error *error)
{
    static const char *const formats[] = {"gemm", "GEMM"};
    struct span format = span_of("gemm");
    if (!json_at_text(config, "version", &format))
        json_at_text(config, "format", &format);
    if (!hf_is_among(format, formats, 2))
        return refuse(m, "version", format, "gemm", error);
    return read_bits(m, config, error);
}

/* modelopt's own file, where config.json says nothing. */
static andiron_status read_modelopt(struct hf_model *m, andiron_error *error)
{
    json_t *root = NULL;
    andiron_status s = hf_read_json(m->dir, "hf_quant_config.json", &root, error);
    const json_t *config = root ? json_at(root, "quantization") : NULL;
    if (!s && config) {
        m->packing.method = HF_FP8;
        s = read_fp8(m, config, error);
    }
    json_decref(root);
    return s;
}

andiron_status hf_packing_read(struct hf_model *m, andiron_error *error)
{
    andiron_status (*const readers[])(struct hf_model *, const json_t *, andiron_error *) = {
        [HF_FP8] = read_fp8, [HF_COMPRESSED] = read_compressed, [HF_GPTQ] = read_gptq,
        [HF_AWQ] = read_awq, [HF_MXFP4] = read_nothing,         [HF_BNB] = read_nothing};
    const json_t *config = json_at(hf_config(m->dir), "quantization_config");
    struct span method = {0};
    if (!config || json_is_null(config))
        return read_modelopt(m, error);
    bool bits = false;
    if ((json_at_bool(config, "load_in_4bit", &bits) && bits) || (json_at_bool(config, "load_in_8bit", &bits) && bits))
        method = span_of("bitsandbytes"); /* older files say no more */
    else
        json_at_text(config, "quant_method", &method);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (span_is(method, methods[i].name))
            m->packing.method = methods[i].method;
    if (!m->packing.method)
        return refuse(m, "quant_method", method,
                      "fp8, fbgemm_fp8, modelopt (FP8, NVFP4), compressed-tensors, gptq, awq, mxfp4, bitsandbytes",
                      error);
    return readers[m->packing.method](m, config, error);
}
