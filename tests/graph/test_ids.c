/* test_ids.c - ids that are changed before they pick, and numbers that become places. */
#include "bench.h"

static struct node listed(enum op op, node_id ids, const struct wholes *first, const struct wholes *second)
{
    struct node n = unary(op, ids);
    n.arg[1].list = first;
    if (op == OP_replace)
        n.arg[2].list = second;
    return n;
}

static void ids_pick_within_the_table(void **state)
{
    (void)state;
    static const uint64_t tokens[] = {7, 9}, rows[] = {3, 10}, far[] = {3, UINT64_MAX};
    const struct wholes from = {tokens, 2}, to = {rows, 2}, beyond = {far, 2}, one = {rows, 1}, none = {rows, 0};
    struct bench b;
    struct weight table = tensor(TYPE_F32, 8, 11), few = tensor(TYPE_F32, 8, 10), whole = tensor(TYPE_I32, 6, 11);
    begin(&b);
    node_id replaced = added(&b, listed(OP_replace, 0, &from, &to));
    node_id turned = added(&b, with_number(unary(OP_remainder, 1), 1, 11));
    assert_shape(&b, added(&b, with_weight(unary(OP_embed, replaced), 1, &table)), 1, 8, 1);
    assert_shape(&b, added(&b, with_weight(unary(OP_embed, turned), 1, &table)), 1, 8, 1);
    assert_int_equal(b.g.n_positions_max, 0); /* positions beyond the table begin again */
    assert_shape(&b, added(&b, with_weight(unary(OP_embed, 0), 1, &whole)), 1, 6, 1);
    assert_shape(&b, added(&b, unary(OP_numbers, turned)), 1, 1, 1);
    assert_shape(&b, added(&b, listed(OP_place_of, 0, &from, NULL)), 1, 1, 1);
    refused(&b, with_weight(unary(OP_embed, replaced), 1, &few), "a row for each id");
    refused(&b, with_weight(unary(OP_embed, turned), 1, &few), "a row for each id");
    node_id lost = added(&b, listed(OP_replace, 0, &from, &beyond));
    refused(&b, with_weight(unary(OP_embed, lost), 1, &table), "a row for each id");
    refused(&b, unary(OP_silu, replaced), "expected x to be numbers, got replace");
    refused(&b, listed(OP_replace, 0, &from, &one), "as many numbers in to as in from, got 1 and 2");
    refused(&b, listed(OP_replace, 0, &from, &none), "expected whole numbers for to, got none");
    refused(&b, listed(OP_replace, 1, &from, &to), "expected ids to be tokens");
    refused(&b, listed(OP_place_of, 1, &from, NULL), "expected ids to be tokens");
    refused(&b, with_number(unary(OP_remainder, turned), 1, 4), "tokens or positions, got the value of remainder");
    refused(&b, with_number(unary(OP_remainder, 0), 1, 0), "expected n to be a whole number from 1 on");
    refused(&b, with_weight(unary(OP_linear, 5), 1, &whole), "a type that this build can compute with");
    end(&b);
}

static void places_are_below_n(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, matrices = {.name = "w", .type = TYPE_F32, .n_dims = 3, .dims = {8, 5, 3, 1}};
    begin(&b);
    node_id x = row(&b, &table, 8), two = added(&b, with_number(unary(OP_slice, x), 2, 2));
    struct node places = unary(OP_places, two), product = with_weight(unary(OP_experts, x), 2, &matrices);
    node_id three = added(&b, with_number(places, 1, 3)), four = added(&b, with_number(places, 1, 4));
    assert_shape(&b, three, 1, 2, 1);
    assert_shape(&b, added(&b, with_value(product, 1, three)), 2, 5, 2);
    assert_shape(&b, added(&b, with_value(unary(OP_pick, x), 1, four)), 1, 2, 1);
    refused(&b, with_value(product, 1, four), "expected places below 3, got places of 4");
    refused(&b, with_value(product, 1, two), "what top or places gives, got the value of slice");
    refused(&b, with_number(places, 1, 0), "expected n to be a whole number from 1 to 16777216");
    refused(&b, with_number(places, 1, 1 << 25), "expected n to be a whole number from 1 to 16777216");
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_pick_within_the_table),
        cmocka_unit_test(places_are_below_n),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
