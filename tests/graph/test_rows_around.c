/* test_rows_around.c - ops that look at rows after a row's own: the text then must come in one step. */
#include "bench.h"

static void around(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, deep = {.name = "w", .type = TYPE_F32, .n_dims = 3, .dims = {7, 8, 5, 1}}, packed = deep,
                         bias = {.name = "b", .type = TYPE_F32, .n_dims = 2, .dims = {1, 5, 1, 1}};
    begin(&b);
    struct node n = with_number(with_number(unary(OP_around, row(&b, &table, 8)), 1, 3), 2, 3);
    assert_false(b.g.whole_texts);
    node_id seven = added(&b, n);
    assert_shape(&b, seven, 2, 7, 8);
    assert_true(b.g.whole_texts);
    assert_int_equal(b.g.n_state, 0);
    struct node product = with_weight(unary(OP_linear, seven), 1, &deep);
    assert_shape(&b, added(&b, with_weight(product, 2, &bias)), 1, 5, 1); /* a column of biases is a row of them */
    bias.dims[0] = 5;
    refused(&b, with_weight(product, 2, &bias), "bias to be F32 [5]");
    packed.type = TYPE_Q8_0;
    packed.dims[0] = 32;
    refused(&b, with_weight(product, 1, &packed), "or 3 where its type has no blocks");
    deep.dims[0] = 6;
    refused(&b, product, "rows of 56 numbers, as many as x [7, 8] has");
    refused(&b, with_number(n, 1, 65), "before to be a whole number from 0 to 64");
    refused(&b, with_number(n, 2, -1), "after to be a whole number from 0 to 64");
    refused(&b, with_number(n, 2, 0.5), "after to be a whole number from 0 to 64");
    end(&b);
}

static void groupnorm(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, w = {.name = "w", .type = TYPE_F32, .n_dims = 2, .dims = {1, 8, 1, 1}}, few = w, half = w;
    begin(&b);
    struct node n = with_number(with_number(unary(OP_groupnorm, row(&b, &table, 8)), 3, 4), 4, 1e-5);
    assert_shape(&b, added(&b, n), 1, 8, 1);
    assert_true(b.g.whole_texts);
    assert_shape(&b, added(&b, with_weight(with_weight(n, 1, &w), 2, &w)), 1, 8, 1);
    few.dims[1] = 7;
    half.type = TYPE_F16;
    refused(&b, with_weight(n, 1, &few), "weight to be F32 [8]");
    refused(&b, with_weight(n, 2, &half), "bias to be F32 [8]");
    refused(&b, with_number(n, 3, 3), "groups to be a number that divides those of x");
    refused(&b, with_number(n, 3, 0), "groups to be a number that divides those of x");
    refused(&b, with_number(n, 4, -1), "eps to be at least 0");
    end(&b);
}

static void fourier(void **state)
{
    (void)state;
    struct bench b;
    struct weight table;
    begin(&b);
    const node_id a = row(&b, &table, 8);
    struct node n = unary(OP_fourier, a);
    n.arg[1].value = a;
    assert_shape(&b, added(&b, n), 1, 8, 1);
    assert_true(b.g.whole_texts);
    n.arg[1].value = added(&b, with_number(with_number(unary(OP_slice, a), 1, 0), 2, 4));
    refused(&b, n, "expected b to have as many numbers as a");
    end(&b);
}

static void conv_ahead(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, w = tensor(TYPE_F32, 7, 8);
    begin(&b);
    struct node n = with_weight(unary(OP_conv, row(&b, &table, 8)), 1, &w);
    added(&b, n);
    assert_false(b.g.whole_texts);
    assert_shape(&b, added(&b, with_number(n, 4, 3)), 1, 8, 1);
    assert_true(b.g.whole_texts);
    refused(&b, with_number(n, 4, 65), "ahead to be a whole number from 0 to 64");
    refused(&b, with_number(n, 4, -3), "ahead to be a whole number from 0 to 64");
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(around),
        cmocka_unit_test(groupnorm),
        cmocka_unit_test(fourier),
        cmocka_unit_test(conv_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
