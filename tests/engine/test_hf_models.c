/* test_hf_models.c - logits of tiny Hugging Face folders against Transformers' (tools/oracle/make_hf_models.py): all
 * tokens in one step, one by one, and in a few pieces. And folders that are wrong. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/hf_internal.h"
#include "files.h"
#include "rows.h"

#define MODELS SOURCE_DIR "/tests/golden/hf_models"

static const double limit = 2e-5;
static const andiron_model_options small_steps = {.n_threads = 1, .max_step_tokens = 64};

static bool right(const char *type)
{
    char model[512], golden[512];
    snprintf(model, sizeof model, MODELS "/%s", type);
    snprintf(golden, sizeof golden, MODELS "/%s/golden.bin", type);
    return golden_right(model, golden, &small_steps, limit);
}

static void logits_are_transformers(void **state)
{
    (void)state;
    golden_folder(MODELS, right, 229);
}

/* ---- folders that are wrong ---- */

/* The first `from` in the data becomes `to`, of the same length. */
static void swap(char *data, size_t n, const char *from, const char *to)
{
    char *at = memmem(data, n, from, strlen(from));
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
}

/* A copy of a model with one change in one file is refused with these words. */
static void refused(const char *type, const char *file, const char *from, const char *to, const char *words)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    char folder[] = "/tmp/test_hf_XXXXXX", path[512];
    andiron_model *model = NULL;
    andiron_error e = {0};
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        snprintf(path, sizeof path, MODELS "/%s/%s", type, names[i]);
        char *data = file_read(path, &n);
        if (!strcmp(names[i], file))
            swap(data, n, from, to);
        file_write(folder, names[i], data, n);
        free(data);
    }
    andiron_status s = andiron_model_open(&model, folder, &small_steps, &e);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    if (!s || !strstr(e.text, words))
        fail_msg("got \"%s\" where \"%s\" was expected", e.text, words);
    andiron_model_close(model);
}

/* A matrix behind the pooling, and a pooling that is not known. */
static void what_follows_the_rows_is_refused(void **state)
{
    static const char modules[] = "[{\"type\": \"sentence_transformers.models.Dense\", \"path\": \"2_Dense\"}]",
                      pooling[] = "{\"pooling_mode_max_tokens\": true}";
    char folder[] = "/tmp/test_hf_XXXXXX", inner[64], path[512];
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
        char from[512];
        snprintf(from, sizeof from, MODELS "/bert/%s", names[i]);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(symlink(from, path), 0);
    }
    file_write(folder, "modules.json", modules, sizeof modules - 1);
    snprintf(inner, sizeof inner, "%s/1_Pooling", folder);
    for (int with_pooling = 0; with_pooling < 2; with_pooling++) {
        andiron_model *model = NULL;
        andiron_error e = {0};
        if (with_pooling) {
            assert_int_equal(mkdir(inner, 0700), 0);
            file_write(inner, "config.json", pooling, sizeof pooling - 1);
        }
        assert_int_equal(andiron_model_open(&model, folder, &small_steps, &e), ANDIRON_E_SUPPORT);
        assert_non_null(strstr(e.text, with_pooling ? "the first token or the last"
                                                    : "the Dense part 2_Dense with an activation after a mean"));
    }
    const char *const left[] = {
        "1_Pooling/config.json", "1_Pooling", "modules.json", "config.json", "model.safetensors", "tokenizer.json", ""};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, left[i]);
        assert_int_equal(remove(path), 0);
    }
}

static void experts_stay_where_they_are_mapped(void **state)
{
    andiron_model *model = NULL;
    (void)state;
    assert_int_equal(andiron_model_open(&model, MODELS "/mixtral", &small_steps, NULL), ANDIRON_OK);
    const struct gguf_tensor *t = gguf_find_tensor(model->file, "blk.1.ffn_up_exps.weight");
    assert_true(t && t->parts && t->n_dims == 3 && t->dims[2] == 4);
    for (unsigned i = 0; i < 4; i++) {
        char name[128];
        snprintf(name, sizeof name, "model.layers.1.block_sparse_moe.experts.%u.w3.weight", i);
        const struct safetensors_tensor *there = hf_find_tensor(model->hf->dir, name);
        assert_non_null(there);
        assert_ptr_equal(t->parts[i], there->tensor.data);
    }
    andiron_model_close(model);
}

