"""The order of samples is a pure function; no file is needed to test it."""

import numpy as np
import pytest

from blurvid.order import Order, epoch_order

SIZES = (5, 1, 0, 7, 4)
TOTAL = sum(SIZES)


def _batches(start=0, stop=20, **changes):
    order = Order(**{"shard_sizes": SIZES, "batch": 4, "seed": 0, **changes})
    return list(order.batches(start, stop))


def _shard_of(number):
    return int(np.searchsorted(np.cumsum(SIZES), number, side="right"))


@pytest.mark.parametrize("block", [None, 1, 2, 3, 5, 99])
def test_every_sample_comes_exactly_once_an_epoch(block):
    for epoch in range(3):
        order = epoch_order(SIZES, seed=0, epoch=epoch, block=block)
        assert sorted(order.tolist()) == list(range(TOTAL))


def test_epochs_and_seeds_differ_and_seed_0_is_a_seed():
    orders = {
        tuple(epoch_order(SIZES, seed=seed, epoch=epoch).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9
    assert tuple(range(TOTAL)) not in orders


def test_the_same_arguments_give_the_same_order():
    first, second = (epoch_order(SIZES, seed=3, epoch=2, block=2) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("block", [1, 2])
def test_a_block_shuffles_only_its_own_shards(block):
    shards = [_shard_of(n) for n in epoch_order(SIZES, seed=0, epoch=0, block=block)]
    firsts = list(dict.fromkeys(shards))
    of_shards = np.random.default_rng([0, 0, 0, 0]).permutation(len(SIZES)).tolist()
    blocks = [of_shards[i : i + block] for i in range(0, len(SIZES), block)]
    place = {shard: number for number, members in enumerate(blocks) for shard in members}
    numbers = [place[shard] for shard in shards]
    assert numbers == sorted(numbers)
    assert len(firsts) == sum(size > 0 for size in SIZES)


def test_one_block_of_all_shards_mixes_them_all():
    places = np.zeros((TOTAL, TOTAL))
    for epoch in range(400):
        places[np.arange(TOTAL), epoch_order(SIZES, seed=0, epoch=epoch)] += 1
    assert places.min() > 5  # every sample is met at every place: 23.5 times on average


def test_a_start_at_step_k_is_the_tail_of_the_whole():
    whole = _batches()
    for start in range(20):
        assert _batches(start) == whole[start:]


def test_drop_leaves_out_the_short_batch_and_keep_keeps_it():
    dropped, kept = _batches(stop=4, last="drop"), _batches(stop=5, last="keep")
    assert {len(batch.numbers) for batch in dropped} == {4}
    assert [len(batch.numbers) for batch in kept] == [4, 4, 4, 4, 1]
    assert [batch.epoch for batch in _batches(stop=5, last="drop")] == [0, 0, 0, 0, 1]
    assert sorted(n for batch in kept for n in batch.numbers) == list(range(TOTAL))


def test_steps_and_epochs_count_on():
    order = Order(SIZES, batch=4, seed=0, last="keep")
    batches = list(order.batches(0, 12))
    assert [batch.step for batch in batches] == list(range(12))
    assert [batch.epoch for batch in batches] == [0] * 5 + [1] * 5 + [2] * 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch": TOTAL + 1}, "one batch of 18 samples, found 17 samples; take a smaller batch"),
        ({"shard_sizes": (), "last": "keep"}, "found 0 samples"),
        ({"batch": 0}, "batch 0"),
        ({"seed": -1}, "seed -1"),
        ({"last": "repeat"}, "drop or keep, found 'repeat'"),
    ],
)
def test_an_order_that_cannot_be_is_refused_at_birth(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        _batches(**changes)


def test_fewer_samples_than_a_batch_are_one_short_batch_where_it_is_kept():
    assert [len(b.numbers) for b in _batches(stop=1, batch=99, last="keep")] == [TOTAL]
