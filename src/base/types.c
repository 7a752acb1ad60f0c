/* types.c - the number formats of weights, as GGUF counts them. ggml and the gguf Python package agree on these sizes
 * but for Q8_1, which no file holds: ggml's block has two half floats (36 bytes), the package's two floats (40). */
#include "base/types.h"

#define RUNS true
#define KNOWN false

static const struct type_info infos[TYPE_LIMIT] = {
    [0] = {"F32", 1, 4, RUNS},          [1] = {"F16", 1, 2, RUNS},          [2] = {"Q4_0", 32, 18, RUNS},
    [3] = {"Q4_1", 32, 20, RUNS},       [6] = {"Q5_0", 32, 22, RUNS},       [7] = {"Q5_1", 32, 24, RUNS},
    [8] = {"Q8_0", 32, 34, RUNS},       [9] = {"Q8_1", 32, 36, KNOWN},      [10] = {"Q2_K", 256, 84, RUNS},
    [11] = {"Q3_K", 256, 110, RUNS},    [12] = {"Q4_K", 256, 144, RUNS},    [13] = {"Q5_K", 256, 176, RUNS},
    [14] = {"Q6_K", 256, 210, RUNS},    [15] = {"Q8_K", 256, 292, KNOWN},   [16] = {"IQ2_XXS", 256, 66, KNOWN},
    [17] = {"IQ2_XS", 256, 74, KNOWN},  [18] = {"IQ3_XXS", 256, 98, KNOWN}, [19] = {"IQ1_S", 256, 50, KNOWN},
    [20] = {"IQ4_NL", 32, 18, KNOWN},   [21] = {"IQ3_S", 256, 110, KNOWN},  [22] = {"IQ2_S", 256, 82, KNOWN},
    [23] = {"IQ4_XS", 256, 136, KNOWN}, [24] = {"I8", 1, 1, KNOWN},         [25] = {"I16", 1, 2, KNOWN},
    [26] = {"I32", 1, 4, KNOWN},        [27] = {"I64", 1, 8, KNOWN},        [28] = {"F64", 1, 8, KNOWN},
    [29] = {"IQ1_M", 256, 56, KNOWN},   [30] = {"BF16", 1, 2, RUNS},        [34] = {"TQ1_0", 256, 54, KNOWN},
    [35] = {"TQ2_0", 256, 66, KNOWN},   [39] = {"MXFP4", 32, 17, KNOWN},    [40] = {"NVFP4", 64, 36, KNOWN},
    [41] = {"Q1_0", 128, 18, KNOWN},
};

const struct type_info *type_info(uint32_t type)
{
    return type < TYPE_LIMIT && infos[type].name ? &infos[type] : 0;
}