static void wrong_folders_are_refused(void **state)
{
    (void)state;
    refused("llama", "config.json", "\"llama\"", "\"lllll\"",
            "no definition has a folder line for the model_type \"lllll\"");
    refused("llama", "config.json", "\"silu\"", "\"mish\"", "a hidden_act of \"mish\" is not covered");
    refused("llama", "config.json", "\"llama3\"", "\"llama9\"", "rope_type");
    refused("llama", "config.json", "\"hidden_size\": 32", "\"hidden_size\": 48", "rows of 48 numbers");
    refused("llama", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
            "the file has no tensor \"blk.2.attn_norm.weight\", nor \"blk.2.attn_q.weight\", \"blk.2.attn_k.weight\"");
    refused("llama", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 9",
            "\"blk.2.ffn_down.weight\", \"blk.2.ffn_up.weight\" and 48 more");
    refused("llama", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "layers");
    refused("llama", "config.json", "\"num_hidden_layers\": 2,", "\"num_hidden_layers\":-2,",
            "expected num_hidden_layers to be a whole number from 0 to 2^31 - 1, got another number");
    refused("llama", "config.json", "\"hidden_size\": 32", "\"hidden_size\":\"2\"",
            "expected hidden_size to be a whole number from 0 to 2^31 - 1, got a text");
    refused("llama", "config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": false  ", "rope_theta to be a number");
    refused("llama", "config.json", "num_key_value_heads", "num_key_value_headz",
            "leaves out head_dim or num_key_value");
    refused("phimoe-long", "config.json", "\"long_mscale\": 1.3", "\"long_mscale\": 1.4", "long_mscale is another");
    refused("exaone4-letters", "config.json", "\"LLG\"", "\"LSG\"", "sliding_window_pattern to be a number, or L");
    refused("mixtral", "model.safetensors", "model.layers.0.block_sparse_moe.experts.1.w3.weight",
            "model.decoder.layers.0.mlp.experts.0.up_proj.weight", "stands there twice");
    refused("mixtral", "config.json", "\"num_local_experts\": 4", "\"num_local_experts\":99",
            "99 experts, but the folder");
    refused("llama", "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 7", "7");
    refused("llama", "model.safetensors", "lm_head.weight", "lm_heat.weight", "\"lm_heat.weight\" is not known");
    refused("llama", "model.safetensors", "model.norm.weight", "model.norm.weighs", "is not known");
    refused("mixtral", "model.safetensors", "experts.3.w1", "experts.7.w1", "one of the 4");
    refused("modernbert-classes", "config.json", "\"classifier_activation\": \"gelu\"",
            "\"classifier_activation\": \"silu\"", "classifier_activation other than \"gelu\" is not covered");
    refused("modernbert", "config.json", "\"rope_theta\": 10000.0,\n      \"rope_type\": \"default\"",
            "\"rope_theta\": 10000.0,\n      \"rope_type\":  \"linear\"", "default or dynamic for sliding_attention");
    refused("bert-classes", "config.json", "\"BertForSequenceC", "\"BartForSequenceC",
            "line for the class BartForSequenceC");
    refused("xlm-roberta", "config.json", "\"pad_token_id\": 1", "\"pad_token_id\": 2", "pad_token_id other than 1");
    refused("falcon_h1", "config.json", "\"mamba_norm_before_gate\": false", "\"mamba_norm_before_gate\": true ",
            "norms before the gate are not covered");
    refused("mpt", "config.json", "\"qk_ln\": false", "\"qk_ln\": true ", "qk_ln other than false is not covered");
    refused("stablelm-heads", "model.safetensors", "q_layernorm.norms.3", "q_layernorm.norms.7", "one of the 4");
    refused("opt-narrow", "model.safetensors", "decoder.project_in", "decoder.project_on", "is not known");
    refused("bloom", "config.json", "\"n_head\": 4", "\"n_head\": 5", "query_key_value.bias\" has a shape");
    refused("mamba", "model.safetensors", "[40,1,4]", "[40,4,1]", "conv1d.weight\" has a shape");
    refused("gpt_oss", "model.safetensors", "[4,32,80]", "[4,80,32]", "ffn_gate_up_exps");
    refused("nanochat", "config.json", "\"hidden_act\"", "\"hidden_axt\"",
            "a model of type nanochat without hidden_act is not covered");
    refused("apertus", "config.json", "\"rope_parameters\"", "\"rope_paraxeters\"",
            "without rope_parameters or rope_scaling is not covered");
    refused("t5", "config.json", "max_distance\": 128", "max_distance\": 129",
            "max_distance other than 128 is not covered");
    refused("t5", "model.safetensors", "layer.2.DenseReluDense.wi.", "layer.2.DenseReluDense.wx.", "is not known");
    refused("deepseek_v4", "config.json", "\"sqrtsoftplus\"", "\"sqrtsoftplas\"", "scoring_func of softmax");
    refused("deepseek_v4", "config.json", "\"sliding_attention\"", "\"sliding_attentiom\"", "one of compress_rates");
    refused("qwen4_exp_text-ple", "config.json", "ids\": [\n    1\n", "ids\": [\n  1,2\n", "in other than one layer");
    refused("qwen4_exp_text-ple", "model.safetensors", "shard_1.weight", "shard_x.weight", "is not known");
    refused("mixtral", "config.json", "\"num_local_experts\": 4", "\"num_local_experts\": 5", "4 parts of the 5");
}

/* A model's files but its tokenizer in a new folder, with one change in config.json. */
static void copy_changed(char *folder, const char *type, const char *from, const char *to)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    char path[512];
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        snprintf(path, sizeof path, MODELS "/%s/%s", type, names[i]);
        char *data = file_read(path, &n);
        if (i == 0)
            swap(data, n, from, to);
        file_write(folder, names[i], data, n);
        free(data);
    }
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"config.json", "model.safetensors", "my.arch", "lllll.arch",
                                        "generation_config.json"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void a_folder_without_a_tokenizer_takes_ids(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_hf_XXXXXX", text[16];
    andiron_model *model = NULL;
    andiron_error e = {0};
    andiron_token ids[4] = {1, 2, 3, 4};
    struct golden g;
    size_t n;
    copy_changed(folder, "qwen2", "\"qwen2\"", "\"qwen2\"");
    assert_int_equal(andiron_model_open(&model, folder, &small_steps, &e), ANDIRON_OK);
    golden_open(&g, MODELS "/qwen2/golden.bin");
    assert_true(golden_distance(&g, model, 7, &e) <= limit);
    golden_close(&g);
    assert_int_equal(andiron_tokenize(model, "a", 1, 0, ids, 4, &n, &e), ANDIRON_E_SUPPORT);
    assert_non_null(strstr(e.text, "has no tokenizer"));
    assert_int_equal(andiron_detokenize(model, ids, 4, true, text, sizeof text, &n, &e), ANDIRON_E_SUPPORT);
    assert_string_equal(andiron_token_piece(model, 1, true, &n), "");
    assert_false(andiron_token_ends_turn(model, 0));
    andiron_model_close(model);
    remove_folder(folder);
}

