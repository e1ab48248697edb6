import os

import pytest

from jointdec.sweeping.supervisor import slots


@pytest.fixture
def six_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.parametrize(("workers", "cores"), [(2, 3), (3, 2), (6, 1)])
def test_every_worker_has_its_own_cores(six_cores, workers, cores):
    shares = [slot.cores for slot in slots(workers)]
    assert [len(share) for share in shares] == [cores] * workers
    assert set().union(*shares) == {0, 1, 2, 3, 4, 5}


def test_more_workers_than_cores_share_them_and_one_worker_has_the_machine(six_cores):
    shares = [slot.cores for slot in slots(8)]
    assert all(len(share) == 1 for share in shares)
    assert set().union(*shares) == {0, 1, 2, 3, 4, 5}
    assert slots(1)[0].cores == frozenset()


def test_every_worker_has_a_gpu_where_there_are_some(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [slot.gpu for slot in slots(3)] == ["4", "7", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [slot.gpu for slot in slots(2)] == [None, None]
