/* types.c - the number formats of weights, as GGUF counts them. ggml and the gguf Python package agree on these sizes
 * but for Q8_1, which no file holds: ggml's block has two half floats (36 bytes), the package's two floats (40). Q8_1
 * and Q8_K are forms of activations: nobody, llama.cpp included, multiplies or reads weights that stand in them. */
#include "base/types.h"

#define RUNS true
#define KNOWN false

static const struct type_info infos[TYPE_LIMIT] = {
    [0] = {"F32", 1, 4, RUNS},         [1] = {"F16", 1, 2, RUNS},         [2] = {"Q4_0", 32, 18, RUNS},
    [3] = {"Q4_1", 32, 20, RUNS},      [6] = {"Q5_0", 32, 22, RUNS},      [7] = {"Q5_1", 32, 24, RUNS},
    [8] = {"Q8_0", 32, 34, RUNS},      [9] = {"Q8_1", 32, 36, KNOWN},     [10] = {"Q2_K", 256, 84, RUNS},
    [11] = {"Q3_K", 256, 110, RUNS},   [12] = {"Q4_K", 256, 144, RUNS},   [13] = {"Q5_K", 256, 176, RUNS},
    [14] = {"Q6_K", 256, 210, RUNS},   [15] = {"Q8_K", 256, 292, KNOWN},  [16] = {"IQ2_XXS", 256, 66, RUNS},
    [17] = {"IQ2_XS", 256, 74, RUNS},  [18] = {"IQ3_XXS", 256, 98, RUNS}, [19] = {"IQ1_S", 256, 50, RUNS},
    [20] = {"IQ4_NL", 32, 18, RUNS},   [21] = {"IQ3_S", 256, 110, RUNS},  [22] = {"IQ2_S", 256, 82, RUNS},
    [23] = {"IQ4_XS", 256, 136, RUNS}, [24] = {"I8", 1, 1, KNOWN},        [25] = {"I16", 1, 2, KNOWN},
    [26] = {"I32", 1, 4, KNOWN},       [27] = {"I64", 1, 8, KNOWN},       [28] = {"F64", 1, 8, KNOWN},
    [29] = {"IQ1_M", 256, 56, RUNS},   [30] = {"BF16", 1, 2, RUNS},       [34] = {"TQ1_0", 256, 54, RUNS},
    [35] = {"TQ2_0", 256, 66, RUNS},   [39] = {"MXFP4", 32, 17, RUNS},    [40] = {"NVFP4", 64, 36, RUNS},
    [41] = {"Q1_0", 128, 18, RUNS},    [42] = {"Q2_0", 64, 18, RUNS},
};

const struct type_info *type_info(uint32_t type) { return type < TYPE_LIMIT && infos[type].name ? &infos[type] : 0; }