/* A type that the build does not know runs by a definition of the user's, given or found by its name. */
static void a_definition_of_the_users_tells_of_a_folder(void **state)
{
    (void)state;
    static const char text[] = "arch lllll : llama\nfolder \"lllll\" with halves\n", none[] = "arch lllll : llama\n";
    char folder[] = "/tmp/test_hf_XXXXXX", path[512];
    andiron_model *model = NULL;
    andiron_error e = {0};
    struct golden g;
    copy_changed(folder, "llama", "\"llama\"", "\"lllll\"");
    file_write(folder, "my.arch", text, sizeof text - 1);
    file_write(folder, "lllll.arch", text, sizeof text - 1);
    snprintf(path, sizeof path, "%s/my.arch", folder);
    golden_open(&g, MODELS "/llama/golden.bin");
    for (int by_name = 0; by_name < 2; by_name++) {
        andiron_model_options options = small_steps;
        options.arch_path = by_name ? NULL : path;
        options.arch_dir = by_name ? folder : NULL;
        assert_int_equal(andiron_model_open(&model, folder, &options, &e), ANDIRON_OK);
        assert_true(golden_distance(&g, model, 7, &e) <= limit);
        andiron_model_close(model);
    }
    golden_close(&g);
    file_write(folder, "my.arch", none, sizeof none - 1);
    andiron_model_options options = small_steps;
    options.arch_path = path;
    assert_int_equal(andiron_model_open(&model, folder, &options, &e), ANDIRON_E_SUPPORT);
    assert_non_null(strstr(e.text, "no definition has a folder line"));
    remove_folder(folder);
}

/* What a definition ignores, or no line of it reads, changes nothing. */
static void keys_of_other_types_are_not_read(void **state)
{
    (void)state;
    static const struct {
        const char *type, *keys;
    } foreign[] = {{"bloom", "{\"rms_norm_eps\": 0.1, \"num_key_value_heads\": 1, \"hidden_act\": \"relu\","},
                   {"mixtral", "{\"n_group\": 2, \"final_logit_softcapping\": 2, \"routed_scaling_factor\": 2,"}};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        char folder[] = "/tmp/test_hf_XXXXXX", path[512];
        struct golden g;
        andiron_model *model = NULL;
        andiron_error e = {0};
        size_t n;
        copy_changed(folder, foreign[i].type, "{", "{");
        snprintf(path, sizeof path, MODELS "/%s/config.json", foreign[i].type);
        char *config = file_read(path, &n), *with = malloc(n + 200);
        const int n_with = snprintf(with, n + 200, "%s%s", foreign[i].keys, config + 1);
        file_write(folder, "config.json", with, (size_t)n_with);
        snprintf(path, sizeof path, MODELS "/%s/golden.bin", foreign[i].type);
        assert_int_equal(andiron_model_open(&model, folder, &small_steps, &e), ANDIRON_OK);
        golden_open(&g, path);
        assert_true(golden_distance(&g, model, 7, &e) <= limit);
        golden_close(&g);
        andiron_model_close(model);
        free(config);
        free(with);
        remove_folder(folder);
    }
}

/* What a text about a source begins with: generation_config.json counts before config.json. */
static void first_tokens_are_told(void **state)
{
    (void)state;
    static const char said[] = "{\"forced_bos_token_id\": 7, \"decoder_start_token_id\": 5}";
    char folder[] = "/tmp/test_hf_XXXXXX";
    copy_changed(folder, "bart", "\"decoder_start_token_id\": 2", "\"decoder_start_token_id\": 4");
    for (int generation = 0; generation < 2; generation++) {
        andiron_model *model = NULL;
        andiron_model_info info;
        if (generation)
            file_write(folder, "generation_config.json", said, sizeof said - 1);
        assert_int_equal(andiron_model_open(&model, folder, &small_steps, NULL), ANDIRON_OK);
        andiron_model_get_info(model, &info);
        assert_int_equal(info.first_token, generation ? 5 : 4);
        assert_int_equal(info.forced_token, generation ? 7 : -1);
        andiron_model_close(model);
    }
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_transformers),
        cmocka_unit_test(experts_stay_where_they_are_mapped),
        cmocka_unit_test(wrong_folders_are_refused),
        cmocka_unit_test(what_follows_the_rows_is_refused),
        cmocka_unit_test(a_folder_without_a_tokenizer_takes_ids),
        cmocka_unit_test(a_definition_of_the_users_tells_of_a_folder),
        cmocka_unit_test(first_tokens_are_told),
        cmocka_unit_test(keys_of_other_types_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
